"""Statements that hold statements. The sequence a block stands in journals it; it journals nothing itself.

What waits has a class of its own: a coroutine costs a layer on every resumption, so nothing that cannot wait is one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failure, Kind
from policylang.tree.outcome import (
    CANCELLED,
    COROUTINE,
    Outcome,
    Place,
    Run,
    Step,
    Waiting,
    failure_of,
    note,
    placed,
)
from policylang.tree.values import kind_of, phrase

MOST_ROUNDS = 1000
"""Rounds of one `for`."""


class AllOf:
    """Steps one after the other, up to the first that does not pass. None of them waits."""

    __slots__ = ("steps",)

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps = tuple(steps)

    def run(self, exchange: Exchange) -> Outcome:
        journal = exchange.journal
        for run, _, closes, inside, _ in self.steps:
            outcome = run(exchange)
            if outcome is not None:
                note(exchange, inside, outcome)
                return outcome
            if closes and journal is not None:
                journal.extend(closes)
        return None


class AllOfWaiting:
    """As AllOf, where a step may wait."""

    __slots__ = ("steps",)

    def __init__(self, steps: Iterable[Step]) -> None:
        self.steps = tuple(steps)

    async def run(self, exchange: Exchange) -> Outcome:
        journal = exchange.journal
        inside: tuple[Place, ...] = ()
        try:
            for run, waits, closes, inside, _ in self.steps:
                outcome = run(exchange)
                if waits and outcome.__class__ is COROUTINE:
                    outcome = await outcome
                if outcome is not None:
                    note(exchange, inside, outcome)
                    return outcome
                if closes and journal is not None:
                    journal.extend(closes)
        except GeneratorExit:
            note(exchange, inside, CANCELLED)
            raise
        return None


# --- one way of several: what is taken decides, and its outcome is the statement's ---


class If:
    """Gives the outcome of the branch taken, or the coroutine of it: no layer of its own."""

    __slots__ = ("arms", "orelse", "place")

    def __init__(
        self, place: Place, arms: tuple[tuple[Callable[[Exchange], bool], Run], ...], orelse: Run | None
    ) -> None:
        self.place = place
        self.arms = arms
        self.orelse = orelse

    def run(self, exchange: Exchange) -> Outcome | Waiting:
        taken = self.orelse
        try:
            for condition, run in self.arms:
                if condition(exchange):
                    taken = run
                    break
        except Exception as error:
            return failure_of(error, self.place, exchange)
        return None if taken is None else taken(exchange)


class MatchTexts:
    """All patterns are texts, or `none`: one look-up."""

    __slots__ = ("orelse", "place", "subject", "table")

    def __init__(
        self, place: Place, subject: Callable[[Exchange], Any], table: dict[str | None, Run], orelse: Run
    ) -> None:
        self.place = place
        self.subject = subject
        self.table = table
        self.orelse = orelse

    def run(self, exchange: Exchange) -> Outcome | Waiting:
        try:
            value = self.subject(exchange)
        except Exception as error:
            return failure_of(error, self.place, exchange)
        if value.__class__ is str or value is None:
            return self.table.get(value, self.orelse)(exchange)
        return self.orelse(exchange)


class Match:
    """Any patterns: tests in the order of the text."""

    __slots__ = ("cases", "orelse", "place", "subject")

    def __init__(
        self,
        place: Place,
        subject: Callable[[Exchange], Any],
        cases: tuple[tuple[Callable[[Any], bool], Run], ...],
        orelse: Run,
    ) -> None:
        self.place = place
        self.subject = subject
        self.cases = cases
        self.orelse = orelse

    def run(self, exchange: Exchange) -> Outcome | Waiting:
        taken = self.orelse
        try:
            value = self.subject(exchange)
            for test, run in self.cases:
                if test(value):
                    taken = run
                    break
        except Exception as error:
            return failure_of(error, self.place, exchange)
        return taken(exchange)


def unmatched(place: Place) -> Run:
    failure = placed(Failure("no-match", 403), place)
    return lambda exchange: failure


class Split:
    """`draw` gives a number from 0 up to 1, `edges` where each arm but the last ends."""

    __slots__ = ("draw", "edges", "place", "runs")

    def __init__(
        self, place: Place, draw: Callable[[Exchange], float], edges: tuple[float, ...], runs: tuple[Run, ...]
    ) -> None:
        self.place = place
        self.draw = draw
        self.edges = edges
        self.runs = runs

    def run(self, exchange: Exchange) -> Outcome | Waiting:
        try:
            taken = bisect_right(self.edges, self.draw(exchange))
        except Exception as error:
            return failure_of(error, self.place, exchange)
        return self.runs[taken](exchange)


# --- rounds ---


class ForEach:
    """`fault` is the status of what is no list: 502 where it comes from the response."""

    __slots__ = ("body", "fault", "iterable", "place", "slot")

    def __init__(
        self, place: Place, slot: int, iterable: Callable[[Exchange], Any], body: Run, fault: int
    ) -> None:
        self.place = place
        self.slot = slot
        self.iterable = iterable
        self.body = body
        self.fault = fault

    def rounds(self, exchange: Exchange) -> Any:
        """The elements, or the failure."""
        try:
            found = self.iterable(exchange)
        except Exception as error:
            return failure_of(error, self.place, exchange)
        kind = found.__class__
        if kind is not list and kind is not tuple and kind is not range:
            detail = f"`for` goes through a list, not {phrase(kind_of(found))}"
            return placed(Failure("wrong-type", self.fault, detail, kind=Kind.ERROR), self.place)
        # The length of a range may be more than len() can say.
        if (found.stop - found.start if isinstance(found, range) else len(found)) > MOST_ROUNDS:
            detail = f"over {MOST_ROUNDS} rounds"
            return placed(Failure("too-many-rounds", 400, detail, kind=Kind.ERROR), self.place)
        # A round may change the list that it was taken from.
        return list(found)

    def run(self, exchange: Exchange) -> Outcome:
        found = self.rounds(exchange)
        if isinstance(found, Failure):
            return found
        slot, body, slots = self.slot, self.body, exchange.slots
        for each in found:
            slots[slot] = each
            outcome = body(exchange)
            if outcome is not None:
                return outcome
        return None


class ForEachWaiting(ForEach):
    __slots__ = ()

    async def run(self, exchange: Exchange) -> Outcome:
        found = self.rounds(exchange)
        if isinstance(found, Failure):
            return found
        slot, body, slots = self.slot, self.body, exchange.slots
        for each in found:
            slots[slot] = each
            outcome = body(exchange)
            if outcome.__class__ is COROUTINE:
                outcome = await outcome
            if outcome is not None:
                return outcome
        return None
