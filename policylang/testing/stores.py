"""The store that the gateways of a test share, as each of them reaches it: at hand, slow, or away."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from policylang.sdk.alone import Alone
from policylang.sdk.bench import VirtualClock
from policylang.sdk.memory import MemoryEntries, MemoryStore
from policylang.sdk.memory_caches import MemoryCaches
from policylang.sdk.memory_permits import MemoryPermit, MemoryPermits
from policylang.sdk.memory_quotas import MemoryQuotas
from policylang.sdk.outcome import Unavailable
from policylang.sdk.periods import Period
from policylang.sdk.permits import Wish
from policylang.sdk.quotas import Taken
from policylang.sdk.store import UNKNOWN, Change, Decision, Limit, Space, settled

T = TypeVar("T")

class Reach:
    """How one gateway reaches the store. `delay`: seconds that each answer takes; one of `deadline` or more is none.

    `since`: from when on it is down (monotonic ns), None while it is not.
    """

    __slots__ = ("_clock", "alone", "answered", "away", "deadline", "delay", "since")

    def __init__(self, clock: VirtualClock, holders: int, deadline: float) -> None:
        self._clock = clock
        self.deadline = deadline
        self.away = False
        self.delay = 0.0
        self.since: int | None = None
        self.answered = False
        self.alone = Alone(holders)

    @property
    def down(self) -> bool:
        return self.away or self.delay >= self.deadline

    def through(self, work: Callable[[], Any]) -> Any:
        """What the store gives: at once where it is at hand. Raises Unavailable."""
        if self.away:
            raise self._missed()
        if self.delay:
            return self._slowly(work)
        self.answered = True
        return work()

    async def _slowly(self, work: Callable[[], Any]) -> Any:
        late = self.delay >= self.deadline
        await self._clock.sleep(min(self.delay, self.deadline))
        if late or self.away:
            raise self._missed()
        self.answered = True
        return await settled(work())

    def _missed(self) -> Unavailable:
        if self.answered:
            self.answered = False
            self.alone.answered(self._clock.monotonic())
        return Unavailable("store")


class ReachedRates:
    def __init__(self, shared: MemoryStore, reach: Reach, machine: ReachedRates | None = None) -> None:
        self._shared = shared
        self._reach = reach
        self._machine = machine

    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision | Coroutine[Any, Any, Decision]:
        found: Decision | Coroutine[Any, Any, Decision] = self._reach.through(
            lambda: self._shared.admit(key, limit, window, burst, now, cost, count)
        )
        return found

    def admit_all(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1, count: bool = True
    ) -> tuple[Decision, ...] | Coroutine[Any, Any, tuple[Decision, ...]]:
        found: tuple[Decision, ...] | Coroutine[Any, Any, tuple[Decision, ...]] = self._reach.through(
            lambda: self._shared.admit_all(key, limits, now, cost, count)
        )
        return found

    @property
    def machine(self) -> ReachedRates:
        return self._machine or self

    @property
    def alone(self) -> Alone:
        return self._reach.alone


class ReachedEntries:
    def __init__(self, shared: MemoryEntries, reach: Reach) -> None:
        self._shared = shared
        self._reach = reach

    def read(self, space: Space, key: bytes) -> bytes | Coroutine[Any, Any, bytes | None] | None:
        found: bytes | Coroutine[Any, Any, bytes | None] | None = self._reach.through(
            lambda: self._shared.read(space, key)
        )
        return found

    def update(
        self, space: Space, key: bytes, change: Change, guess: object = UNKNOWN
    ) -> Any | Coroutine[Any, Any, Any]:
        return self._reach.through(lambda: self._shared.update(space, key, change, guess))

    def scan(
        self, space: Space, after: bytes = b"", count: int = 1000
    ) -> list[tuple[bytes, bytes]] | Coroutine[Any, Any, list[tuple[bytes, bytes]]]:
        found: list[tuple[bytes, bytes]] | Coroutine[Any, Any, list[tuple[bytes, bytes]]] = self._reach.through(
            lambda: self._shared.scan(space, after, count)
        )
        return found


class ReachedQuotas:
    """`away`: the same quotas, as they count for a gateway that cannot ask."""

    def __init__(self, shared: MemoryQuotas, away: MemoryQuotas, reach: Reach, machine: ReachedQuotas | None) -> None:
        self._shared = shared
        self._away = away
        self._reach = reach
        self._machine = machine

    async def take(self, key: bytes, period: Period, limit: int, units: int, overdraw: bool = False) -> Taken:
        try:
            taken: Taken = await settled(
                self._reach.through(lambda: self._shared.take(key, period, limit, units, overdraw))
            )
        except Unavailable:
            if not overdraw:
                raise
            return await self._away.take(key, period, limit, units, True)
        return taken

    def give_back(self, key: bytes, period: Period, units: int, epoch: int) -> None:
        self._shared.give_back(key, period, units, epoch)

    async def left(self, key: bytes, period: Period, limit: int) -> int:
        left: int = await settled(self._reach.through(lambda: self._shared.left(key, period, limit)))
        return left

    @property
    def machine(self) -> ReachedQuotas:
        return self._machine or self


class ReachedPermits(MemoryPermits):
    def __init__(
        self, clock: VirtualClock, reach: Reach, holders: int, beside: MemoryPermits | None,
        machine: MemoryPermits | None,
    ) -> None:  # fmt: skip
        super().__init__(clock, reach, holders, beside)
        self._reach = reach
        self._of_machine = machine

    @property
    def machine(self) -> MemoryPermits:
        return self._of_machine or self

    def acquire(
        self, key: bytes, wish: Wish, exchange: Any
    ) -> MemoryPermit | Coroutine[Any, Any, MemoryPermit | None] | None:
        found: MemoryPermit | Coroutine[Any, Any, MemoryPermit | None] | None = self._reach.through(
            lambda: MemoryPermits.acquire(self, key, wish, exchange)
        )
        return found


class _AtHand:
    down = False


class _Away:
    down = True


class Stores:
    """What is kept in a test, and each gateway's way to it.

    One gateway has the store to itself. Where there are several they share it, as a cluster's, and each has one of its
    machine besides, which is always at hand.
    """

    def __init__(self, clock: VirtualClock, deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self.rates = MemoryStore()
        self.entries = MemoryEntries(clock, _AtHand())
        self.quotas = MemoryQuotas(_AtHand())
        self.away_quotas = MemoryQuotas(_Away(), self.quotas)
        self.caches: MemoryCaches | None = None
        self.permits: MemoryPermits | None = None

    def reached(self, holders: int) -> Reached:
        """The way of one more gateway, of so many."""
        machine = Stores(self._clock, self._deadline).reached(1) if holders > 1 else None
        return Reached(self, self._clock, holders, self._deadline, machine)


class Reached:
    """`machine`: where there are others, what is this gateway's own."""

    def __init__(
        self, stores: Stores, clock: VirtualClock, holders: int, deadline: float, machine: Reached | None
    ) -> None:
        self.reach = reach = Reach(clock, holders, deadline)
        own: Reached = machine or self
        self.rates: ReachedRates = ReachedRates(stores.rates, reach, None if machine is None else machine.rates)
        self.entries: ReachedEntries = ReachedEntries(stores.entries, reach)
        self.machine: ReachedEntries = own.entries
        self.quotas: ReachedQuotas = ReachedQuotas(
            stores.quotas, stores.away_quotas, reach, None if machine is None else machine.quotas
        )
        self.permits: ReachedPermits = ReachedPermits(
            clock, reach, holders, stores.permits, None if machine is None else machine.permits
        )
        stores.permits = stores.permits or self.permits
        self.caches = MemoryCaches(clock, reach, stores.caches)
        stores.caches = stores.caches or self.caches
