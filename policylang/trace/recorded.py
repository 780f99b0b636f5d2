"""A journal that notes, beside each entry, when it came and what its statement read and bound.

    exchange.journal = Recorded(exchange)

An exchange whose journal is a plain list, or None, pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from time import monotonic_ns, perf_counter_ns
from typing import Any, TypeAlias

from policylang.sdk.exchange import Exchange
from policylang.trace.plan import Plan, plan_of, together

MOST_NOTES = 10_000
"""Entries of one journal that are noted; those after them have neither times nor values."""


Note: TypeAlias = tuple[int, int, Any]
"""`(at, now, values)`, with nothing worked out yet: the exchange's clock, this machine's, both in ns; and the values of
the place's plan, as they are: references, of which nobody makes text until it is asked for."""


class Recorded(list[Any]):
    """`came`: the request's method, path and query, before the policy could write them. `begun`: when, by this
    machine's clock, the entries of these numbers began: the others did when the one before them came.

    It holds its exchange, and is held by it: `release` ends that.
    """

    # `_raw` has a note for each entry while there is room: of a place that `goes_on` the moment alone. What it read,
    # and when that was by the exchange's clock, is noted with the next that does not: nothing was written between them,
    # and nothing waited. `_read`: the entries whose values were read.
    __slots__ = ("_clock", "_exchange", "_raw", "_read", "_room", "begun", "came")

    def __init__(self, exchange: Exchange) -> None:
        request = exchange.request
        self.came = (request.method, request.path, request.query_string)
        self._raw: list[Any] = []
        self._read = 0
        self._room = MOST_NOTES
        self._exchange: Any = exchange
        self._clock = exchange.environment.clock.monotonic
        self.begun = {0: perf_counter_ns()}

    def append(self, entry: Any) -> None:
        number = len(self)
        if number < self._room:
            place = entry[0]
            if place.goes_on and entry[1] is None:
                self._raw.append(perf_counter_ns())
            else:
                now = perf_counter_ns()
                plan = place.plan or plan_of(place)
                before = number - self._read
                read = plan.read if not before else plan.reads.get(before) or self._reads(plan, before)
                values = None
                if read is not None:
                    try:
                        values = read(self._exchange)
                    except Exception:  # something is not there: the others are
                        values = [each for one in self._plans(plan, before) for each in one.one_by_one(self._exchange)]
                self._raw.append((self._clock(), now, values))
                self._read = number + 1
        list.append(self, entry)

    def _reads(self, plan: Plan, before: int) -> Any:
        """What reads for the last entries too: always the same ones for a number of them, as they are of the statements
        that stand before this one."""
        found = plan.reads[before] = together(self._plans(plan, before))
        return found

    def _plans(self, plan: Plan, before: int) -> list[Plan]:
        return [*(plan_of(entry[0]) for entry in self[len(self) - before :]), plan]

    @property
    def notes(self) -> list[Note]:
        """One for each entry, for the first MOST_NOTES of them or a few more."""
        runs = self._clock is monotonic_ns  # else it stands still while something is worked out
        found: list[Note] = []
        at, first = self._clock(), 0
        for number, raw in enumerate(self._raw):
            if raw.__class__ is not int:
                at, now, values = raw
                left = iter(values or ())
                for moment, entry in zip(self._raw[first:number], self[first:number], strict=True):
                    own = [*islice(left, len(plan_of(entry[0]).exprs))]
                    found.append((at - (now - moment) * runs, moment, own))
                found.append((at, now, [*left]))
                first = number + 1
        return [*found, *((at, moment, ()) for moment in self._raw[first:])]  # a defect came between

    def extend(self, entries: Iterable[Any]) -> None:
        if isinstance(entries, Recorded):  # of a branch of `parallel`
            raw, theirs = self._raw, entries.notes
            if len(raw) == len(self) and theirs:
                ended = max(theirs[-1][1], self.begun.get(len(raw), 0))  # the last of the branches
                self.begun |= {len(raw) + number: moment for number, moment in entries.begun.items()}
                raw += theirs
                self._read = len(raw)
                self.begun[len(raw)] = ended
            list.extend(self, entries)
            entries.release()
            return
        for entry in entries:
            self.append(entry)

    def branch(self, fork: Exchange) -> Recorded:
        """The journal of a branch of `parallel`, which is taken over in the end."""
        return Recorded(fork)

    def release(self) -> None:
        """Let the exchange go: what was noted stays, nothing more is."""
        self._exchange = None
        self._room = 0
