"""A journal that notes, beside each entry, when it came and what its statement read and bound.

    exchange.journal = Recorded(exchange)

An exchange whose journal is a plain list, or None, pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter_ns
from typing import Any, NamedTuple

from policylang.sdk.exchange import Exchange
from policylang.trace.plan import plan_of

MOST_NOTES = 10_000
"""Entries of one journal that are noted; those after them have neither times nor values."""


class Note(NamedTuple):
    """`at`: ns on the exchange's clock since it began. `took`: ns of this machine since the entry before.

    `values`: of the place's plan, as they are: references, of which nobody makes text until it is asked for.
    """

    at: int
    took: int
    values: Any


class Recorded(list[Any]):
    """`notes`: one for each entry, for the first MOST_NOTES of them. `came`: the request's method, path and query,
    before the policy could write them.

    It holds its exchange, and is held by it: `release` ends that.
    """

    __slots__ = ("_before", "_exchange", "_monotonic", "_started", "came", "notes")

    def __init__(self, exchange: Exchange) -> None:
        request = exchange.request
        self.came = (request.method, request.path, request.query_string)
        self.notes: list[Note] = []
        self._exchange: Exchange | None = exchange
        self._monotonic = exchange.environment.clock.monotonic
        self._started = exchange.started
        self._before = perf_counter_ns()

    def append(self, entry: Any) -> None:
        notes = self.notes
        exchange = self._exchange
        if len(notes) == len(self) < MOST_NOTES and exchange is not None:
            now = perf_counter_ns()
            place = entry[0]
            plan = place.plan
            if plan is None:
                plan = plan_of(place)
            read = plan.read
            values: Any = ()
            if read is not None:
                try:
                    values = read(exchange)
                except Exception:  # something is not there: the others are
                    values = plan.one_by_one(exchange)
            notes.append(Note(self._monotonic() - self._started, now - self._before, values))
            self._before = perf_counter_ns()
        list.append(self, entry)

    def extend(self, entries: Iterable[Any]) -> None:
        if isinstance(entries, Recorded):  # of a branch of `parallel`
            if len(self.notes) == len(self):
                self.notes += entries.notes
            list.extend(self, entries)
            entries.release()
            self._before = perf_counter_ns()
            return
        for entry in entries:
            self.append(entry)

    def branch(self, fork: Exchange) -> Recorded:
        """The journal of a branch of `parallel`, which is taken over in the end."""
        return Recorded(fork)

    def release(self) -> None:
        """Let the exchange go: what was noted stays, nothing more is."""
        self._exchange = None
