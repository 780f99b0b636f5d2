"""Lines of exchanges that wait for their turn, first come, first served, one line for each key. In one process."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from policylang.sdk.waiter import Waiter

if TYPE_CHECKING:
    from policylang.sdk.exchange import Clock

MOST_WAITING: Final = 10_000
"""Exchanges that wait in all lines of a process together."""


class Place:
    """One exchange in a line. `cost`: what it waits for. `turn` fires with True when it is the first, with False when
    its deadline (monotonic ns) has come before that."""

    __slots__ = ("_called", "_line", "cost", "deadline", "turn")

    def __init__(self, line: Line, cost: int, deadline: int) -> None:
        self._line = line
        self._called = False
        self.cost = cost
        self.deadline = deadline
        self.turn: Waiter[bool] = Waiter()

    def leave(self) -> None:
        """Give the place up, first or not, waiting or not: who is behind moves up. Once."""
        self._line.left(self)

    def call(self) -> None:
        if not self._called:
            self._called = True
            self.turn.fire(True)


class Line:
    """Those who wait for one key. `cost`: what they wait for together."""

    __slots__ = ("_clock", "_key", "_lines", "_places", "cost")

    def __init__(self, lines: Lines, key: bytes, clock: Clock) -> None:
        self._lines = lines
        self._key = key
        self._clock = clock
        self._places: OrderedDict[Place, None] = OrderedDict()
        self.cost = 0

    def __len__(self) -> int:
        return len(self._places)

    def join(self, cost: int, deadline: int) -> Place:
        place = Place(self, cost, deadline)
        last = next(reversed(self._places), None)
        if last is None:
            place.call()
        elif deadline < last.deadline:
            # Usually all wait equally long, and nobody's deadline comes before he is the first.
            seconds = (deadline - self._clock.monotonic()) / 1e9
            self._clock.sleep(seconds).callback = lambda: place.turn.fire(False)
        self._places[place] = None
        self.cost += cost
        self._lines.waiting += 1
        return place

    def left(self, place: Place) -> None:
        first = next(iter(self._places)) is place
        del self._places[place]
        self.cost -= place.cost
        self._lines.waiting -= 1
        if not self._places:
            del self._lines.known[self._key]
        elif first:
            # In a turn of its own: who leaves goes on before the next begins, and a long line makes no deep stack.
            self._clock.sleep(0).callback = self._call

    def _call(self) -> None:
        first = next(iter(self._places), None)
        if first is not None:
            first.call()


class Lines:
    """All lines of a process. `known`: by key, those where somebody waits; `waiting`: how many in all of them."""

    __slots__ = ("known", "most", "waiting")

    def __init__(self, most: int = MOST_WAITING) -> None:
        self.most = most
        self.known: dict[bytes, Line] = {}
        self.waiting = 0

    def join(self, key: bytes, cost: int, deadline: int, clock: Clock) -> Place:
        """Stand at the end of this key's line. The `turn` of whoever is alone there has come."""
        line = self.known.get(key)
        if line is None:
            line = self.known[key] = Line(self, key, clock)
        return line.join(cost, deadline)

    @property
    def full(self) -> bool:
        return self.waiting >= self.most
