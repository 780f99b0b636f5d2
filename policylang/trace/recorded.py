"""A journal that notes, beside each entry, when it came and what its statement read and bound.

    exchange.journal = Recorded(exchange)

An exchange whose journal is a plain list, or None, pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter_ns
from typing import Any, TypeAlias

from policylang.sdk.exchange import Exchange
from policylang.trace.plan import plan_of

MOST_NOTES = 10_000
"""Entries of one journal that are noted; those after them have neither times nor values."""


Note: TypeAlias = tuple[int, int, Any]
"""`(at, now, values)`, with nothing worked out yet: the exchange's clock, this machine's, both in ns; and the values of
the place's plan, as they are: references, of which nobody makes text until it is asked for."""


class Recorded(list[Any]):
    """`notes`: one for each entry, for the first MOST_NOTES of them. `came`: the request's method, path and query,
    before the policy could write them. `begun`: when, by this machine's clock, the entries of these numbers began: the
    others did when the one before them came.

    It holds its exchange, and is held by it: `release` ends that.
    """

    __slots__ = ("_exchange", "_monotonic", "begun", "came", "notes")

    def __init__(self, exchange: Exchange) -> None:
        request = exchange.request
        self.came = (request.method, request.path, request.query_string)
        self.notes: list[Note] = []
        self._exchange: Exchange | None = exchange
        self._monotonic = exchange.environment.clock.monotonic
        self.begun = {0: perf_counter_ns()}

    def append(self, entry: Any) -> None:
        notes = self.notes
        exchange = self._exchange
        if len(notes) == len(self) < MOST_NOTES and exchange is not None:
            now = perf_counter_ns()
            values = None
            plan = entry[0].plan or plan_of(entry[0])
            if plan.read is not None:
                try:
                    values = plan.read(exchange)
                except Exception:  # something is not there: the others are
                    values = plan.one_by_one(exchange)
            notes.append((self._monotonic(), now, values))
        list.append(self, entry)

    def extend(self, entries: Iterable[Any]) -> None:
        if isinstance(entries, Recorded):  # of a branch of `parallel`
            notes, theirs = self.notes, entries.notes
            if len(notes) == len(self) and theirs:
                ended = max(theirs[-1][1], self.begun.get(len(notes), 0))  # the last of the branches
                self.begun |= {len(notes) + number: moment for number, moment in entries.begun.items()}
                notes += theirs
                self.begun[len(notes)] = ended
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
