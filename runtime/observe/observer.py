"""What becomes of an exchange that is over: it is counted, and a line of the log is written.

This is on every request's way. What a policy's exchanges have in common is made once: a `Verdict` for each path through
the policy, and in it a `Row` for each way to end (method, status, server…), which have the cells to count in and the
constant parts of the log's line.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from policylang.sdk import Exchange, Failure
from policylang.sdk.limits_told import Told
from runtime.edge.request import ReceivedRequest, Trace
from runtime.observe.access_log import PROTOCOLS, Place, PolicyLog
from runtime.observe.catalog import (
    ASSERTION,
    ASSERTION_TIME,
    CLIENT,
    LIMITS,
    METHODS,
    OWN,
    OWN_BOUNDS,
    REQUEST_BOUNDS,
    RETRIES,
    SAMPLED,
    SERVER,
)
from runtime.observe.counts import Counts, Step
from runtime.observe.timed import TimedJournal
from runtime.wire.request import RequestHead

MOST_VERDICTS: Final = 4096
"""Paths that a policy has in memory; then it begins anew with none."""
MOST_ROWS: Final = 256
"""Of one verdict; the same."""
FAILED_FROM: Final = 500
"""The status from which on an upstream's answer is an error, which the log always has."""

Row = tuple[int, int, int, str, str, str]
"""Cells of SERVER, OWN and CLIENT (-1: no server was asked); the line's text before the host, after the path and after
`sent`."""
Ending = tuple[str, int, str, str | None, str, str, int, int, str]
"""Method, status, version, the failure's name, upstream, its server, the status it gave, attempts, what a cache made of
it."""


class Verdict:
    """One path through the policy. `cell`: where it is counted; 0: its `steps` are to be counted one by one."""

    __slots__ = ("cell", "ending", "journal", "row", "rows", "service", "steps", "tail")

    def __init__(self, service: str, journal: list[Any], steps: list[Step], cell: int, tail: str | None) -> None:
        self.service = service
        self.journal = journal  # keeps its places alive, so that no other place takes their identities
        self.steps = steps
        self.cell = cell
        self.tail = tail  # of the log's line; None: too long for one that needs no care
        self.rows: dict[Ending, Row] = {}
        self.ending: Ending | None = None  # the last one, and its row
        self.row: Row = (0, 0, -1, "", "", "")


class Observer:
    """One for each policy; exchanges end with the one that they began with.

    `routes`: a service's name -> its `http_route`. `main`: the policy's first file, whose lines go without its name.
    `sample`: the share of what went well that the log has. `time_next(make)`: have the next exchange's journal made by
    `make`.
    """

    def __init__(
        self,
        counts: Counts | None,
        log: PolicyLog | None,
        routes: Mapping[str, str],
        main: str = "",
        sample: float = 1.0,
        monotonic: Callable[[], int] | None = None,
        time_next: Callable[[Callable[[], list[Any]]], None] | None = None,
    ) -> None:
        self._counts = counts
        self._row = counts.row if counts is not None else None
        self._log = log
        self._routes = routes
        self._main = main
        self._sample = sample
        self._monotonic = monotonic
        self._time_next = time_next
        self._until_timed = self._next_timed() if time_next is not None and monotonic is not None else -1
        self._verdicts: dict[tuple[Any, ...], Verdict] = {}
        self._places: dict[tuple[Any, str], int] = {}
        self._last: Verdict | None = None
        self._last_journal: list[Any] | None = None
        self._last_service = ""

    def done(
        self, exchange: Exchange, status: int, received: int, sent: int, ended: int, head: RequestHead, host: str
    ) -> None:
        """`Edge.on_done` of this policy's exchanges."""
        request: ReceivedRequest = exchange.request  # type: ignore[assignment]  # a cast would be a call
        trace: Trace = request.trace  # type: ignore[assignment]
        journal = exchange.journal
        failure = exchange.failure
        service = exchange.service
        if journal == self._last_journal and service == self._last_service:
            verdict: Verdict = self._last  # type: ignore[assignment]
        else:
            verdict = self._verdict(service, journal, failure)
        ending = (
            head.method, status, request.version, None if failure is None else failure.name,
            trace.pool, trace.server, trace.status, trace.attempts, trace.cache,
        )  # fmt: skip
        if ending == verdict.ending:  # quicker than a look-up: most are the very same objects
            row = verdict.row
        else:
            row = verdict.rows.get(ending) or self._new_row(verdict, ending)
            verdict.ending, verdict.row = ending, row
        duration = ended - exchange.started
        upstream = trace.upstream
        own = duration - upstream
        if own < 0:
            own = 0  # two servers were waited for at a time
        cells = self._row
        if cells is not None:
            server = row[0]
            cells[server if duration <= _SHORT else server + bisect_left(REQUEST_BOUNDS, duration)] += 1
            cells[server + _SERVER_SUM] += duration
            server = row[1]
            cells[server + bisect_left(OWN_BOUNDS, own)] += 1
            cells[server + _OWN_SUM] += own
            server = row[2]
            if server >= 0:
                cells[server if upstream <= _SHORT else server + bisect_left(REQUEST_BOUNDS, upstream)] += 1
                cells[server + _SERVER_SUM] += upstream
                if trace.attempts > 1:
                    self._count_retries(trace)
            if verdict.cell:
                cells[verdict.cell] += 1
            else:
                self._count_steps(verdict.steps)
            limits = exchange.limits
            if limits is not None and (len(limits) > 1 or limits[0][3]):
                self._count_limits(service, limits)
            self._until_timed -= 1
            if self._until_timed <= 0 or journal.__class__ is TimedJournal:
                self._time(journal, service)
        log = self._log
        if log is not None and (self._sample >= 1 or self._chosen(failure, status)):
            log.line(
                exchange, status, received, sent, ended, upstream, own, head, host, row[3], row[4], row[5],
                verdict.tail,
            )  # fmt: skip

    def _chosen(self, failure: Failure | None, status: int) -> bool:
        return failure is not None or status >= FAILED_FROM or random.random() < self._sample

    # --- what is made once ---

    def _verdict(self, service: str, journal: list[Any] | None, failure: Failure | None) -> Verdict:
        entries = journal or ()
        found = None
        key: tuple[Any, ...] = ()
        if failure is None:
            key = (service, *entries)  # entries of what has passed are the same object each time
            found = self._verdicts.get(key)
        if found is None:
            # A failure is another object each time: its name stands for it.
            key = (service, *[entry if entry[1] is None else (entry[0], _outcome(entry[1])) for entry in entries])
            found = self._verdicts.get(key)
            if found is None:
                found = self._new_verdict(service, list(entries), key)
        # Not the exchange's own list: what still runs when it is given up may add to that.
        self._last, self._last_journal, self._last_service = found, found.journal, service
        return found

    def _new_verdict(self, service: str, journal: list[Any], key: tuple[Any, ...]) -> Verdict:
        steps = [(service, place.name, self._line(place), _outcome(outcome)) for place, outcome in journal]
        cell = self._counts.path(steps) if self._counts is not None else 0
        tail = self._log.tail(journal) if self._log is not None else None
        if len(self._verdicts) >= MOST_VERDICTS:
            self._verdicts.clear()
        made = self._verdicts[key] = Verdict(service, journal, steps, cell, tail)
        return made

    def _line(self, place: Place) -> str:
        return str(place.line) if place.file == self._main else f"{place.file}:{place.line}"

    def _new_row(self, verdict: Verdict, ending: Ending) -> Row:
        method, status, version, failure, upstream, server, answered, attempts, cache = ending
        cells = (0, 0, -1)
        counts = self._counts
        if counts is not None:
            known = method if method in METHODS else "_OTHER"
            error = failure or (str(status) if status >= FAILED_FROM else "")
            route = self._routes.get(verdict.service, "")
            asked = -1
            if server:
                wrong = "" if 0 < answered < FAILED_FROM else str(answered) if answered else error or "no-answer"
                host, _, port = server.rpartition(":")
                asked = counts.series(
                    CLIENT, upstream, host or server, port, known, str(answered) if answered else "", wrong
                )
            cells = (
                counts.series(SERVER, known, str(status), route, error, version),
                counts.series(OWN, verdict.service),
                asked,
            )
        texts = ("", "", "")
        if self._log is not None:
            protocol = PROTOCOLS.get(version) or f"HTTP/{version}"
            texts = self._log.texts(verdict.service, method, protocol, status, server, answered, attempts - 1, cache)
        if len(verdict.rows) >= MOST_ROWS:
            verdict.rows.clear()
        row = verdict.rows[ending] = (*cells, *texts)
        return row

    # --- what is seldom counted ---

    def _count_retries(self, trace: Trace) -> None:
        counts = cast(Counts, self._counts)
        counts.row[counts.series(RETRIES, trace.pool)] += trace.attempts - 1

    def _count_limits(self, service: str, limits: list[Told]) -> None:
        counts = cast(Counts, self._counts)
        for policy, _, _, word in limits:
            if word:
                counts.row[counts.series(LIMITS, service, policy.name, word)] += 1

    def _count_steps(self, steps: list[Step]) -> None:
        counts = cast(Counts, self._counts)
        for step in steps:
            counts.row[counts.series(ASSERTION, *step)] += 1

    def _next_timed(self) -> int:
        # Not every hundredth: traffic may have a rhythm of its own.
        return random.randint(1, 2 * SAMPLED - 1)

    def _time(self, journal: list[Any] | None, service: str) -> None:
        """Take up the times of a journal that has them, and have another one timed when its turn has come."""
        counts = cast(Counts, self._counts)
        if isinstance(journal, TimedJournal):
            for (place, _), spent in journal.spent:
                cell = self._places.get((place, service))
                if cell is None:
                    cell = counts.series(ASSERTION_TIME, service, place.name, self._line(place))
                    self._places[place, service] = cell
                counts.row[cell] += 1
                counts.row[cell + 1] += spent
        if self._until_timed <= 0 and self._time_next is not None and self._monotonic is not None:
            self._until_timed = self._next_timed()
            monotonic = self._monotonic
            self._time_next(lambda: TimedJournal(monotonic))


def _outcome(outcome: Any) -> str:
    if outcome is None:
        return "passed"
    return outcome.name if isinstance(outcome, Failure) else str(outcome)


_SHORT: Final = REQUEST_BOUNDS[0]
_SERVER_SUM: Final = len(REQUEST_BOUNDS) + 1
_OWN_SUM: Final = len(OWN_BOUNDS) + 1
