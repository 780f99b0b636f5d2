"""Permits in memory, for the bench: one process, and a queue for each key."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from policylang.sdk.memory import Reachable
from policylang.sdk.outcome import Unavailable
from policylang.sdk.permits import Wish
from policylang.sdk.waiter import Waiter

if TYPE_CHECKING:
    from policylang.sdk.exchange import Clock, Exchange


class MemoryPermits:
    """`down` of the store makes every `acquire` raise Unavailable; then this process has its share of every limit: what
    one of `holders` may have. `beside`: those of another process that shares the store."""

    def __init__(
        self, clock: Clock, store: Reachable, holders: int = 2, beside: MemoryPermits | None = None
    ) -> None:
        self._clock = clock
        self._store = store
        self._holders = holders
        self._held: dict[bytes, list[MemoryPermit]] = {}
        self._out: dict[bytes, int] = {} if beside is None else beside._out
        self._queues: dict[bytes, deque[Waiter[bool]]] = {} if beside is None else beside._queues

    @property
    def machine(self) -> MemoryPermits:
        return self

    def acquire(
        self, key: bytes, wish: Wish, exchange: Exchange
    ) -> MemoryPermit | Coroutine[Any, Any, MemoryPermit | None] | None:
        if self._store.down:
            raise Unavailable("store", "it is down")
        queue = self._queues.setdefault(key, deque())
        if not queue and self._out.get(key, 0) < wish.limit:
            return self._given(key, wish, exchange)
        if not wish.wait or len(queue) >= wish.queue:
            return None
        return self._in_turn(key, queue, wish, exchange)

    def acquire_alone(self, key: bytes, wish: Wish, exchange: Exchange) -> MemoryPermit | None:
        alone = len(self._held.get(key, ())) < wish.limit // self._holders
        return self._given(key, wish, exchange) if alone else None

    def lost(self) -> list[MemoryPermit]:
        """Those beyond this process's share, which it has to give up when it has not reached the store for too long.

        Their exchanges must not go on. `freed` is to be called of each when others take notice.
        """
        gone: list[MemoryPermit] = []
        for held in self._held.values():
            stay = [permit for permit in held if permit.wish.stays]
            kept = stay[: held[0].wish.limit // self._holders] if held else []
            gone += [permit for permit in held if permit not in kept]
        for permit in gone:
            permit.give_up()
        return gone

    async def _in_turn(
        self, key: bytes, queue: deque[Waiter[bool]], wish: Wish, exchange: Exchange
    ) -> MemoryPermit | None:
        waiter: Waiter[bool] = Waiter()
        queue.append(waiter)
        self._clock.sleep(wish.wait / 1e9).callback = lambda: waiter.fire(False)
        try:
            if not await waiter:
                return None
        except GeneratorExit:
            if waiter.done and waiter.value:  # it was given up with a permit on its way
                self._out[key] -= 1
                self._pass_on(key)
            raise
        finally:
            if waiter in queue:
                queue.remove(waiter)
        self._out[key] -= 1  # it was kept for this one
        return self._given(key, wish, exchange)

    def _given(self, key: bytes, wish: Wish, exchange: Exchange) -> MemoryPermit:
        self._out[key] = self._out.get(key, 0) + 1
        permit = MemoryPermit(self, key, wish, exchange, self._out[key])
        self._held.setdefault(key, []).append(permit)
        return permit

    def not_held(self, permit: MemoryPermit) -> None:
        self._held[permit.key].remove(permit)

    def freed(self, key: bytes) -> None:
        self._out[key] -= 1
        self._pass_on(key)

    def _pass_on(self, key: bytes) -> None:
        queue = self._queues.get(key)
        while queue:
            waiter = queue.popleft()
            if not waiter.done:
                self._out[key] += 1
                waiter.fire(True)
                return


class MemoryPermit:
    def __init__(self, permits: MemoryPermits, key: bytes, wish: Wish, exchange: Exchange, running: int) -> None:
        self.running = running
        self.key = key
        self.wish = wish
        self.exchange = exchange
        self._permits: MemoryPermits | None = permits

    def release(self) -> None:
        permits = self._permits
        if permits is not None:
            self.give_up()
            permits.freed(self.key)

    def give_up(self) -> None:
        """It is this process's no more, though others do not know it."""
        permits, self._permits = self._permits, None
        if permits is not None:
            permits.not_held(self)
