"""What one holder has spent of a window: when, and how many units."""

from __future__ import annotations

from array import array

CELLS = 400
"""Of what is not exact, spends within a window divided by this are one run, which ends with its last."""
_WASTE = 32


class Runs:
    """Each run ends a `window` (ns) after its last spend. `total`: units of all that had not ended at the last look."""

    __slots__ = ("_counts", "_head", "_times", "total", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.total = 0
        self._times = array("q")
        self._counts = array("q")
        self._head = 0  # what stands before it has ended

    def add(self, units: int, now: int, exact: bool) -> None:
        times = self._times
        if times and now <= times[-1]:
            now = times[-1]
        if len(times) > self._head and (
            now == times[-1] or (not exact and now * CELLS // self.window == times[-1] * CELLS // self.window)
        ):
            times[-1] = now
            self._counts[-1] += units
        else:
            times.append(now)
            self._counts.append(units)
        self.total += units

    def live(self, now: int) -> int:
        """The units that have not ended."""
        times, counts, head = self._times, self._counts, self._head
        ended = now - self.window
        end = len(times)
        while head < end and times[head] <= ended:
            self.total -= counts[head]
            head += 1
        if head > _WASTE and head * 2 > end:
            del times[:head], counts[:head]
            head = 0
        self._head = head
        return self.total

    def next_end(self, now: int) -> int:
        """When the next of them ends; a window from now where there is none."""
        self.live(now)
        return (self._times[self._head] if len(self._times) > self._head else now) + self.window
