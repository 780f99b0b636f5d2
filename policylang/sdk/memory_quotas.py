"""Quotas in memory, for the bench: exact, slow and obvious."""

from __future__ import annotations

from policylang.sdk.memory import Reachable
from policylang.sdk.outcome import Unavailable
from policylang.sdk.periods import Period
from policylang.sdk.quotas import Taken


class MemoryQuotas:
    """`down` of the store beside it makes every call raise Unavailable, unless it may overdraw. `beside`: those of
    another process that shares the store; none has taken units in advance."""

    def __init__(self, store: Reachable, beside: MemoryQuotas | None = None) -> None:
        self._store = store
        self._used: dict[tuple[bytes, Period], int] = {} if beside is None else beside._used

    async def take(self, key: bytes, period: Period, limit: int, units: int, overdraw: bool = False) -> Taken:
        if self._store.down and not overdraw:
            raise Unavailable("store", "it is down")
        used = self._used.get((key, period), 0)
        if used + units > limit and not self._store.down:
            return Taken(False, max(0, limit - used))
        self._used[key, period] = used + units
        return Taken(True, max(0, limit - used - units), overdrawn=self._store.down)

    def give_back(self, key: bytes, period: Period, units: int, epoch: int) -> None:
        self._used[key, period] = max(0, self._used.get((key, period), 0) - units)

    async def left(self, key: bytes, period: Period, limit: int) -> int:
        if self._store.down:
            raise Unavailable("store", "it is down")
        return max(0, limit - self._used.get((key, period), 0))

    @property
    def machine(self) -> MemoryQuotas:
        return self
