"""Whether a server gets requests: a table of states and events, and what it takes for an event to happen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class State(Enum):
    WELL = "well"
    RETURNING = "returning"  # it gets requests, a smaller share of them at first
    LEFT_OUT = "left out"  # its answers have failed; until a pause is over
    ILL = "ill"  # the questions after its health went wrong; until they go right


class Event(Enum):
    FELL = "fell"  # so many wrong answers to questions after its health
    ROSE = "rose"  # so many right ones
    FAILED = "failed"  # so many failures in a row, and others can take over
    PAUSE_OVER = "pause over"
    NEEDED = "needed"  # nobody else is left
    SETTLED = "settled"  # it has its full share


TABLE: Final = {
    (State.WELL, Event.FELL): State.ILL,
    (State.WELL, Event.FAILED): State.LEFT_OUT,
    (State.RETURNING, Event.FELL): State.ILL,
    (State.RETURNING, Event.FAILED): State.LEFT_OUT,
    (State.RETURNING, Event.SETTLED): State.WELL,
    (State.LEFT_OUT, Event.FELL): State.ILL,
    (State.LEFT_OUT, Event.PAUSE_OVER): State.RETURNING,
    (State.LEFT_OUT, Event.NEEDED): State.RETURNING,
    (State.ILL, Event.ROSE): State.RETURNING,
}
"""What is not listed changes nothing. Out of ILL only health leads, so a pause that ends meanwhile is forgotten."""

SERVING: Final = frozenset({State.WELL, State.RETURNING})


@dataclass(frozen=True, slots=True)
class OutlierSettings:
    """`failures` in a row; times in seconds; `most`: the share of servers that may be left out."""

    failures: int = 5
    slower_than: float | None = None
    pause: float = 10.0
    longest: float = 300.0
    most: float = 0.5


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Times in seconds; right is a status from `least` to `greatest`. `host` empty: the server's own."""

    path: str
    every: float = 5.0
    timeout: float = 2.0
    rise: int = 2
    fall: int = 3
    least: int = 200
    greatest: int = 299
    host: str = ""


class Condition:
    """One server's. `asked` takes the answers to questions after its health, `happen` all other events.

    `pauses`: how often in a row it was left out; `returned`: when (in seconds) it was last let in again.
    """

    __slots__ = ("pause", "pauses", "returned", "right", "state", "until", "wrong")

    def __init__(self) -> None:
        self.state = State.WELL
        self.right = 0  # in a row, of the questions after its health
        self.wrong = 0
        self.pauses = 0
        self.pause = 0.0
        self.until = 0.0
        self.returned = 0.0

    @property
    def serving(self) -> bool:
        return self.state in SERVING

    def happen(self, event: Event) -> bool:
        """Whether its state has changed."""
        to = TABLE.get((self.state, event))
        if to is None:
            return False
        self.state = to
        return True

    def asked(self, well: bool, settings: HealthSettings) -> bool:
        """An answer to a question after its health; whether that has changed its state."""
        if well:
            self.wrong = 0
            self.right = min(self.right + 1, settings.rise)
            return self.right == settings.rise and self.happen(Event.ROSE)
        self.right = 0
        self.wrong = min(self.wrong + 1, settings.fall)
        return self.wrong == settings.fall and self.happen(Event.FELL)

    def leave_out(self, now: float, settings: OutlierSettings) -> bool:
        """Its failures are too many. It is left out until `until`: twice as long as the last time, unless it has been
        well for as long as that since."""
        if not self.happen(Event.FAILED):
            return False
        in_a_row = self.pauses and now - self.returned <= self.pause
        self.pauses = self.pauses + 1 if in_a_row else 1
        self.pause = min(settings.pause * 2.0 ** min(self.pauses - 1, 60), settings.longest)
        self.until = now + self.pause
        return True

    def let_in(self, event: Event, now: float) -> bool:
        """PAUSE_OVER or NEEDED."""
        if not self.happen(event):
            return False
        if event is Event.NEEDED:
            self.pauses -= 1  # it has not served its time: else where all fail pauses would double with every change
        self.returned = now
        return True
