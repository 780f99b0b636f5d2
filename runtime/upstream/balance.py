"""Which server is next: decisions over what is known of the servers, without I/O and without a clock.

A decision costs the same among three servers and among a thousand: what would take a look at all of them is done when
a server's share changes, not when a request comes.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import count
from math import exp, gcd
from typing import ClassVar, Final, Generic, TypeVar

from runtime.upstream.turns import fair_turns

FULL: Final = 100
"""A whole share. A server that comes back begins with less; one with nothing is not chosen."""
LONGEST_ROUND: Final = 65_536
"""Turns of a weighted round that are kept for the next rounds; a longer round is worked out again each time."""
FORGET: Final = 10e9
"""Nanoseconds in which a measured time loses all but 37 % of its say."""
UNKNOWN: Final = 1e9
"""What a server is taken to cost (ns) that works on requests and has not answered any, or that has failed."""


class Candidate:
    """What a balance knows of a server. `share`: of its `weight` what it may have now, from 0 to FULL.

    `name` decides where `hash` puts it. `active`: requests that it works on, where the balance counts them.
    """

    __slots__ = ("active", "mark", "measured", "name", "share", "took", "turn", "weight")

    def __init__(self, name: str, weight: int = 1) -> None:
        self.name = name
        self.weight = weight
        self.share = FULL
        self.active = 0
        self.mark = 0  # of its one entry that counts, in a heap
        self.turn = 0.0  # the turns it has had, for its weight
        self.took = 0.0  # how long its answers take (ns), the worst weighing most
        self.measured = 0  # when that was (ns)


C = TypeVar("C", bound=Candidate)


class Balance(ABC, Generic[C]):
    """`counted`: it wants to hear of every request's beginning and end. `timed`: `now` and `measured` matter."""

    counted: ClassVar[bool] = False
    timed: ClassVar[bool] = False

    def __init__(self, candidates: Sequence[C]) -> None:
        self.candidates = list(candidates)
        self._usable: list[C] = []
        self.changed()

    def changed(self) -> None:
        """Shares have changed."""
        self._usable = [one for one in self.candidates if one.share]

    @abstractmethod
    def choose(self, key: str, now: int) -> C | None:
        """None where nobody may be asked. `key`: what `hash` looks at; `now`: monotonic ns."""

    def other(self, tried: Sequence[C], key: str, now: int) -> C | None:
        """One that is not among the `tried`, who are few; else None.

        Any of them, and not whose turn it is: else a retry would take the turn of the next server, and with two of them
        every request would begin with the one that fails.
        """
        return self._any_other(tried)

    def _any_other(self, tried: Sequence[C]) -> C | None:
        usable = self._usable
        start = int(random.random() * len(usable))
        for at in range(start, start + min(len(usable), len(tried) + 1)):
            one = usable[at % len(usable)]
            if one not in tried:
                return one
        return None

    def started(self, one: C) -> None:
        one.active += 1

    def ended(self, one: C) -> None:
        one.active -= 1

    def measured(self, one: C, now: int, took: int, failed: bool) -> None:
        """How long its answer took (ns)."""


class RoundRobin(Balance[C]):
    """Each in turn, and as often as its weight says. What one round is has to be worked out once only."""

    def __init__(self, candidates: Sequence[C]) -> None:
        self._last: C | None = None
        super().__init__(candidates)

    def changed(self) -> None:
        super().changed()
        # The new round begins behind who was last, else those in front get more with every change.
        usable = self._usable
        if self._last in usable:
            at = usable.index(self._last) + 1
            usable = self._usable = usable[at:] + usable[:at]
        weights = [one.weight * one.share for one in usable]
        divisor = gcd(*weights)
        self._weights = [weight // divisor for weight in weights] if divisor else []
        self._total = sum(self._weights)
        self._at = 0
        if self._total == len(usable):
            self._round: list[C] = usable
        else:
            self._round = []
            self._turns = fair_turns(self._weights)

    def choose(self, key: str, now: int) -> C | None:
        at, known = self._at, self._round
        if at < len(known):
            self._at = at + 1
            self._last = chosen = known[at]
            return chosen
        return self._next()

    def _next(self) -> C | None:
        if not self._total:
            return None
        if self._at >= self._total:
            self._at = 0
            if self._round:
                return self.choose("", 0)
            self._turns = fair_turns(self._weights)
        self._at += 1
        self._last = chosen = self._usable[next(self._turns)]
        if self._total <= LONGEST_ROUND:
            self._round.append(chosen)
        return chosen


class LeastConnections(Balance[C]):
    """Who has the least to do for its weight; among equals who has had the fewest turns for its weight.

    A heap with one entry for each that counts; what was entered before and does not hold any more is thrown away when
    it comes up.
    """

    counted: ClassVar[bool] = True

    def __init__(self, candidates: Sequence[C]) -> None:
        self._heap: list[tuple[float, float, int, C]] = []
        self._marks = count(1)
        self._turn = 0.0
        super().__init__(candidates)

    def changed(self) -> None:
        super().changed()
        for one in self.candidates:
            one.mark = 0
        for one in self._usable:
            one.turn = max(one.turn, self._turn)  # it does not get now what it has missed
        self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [self._entry(one) for one in self._usable]
        heapify(self._heap)
        self._most = 4 * len(self._heap) + 64

    def _entry(self, one: C) -> tuple[float, float, int, C]:
        one.mark = mark = next(self._marks)
        return one.active / (one.weight * one.share), one.turn, mark, one

    def choose(self, key: str, now: int) -> C | None:
        heap = self._heap
        while heap:
            _, turn, mark, one = heap[0]
            if mark == one.mark:
                if turn > self._turn:
                    self._turn = turn
                return one
            heappop(heap)
        return None

    def other(self, tried: Sequence[C], key: str, now: int) -> C | None:
        found = [self._any_other(tried), self._any_other(tried)]
        return min((one for one in found if one is not None), key=_load, default=None)

    def started(self, one: C) -> None:
        one.active += 1
        if one.share:
            one.turn += FULL / (one.weight * one.share)
            heap = self._heap
            if heap and heap[0][3] is one:
                heapreplace(heap, self._entry(one))
            else:
                self._push(one)

    def ended(self, one: C) -> None:
        one.active -= 1
        if one.share:
            self._push(one)

    def _push(self, one: C) -> None:
        heappush(self._heap, self._entry(one))
        if len(self._heap) > self._most:
            self._rebuild()


def _load(one: Candidate) -> float:
    return one.active / (one.weight * one.share)


class Latency(Balance[C]):
    """The better of two drawn at random, by how long answers take and how many it works on (peak EWMA).

    A slow answer counts at once and is forgotten slowly, and so is a failure: what fails fast is not fast.
    """

    counted: ClassVar[bool] = True
    timed: ClassVar[bool] = True

    def choose(self, key: str, now: int) -> C | None:
        usable = self._usable
        size = len(usable)
        if size < 2:
            return usable[0] if usable else None
        first = int(random.random() * size)
        second = int(random.random() * (size - 1))
        if second >= first:
            second += 1
        one, another = usable[first], usable[second]
        return one if self._cost(one, now) <= self._cost(another, now) else another

    def other(self, tried: Sequence[C], key: str, now: int) -> C | None:
        found = [self._any_other(tried), self._any_other(tried)]
        return min((one for one in found if one is not None), key=lambda one: self._cost(one, now), default=None)

    def _cost(self, one: C, now: int) -> float:
        took = one.took * exp((one.measured - now) / FORGET) if one.took else UNKNOWN if one.active else 0.0
        return took * (one.active + 1) / (one.weight * one.share)

    def measured(self, one: C, now: int, took: int, failed: bool) -> None:
        worth: float = max(took, UNKNOWN) if failed else took
        past = one.took
        if past and worth < past:
            worth += (past - worth) * exp((one.measured - now) / FORGET)
        one.took = worth
        one.measured = now
