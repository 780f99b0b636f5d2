"""What evaluations cost: time of whole ones with the journal off, and time and memory of each statement by a journal.

Waiting costs nothing on a test's clock, so what is measured is the tree's own work, with stores in memory and stubbed
upstreams. Only what passes between two entries of a journal can be told apart: the way to the service is counted with
the first statement, and what is done for an answer after the last.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from policylang.record import record
from policylang.sdk.exchange import Exchange, Response
from policylang.sdk.outcome import Failed

Row = tuple[str, int, str]
"""File, line and the statement's word."""
AFTER: Row = ("", 0, "(the answer)")
ENOUGH = 2_000
"""Requests of a round."""
ROUND = 0.2
"""Seconds after which a round begins nothing more, however few they were."""


@record
class Cost:
    """Of one statement: how often it came to an outcome, and of each time its ns and bytes. `bytes` is the most that
    was held more than before it."""

    row: Row
    times: int
    ns: float
    bytes: float


@record
class Costs:
    """`evaluation`: ns of one with the journal off, a mean of all requests; of several rounds the least, as for each
    statement. `requests`: of one round."""

    requests: int
    evaluation: float
    allocated: float
    rows: tuple[Cost, ...]


class Meter:
    """Adds up what one round spends."""

    def __init__(self) -> None:
        self.evaluations = 0
        self.whole = 0
        self.rows: dict[Row, list[int]] = {}

    def add(self, row: Row, spent: int) -> None:
        found = self.rows.setdefault(row, [0, 0])
        found[0] += 1
        found[1] += spent

    def journal(self, exchange: Exchange) -> list[Any]:
        """Of this exchange, whose statements are to be told apart."""
        return SpentJournal(self)


class Held(Meter):
    """Of memory, in bytes, while `tracemalloc` looks."""

    def journal(self, exchange: Exchange) -> list[Any]:
        return HeldJournal(self)


class SpentJournal(list[Any]):
    """Notes the ns between entries, without its own."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.meter = meter
        self.at = 0

    def now(self) -> int:
        return time.perf_counter_ns()

    def resume(self) -> None:
        """The evaluation goes on, after others had their turn."""
        self.at = self.now()

    def append(self, entry: Any) -> None:
        spent = self.now() - self.at
        place = entry[0]
        self.meter.add((place.file, place.line, place.name), spent)
        list.append(self, entry)
        self.resume()

    def extend(self, entries: Iterable[Any]) -> None:
        """Statements that end with the one before, as a tuple; or what branches noted, whose time is `parallel`'s."""
        if isinstance(entries, tuple):
            for entry in entries:
                self.append(entry)
        else:
            list.extend(self, entries)

    def branch(self, fork: Exchange) -> list[Any]:
        return []

    def end(self) -> None:
        self.meter.add(AFTER, self.now() - self.at)


class HeldJournal(SpentJournal):
    def now(self) -> int:
        return tracemalloc.get_traced_memory()[1]

    def resume(self) -> None:
        tracemalloc.reset_peak()
        self.at = tracemalloc.get_traced_memory()[0]


class MeteredTree:
    """A compiled policy whose evaluations are measured; else it is that policy."""

    def __init__(self, tree: Any, meter: Meter) -> None:
        self._tree = tree
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tree, name)

    def handle(self, exchange: Exchange) -> Any:
        request = exchange.request
        with suppress(Failed):  # no service goes by such a path
            service, _, _ = self._tree.find(request.host, request.path, request.method)
            # A test has a tree of its own, which compiles a service when it is asked first: no evaluation costs that.
            assert service is None or service.steps is not None
        return _Metered(self._tree.handle(exchange), exchange, self._meter)


class _Metered:
    """A coroutine of an evaluation: its steps are measured, what happens while it waits is not."""

    def __init__(self, coroutine: Coroutine[Any, None, Response], exchange: Exchange, meter: Meter) -> None:
        self._coroutine = coroutine
        self._exchange = exchange
        self._meter = meter

    def send(self, value: None) -> Any:
        journal = self._exchange.journal
        if isinstance(journal, SpentJournal):
            journal.resume()
            try:
                return self._coroutine.send(value)
            except StopIteration:
                journal.end()
                self._meter.evaluations += 1
                raise
        begun = time.perf_counter_ns()
        try:
            return self._coroutine.send(value)
        except StopIteration:
            self._meter.evaluations += 1
            raise
        finally:
            self._meter.whole += time.perf_counter_ns() - begun

    def close(self) -> None:
        self._coroutine.close()


def measure(play: Callable[[Meter, bool], None], rounds: int) -> Costs:
    """`play(meter, apart)` asks everything once, on trees that are metered; `apart`: with the meter's journals.

    Raises ValueError when nothing is asked.
    """
    first = Meter()
    play(first, False)  # what is made when it is first wanted is no part of what an evaluation costs
    if not first.evaluations:
        raise ValueError("nothing is asked")
    whole: list[float] = []
    apart: dict[Row, list[float]] = {}
    for _ in range(rounds):
        meter = _round(play, False)
        whole.append(meter.whole / meter.evaluations)
        for row, (times, spent) in _round(play, True).rows.items():
            apart.setdefault(row, []).append(spent / times)
    held = Held()
    tracemalloc.start()
    try:
        play(held, True)
    finally:
        tracemalloc.stop()
    rows = [
        Cost(row, times, min(apart.get(row, [0.0])), size / times) for row, (times, size) in held.rows.items()
    ]
    rows.sort(key=lambda cost: (cost.row == AFTER, cost.row))
    allocated = sum(size for _, size in held.rows.values()) / held.evaluations
    return Costs(held.evaluations, min(whole), allocated, tuple(rows))


def _round(play: Callable[[Meter, bool], None], apart: bool) -> Meter:
    """Few requests are asked more than once, as a single one says little."""
    meter = Meter()
    end = time.perf_counter() + ROUND
    while True:
        play(meter, apart)
        if meter.evaluations >= ENOUGH or time.perf_counter() >= end:
            return meter
