"""How many retries there may be: a share of the requests, so that they cannot add to an overload."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from runtime.edge.wheel import NEVER, TICK, Wheel

SPAN: Final = 10
"""Seconds that it looks back."""
ALWAYS: Final = 3
"""Retries in that span that need no requests to be a share of."""
_SECOND: Final = round(1 / TICK)


class Budget:
    """`requests` tells how many there have been: that they are counted is all that a request costs here."""

    __slots__ = ("_before", "_requests", "_retries", "_share", "_since", "_wheel", "due", "retries", "seen")

    def __init__(self, share: float, wheel: Wheel, requests: Callable[[], int]) -> None:
        self.due = self.seen = NEVER
        self.retries = 0
        self._requests = requests
        self._share = share
        self._wheel = wheel
        self._since = wheel.now
        # What both counts were at the end of each of the seconds before.
        self._before: deque[int] = deque([0] * SPAN, SPAN)
        self._retries: deque[int] = deque([0] * SPAN, SPAN)

    def watch(self) -> None:
        """There are requests, or will be: count them by the second."""
        if self.due == NEVER:
            self._roll()  # what comes now belongs to this second, not to those before it
            self.due = self._wheel.now + _SECOND
            self._wheel.hasten(self)

    def take(self) -> bool:
        """Whether there may be another retry now; then it is counted."""
        self._roll()
        if self.retries - self._retries[0] >= ALWAYS + self._share * (self._requests() - self._before[0]):
            return False
        self.retries += 1
        return True

    def expired(self) -> None:
        self._roll()
        if self._before[0] != self._requests():  # else nothing has happened for as long as it looks back
            self.watch()

    def _roll(self) -> None:
        passed = (self._wheel.now - self._since) // _SECOND
        if passed > 0:
            self._since += passed * _SECOND
            for _ in range(min(passed, SPAN)):
                self._before.append(self._requests())
                self._retries.append(self.retries)
