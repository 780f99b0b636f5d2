"""A store in memory, for the bench: exact, slow and obvious."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from policylang.sdk.outcome import Unavailable
from policylang.sdk.store import UNKNOWN, Change, Decision, Limit, Space, own_object

if TYPE_CHECKING:
    from policylang.sdk.exchange import Clock

T = TypeVar("T")


class Reachable(Protocol):
    @property
    def down(self) -> bool:
        """Whether the store cannot be asked now."""
        ...


class MemoryStore:
    """Rates counted exactly: a log of every admission in the window, or a bucket in fractions.

    `down` makes every call raise Unavailable; then `alone` still counts, with half of every limit.
    """

    def __init__(self, share: int = 1) -> None:
        self.down = False
        self._share = share
        self._alone: MemoryStore | None = None
        self._logs: dict[bytes, deque[tuple[int, int]]] = {}
        self._buckets: dict[bytes, tuple[Fraction, int]] = {}

    async def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        if self.down:
            raise Unavailable("store", "it is down")
        limit //= self._share
        if burst > 0:
            return self._bucket(key, limit, window, burst, now, cost, count)
        log = self._logs.setdefault(key, deque())
        while log and log[0][0] + window <= now:
            log.popleft()
        used = sum(each for _, each in log)
        if used + cost > limit:
            return Decision(False, max(0, limit - used), self._until_empty(log, window, now), self._wait(
                log, window, now, used + cost - limit))  # fmt: skip
        if count:
            log.append((now, cost))
            used += cost
        return Decision(True, limit - used, self._until_empty(log, window, now), 0.0)

    def _until_empty(self, log: deque[tuple[int, int]], window: int, now: int) -> float:
        return (log[-1][0] + window - now) / 1e9 if log else 0.0

    def _wait(self, log: deque[tuple[int, int]], window: int, now: int, excess: int) -> float:
        for moment, each in log:
            excess -= each
            if excess <= 0:
                return (moment + window - now) / 1e9
        return window / 1e9

    def _bucket(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int, count: bool
    ) -> Decision:
        rate, size = Fraction(limit, window), Fraction(limit * burst, window)
        level, since = self._buckets.get(key, (size, now))
        level = min(size, level + (now - since) * rate)
        if level < cost:
            return Decision(False, int(level), float((size - level) / rate) / 1e9, float((cost - level) / rate) / 1e9)
        if count:
            level -= cost
            self._buckets[key] = (level, now)
        return Decision(True, int(level), float((size - level) / rate) / 1e9, 0.0)

    async def admit_all(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1, count: bool = True
    ) -> tuple[Decision, ...]:
        def ask(count: bool) -> list[Decision]:
            return [finished(self.admit(key + one.suffix, *one[:3], now, cost, count)) for one in limits]

        found = ask(False)
        if count and all(decision.admitted for decision in found):
            found = ask(True)
        return tuple(found)

    @property
    def machine(self) -> MemoryStore:
        return self

    @property
    def alone(self) -> MemoryStore:
        if self._alone is None:
            self._alone = MemoryStore(share=2)
        return self._alone


class MemoryEntries:
    """Entries in a dictionary for each space. `down` of the store beside it makes every call raise Unavailable.
    `beside`: those of another process that shares the store.

    What must be on disk before it is acknowledged is given by a coroutine, as real stores do.
    """

    def __init__(self, clock: Clock, store: Reachable, beside: MemoryEntries | None = None) -> None:
        self._clock = clock
        self._store = store
        self._spaces: dict[Space, dict[bytes, tuple[bytes, float]]] = {} if beside is None else beside._spaces

    @property
    def empty(self) -> bool:
        return not any(self._spaces.values())

    def read(self, space: Space, key: bytes) -> bytes | Coroutine[Any, Any, bytes | None] | None:
        return self._given(space, lambda: self._live(space, key))

    def update(
        self, space: Space, key: bytes, change: Change, guess: object = UNKNOWN
    ) -> Any | Coroutine[Any, Any, Any]:
        return self._given(space, lambda: self._change(space, key, change))

    def scan(
        self, space: Space, after: bytes = b"", count: int = 1000
    ) -> list[tuple[bytes, bytes]] | Coroutine[Any, Any, list[tuple[bytes, bytes]]]:
        return self._given(space, lambda: self._listed(space, after, count))

    def _given(self, space: Space, work: Callable[[], T]) -> T | Coroutine[Any, Any, T]:
        if space.kind == "lasting":

            async def later() -> T:
                self._check()
                return work()

            return later()
        self._check()
        return work()

    def _check(self) -> None:
        if self._store.down:
            raise Unavailable("store", "it is down")

    def _live(self, space: Space, key: bytes) -> bytes | None:
        found = self._spaces.get(space, {}).get(key)
        return found[0] if found is not None and found[1] > self._clock.wall() else None

    def _change(self, space: Space, key: bytes, change: Change) -> Any:
        before = self._live(space, key)
        if before is not None:
            before = bytes(bytearray(before))  # the caller may put the same object a second time, to live longer
        before = own_object(before)
        answer, value, ttl = change(before)
        entries = self._spaces.setdefault(space, {})
        if value is None:
            entries.pop(key, None)
        elif value is not before:
            seconds = space.ttl if ttl is None else min(ttl, space.ttl)
            entries[key] = value, self._clock.wall() + seconds
        return answer

    def _listed(self, space: Space, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        keys = sorted(key for key in self._spaces.get(space, {}) if key > after)
        found = ((key, self._live(space, key)) for key in keys)
        return [(key, value) for key, value in found if value is not None][:count]


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("it waits")
