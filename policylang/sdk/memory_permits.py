"""Permits in memory, for the bench: one process, and a queue for each key."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from policylang.sdk.memory import MemoryStore
from policylang.sdk.outcome import Unavailable
from policylang.sdk.permits import Wish
from policylang.sdk.waiter import Waiter

if TYPE_CHECKING:
    from policylang.sdk.exchange import Clock, Exchange


class MemoryPermits:
    """`down` of the store makes every `acquire` raise Unavailable; then half of every limit is this process's share."""

    def __init__(self, clock: Clock, store: MemoryStore) -> None:
        self._clock = clock
        self._store = store
        self._out: dict[bytes, int] = {}
        self._queues: dict[bytes, deque[Waiter[MemoryPermit | None]]] = {}

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
            return self._given(key)
        if not wish.wait or len(queue) >= wish.queue:
            return None
        return self._in_turn(queue, wish.wait)

    def acquire_alone(self, key: bytes, wish: Wish, exchange: Exchange) -> MemoryPermit | None:
        return self._given(key) if self._out.get(key, 0) < wish.limit // 2 else None

    async def _in_turn(self, queue: deque[Waiter[MemoryPermit | None]], wait: int) -> MemoryPermit | None:
        waiter: Waiter[MemoryPermit | None] = Waiter()
        queue.append(waiter)
        self._clock.sleep(wait / 1e9).callback = lambda: waiter.fire(None)
        try:
            return await waiter
        finally:
            if waiter in queue:
                queue.remove(waiter)

    def _given(self, key: bytes) -> MemoryPermit:
        self._out[key] = self._out.get(key, 0) + 1
        return MemoryPermit(self, key, self._out[key])

    def returned(self, key: bytes) -> None:
        self._out[key] -= 1
        queue = self._queues.get(key)
        while queue:
            waiter = queue.popleft()
            if not waiter.done:
                waiter.fire(self._given(key))
                return


class MemoryPermit:
    def __init__(self, permits: MemoryPermits, key: bytes, running: int) -> None:
        self.running = running
        self._permits: MemoryPermits | None = permits
        self._key = key

    def release(self) -> None:
        permits, self._permits = self._permits, None
        if permits is not None:
            permits.returned(self._key)
