"""What outlives one exchange, to the obvious interpreter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from reference import sending, state
from reference.message import Response

from policylang.sdk import BodyLimits


@dataclass
class World:
    """Time, counters, what is kept, and what the upstreams will answer."""

    now: int = 0
    """Nanoseconds."""
    name: str = ""
    version: str = ""
    node: str = ""
    store_away: bool = False
    bodies: BodyLimits = field(default_factory=lambda: BodyLimits(body=1 << 20))
    counters: dict[Any, list[tuple[int, int]]] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    """Responses or names of failures, given to `route` in turn; the last one again and again."""
    answered: int = 0
    draw: float = 0.0
    """What is drawn while the exchange is evaluated, by each who draws."""
    circuits: dict[Any, sending.Circuit] = field(default_factory=dict)
    entries: dict[Any, tuple[Any, float]] = field(default_factory=dict)
    """Of maps: a value, and until when it is there."""
    ids: dict[Any, float] = field(default_factory=dict)
    locks: dict[Any, state.Lock] = field(default_factory=dict)
    used: dict[Any, int] = field(default_factory=dict)
    """Of quotas: counter, key and period."""
    permits: Counter[Any] = field(default_factory=Counter)
    """Those that are out."""
    answers_kept: dict[Any, tuple[Response, float, float]] = field(default_factory=dict)
    """With the moment, and for how many seconds."""
    values_kept: dict[Any, tuple[Any, float]] = field(default_factory=dict)
    under_way: list[tuple[int, Callable[[], None]]] = field(default_factory=list)
    """For how many exchanges more, and what happens then."""
    blackouts: dict[Any, int] = field(default_factory=dict)
    """Until when (nanoseconds) a key is refused: what a statement has seen of it, and what the store has."""
    reported: dict[Any, int] = field(default_factory=dict)
    """When a statement has reported last."""
    uncertain: bool = False
    """A `parallel` failed while another branch may have counted: the exchanges that follow cannot be compared."""
    unclear: bool = False
    """Something happened whose outcome is not laid down: this exchange cannot be compared either."""

    def monotonic(self) -> int:
        return self.now

    def wall(self) -> float:
        return self.now / 1e9

    def pass_time(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)

    def end_those_due(self) -> None:
        due = [end for left, end in self.under_way if left == 0]
        self.under_way = [(left - 1, end) for left, end in self.under_way if left > 0]
        for end in due:
            end()

    def next_answer(self, upstream: str) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
