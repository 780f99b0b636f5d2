"""Deadlines of connections, without a timer for each request.

Time moves in ticks of 100 ms. Whoever has a deadline writes the tick into its own `due`; that is all it costs. The
wheel looks at each of them when it was last known to be due: if `due` has moved on by then, it is put off until then.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from policylang.sdk import Clock

TICK: Final = 0.1
"""Seconds."""
NEVER: Final = 1 << 62
_TICK_NS: Final = 100_000_000
_FAR: Final = 1000


class Timed(Protocol):
    """Something with a deadline. `due`: the tick after which `expired` is called. `seen`: the wheel's own.

    Both begin as NEVER. Moving `due` later, or to NEVER, is an assignment; whoever moves it before `seen` calls
    `Wheel.hasten`.
    """

    due: int
    seen: int

    def expired(self) -> None: ...


class Wheel:
    """`now` is the current tick. It turns when `turn` is called, which `start` has the loop do every 100 ms."""

    __slots__ = ("_clock", "_slots", "_timer", "now")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: dict[int, set[Timed]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.now = clock.monotonic() // _TICK_NS

    def hasten(self, timed: Timed) -> None:
        """Look at it at its `due`, which has become earlier than the wheel would look."""
        if timed.seen != NEVER:
            self._drop(timed)
        at = timed.due if timed.due > self.now else self.now + 1
        timed.seen = at
        slot = self._slots.get(at)
        if slot is None:
            self._slots[at] = {timed}
        else:
            slot.add(timed)

    def forget(self, timed: Timed) -> None:
        """Let go of it: its `due` counts no more."""
        timed.due = NEVER
        if timed.seen != NEVER:
            self._drop(timed)

    def _drop(self, timed: Timed) -> None:
        slot = self._slots.get(timed.seen)
        if slot is not None:
            slot.discard(timed)
            if not slot:
                del self._slots[timed.seen]
        timed.seen = NEVER

    def turn(self) -> None:
        """Catch up with the clock: everything that is due expires."""
        now = self._clock.monotonic() // _TICK_NS
        while self.now < now:
            if now - self.now > _FAR:  # the process was stopped, or a test leaps: pass over what is empty
                self.now = min(now, min(self._slots, default=now)) - 1
            self.now += 1
            slot = self._slots.pop(self.now, None)
            if slot is None:
                continue
            for timed in slot:
                timed.seen = NEVER
            for timed in slot:
                if timed.due <= self.now:
                    timed.due = NEVER
                    timed.expired()
                elif timed.due < timed.seen:
                    self.hasten(timed)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self.turn()
        self._timer = loop.call_later(TICK, self.start, loop)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def ticks(seconds: float) -> int:
    """A span in ticks, never shorter than it was asked for: the current tick has begun already."""
    return int(-(-seconds // TICK)) + 1
