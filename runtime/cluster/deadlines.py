"""Deadlines that are all equally long, so that they stand in the order of their ends: one timer for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

GRAIN = 8
"""A deadline is late by at most its own length divided by this."""


class Awaited(Protocol):
    @property
    def over(self) -> bool: ...

    def expire(self) -> None:
        """The time is over; called at most once, never when it is over."""


class Deadlines:
    """`seconds`: how long each is."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.seconds = seconds
        self._loop = loop
        self._queue: deque[tuple[float, Awaited]] = deque()
        self._armed = False

    def add(self, awaited: Awaited) -> None:
        end, queue = self._loop.time() + self.seconds, self._queue
        while queue and queue[0][1].over:
            queue.popleft()  # nobody needs to be kept in memory for as long as a deadline
        queue.append((end, awaited))
        if not self._armed:
            self._armed = True
            self._loop.call_at(end, self._tick)

    def _tick(self) -> None:
        queue, now = self._queue, self._loop.time()
        while queue and (queue[0][0] <= now or queue[0][1].over):
            _, awaited = queue.popleft()
            if not awaited.over:
                try:
                    awaited.expire()
                except Exception as defect:  # the deadlines of all others hang on this
                    self._loop.call_exception_handler({"message": "after a deadline", "exception": defect})
        self._armed = bool(queue)
        if queue:
            self._loop.call_at(max(queue[0][0], now + self.seconds / GRAIN), self._tick)
