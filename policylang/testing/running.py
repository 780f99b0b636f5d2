"""Running one test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

from policylang.check.program import Expand, Program
from policylang.check.tests import CheckedTest
from policylang.diagnostics import Diagnostic, Label
from policylang.sdk.exchange import Client, Exchange, Request
from policylang.sdk.outcome import Failure
from policylang.testing.expecting import NAME
from policylang.testing.results import Result
from policylang.testing.suite import Test
from policylang.testing.world import World
from policylang.tree.build import run_of
from policylang.tree.outcome import COROUTINE
from policylang.tree.tree import Tree

Observe = Callable[[Tree, Exchange], None]
BROKEN = "broken-test"
AGAIN = 20.0
"""Seconds: a test that has failed after longer is not run again for its picture, which it might not live to show."""


def run(test: Test, observe: Observe | None = None) -> Result:
    """Run a test in a world of its own. `observe` is called with each exchange at its end, whose journal is a list.

    One that has failed is run a second time, with the journal that a picture needs: none of the others pays for it.
    """
    began = perf_counter()
    world = World(test.suite, _program(test), observe)
    findings = _findings(test, world, play(test, world))
    if not findings:
        return Result(test.name, test.file, test.line, "passed", (), "", world.requests, perf_counter() - began)
    kind: Any = "broken" if world.broken or world.defects else "failed"
    picture, calls = _again(test) if perf_counter() - began < AGAIN else ("", ())
    if not world.wrong:  # else they are about the policy
        findings = tuple(replace(each, labels=calls) for each in findings)
    return Result(test.name, test.file, test.line, kind, findings, picture, world.requests, perf_counter() - began)


def _program(test: Test) -> Program:
    program = test.suite.program
    assert program is not None
    return program


def own_exchange(world: World, checked: CheckedTest, row: Any) -> Exchange:
    """The exchange that a test runs on: its names are the slots, and its environment is the world."""
    surroundings: Any = world
    exchange = Exchange(Request("TEST", "/", None, []), Client("", 0), surroundings)
    exchange.slots = [None] * len(checked.slot_names)
    if checked.row_slot is not None:
        exchange.slots[checked.row_slot] = row
    return exchange


def play(test: Test, world: World, journal: list[Any] | None = None) -> Any:
    """Run a test in that world; gives what the tree gives of a block: None where it has passed. `journal`: of its own
    statements."""
    checked = test.checked
    exchange = own_exchange(world, checked, test.row)
    exchange.journal = journal
    runs = test.suite.runs
    body = runs.get(id(checked))
    if body is None:
        body = runs[id(checked)] = run_of(checked.body.statements)[0]
    outcome = body(exchange)
    if outcome.__class__ is COROUTINE:
        try:
            outcome.send(None)
        except StopIteration as stop:
            outcome = stop.value
        else:
            raise RuntimeError("a test waits outside of its requests")
    return outcome


def _findings(test: Test, world: World, outcome: Any) -> tuple[Diagnostic, ...]:
    if world.wrong:
        return world.wrong
    place = test.checked.span
    if isinstance(outcome, Failure):
        place = outcome.span or place
    if world.broken:
        return (Diagnostic(BROKEN, place, world.broken[0], help=_CURE),)
    if world.defects:
        error = world.defects[0]
        said = " ".join(f"a defect of ours: {type(error).__name__}: {error}".split())
        return (Diagnostic(BROKEN, place, said, help="please report it with the policy that shows it"),)
    if not isinstance(outcome, Failure):
        return ()
    finding = (outcome.members or {}).get("finding")
    if isinstance(finding, Diagnostic):
        return (finding,)
    message = " ".join((outcome.detail or outcome.title.lower()).split())
    said = f"`{outcome.assertion}` has failed with `{outcome.name}`" + (f": {message}" if outcome.detail else "")
    return (Diagnostic(NAME, place, said, help=world.story()),)


_CURE = "mend the test: it says nothing about the policy yet"


class _Failing(list[Any]):
    """A journal that keeps what fails: a test may have a million rounds that do not."""

    def append(self, entry: Any) -> None:
        if isinstance(entry.outcome, Failure):
            super().append(entry)

    def extend(self, entries: Any) -> None:
        """Of what has passed."""


def _again(test: Test) -> tuple[str, tuple[Label, ...]]:
    """The exchange that went wrong, the last one where nothing else is said, on the policy's source; and where the test
    has called the assertions of its own in which it failed. Nothing where it has gone well this time, as chance has it.
    """
    from policylang.trace.document import document
    from policylang.trace.picture import picture
    from policylang.trace.recorded import Recorded

    world = World(test.suite, _program(test), None)
    world.make_journal = Recorded
    journal = _Failing()
    outcome = play(test, world, journal)
    if not _findings(test, world, outcome):
        return "", ()
    calls = tuple(
        Label(place.span, "called here")
        for place, failed in journal if failed is outcome and isinstance(place.statement, Expand)
    )  # fmt: skip
    shown = world.looked_at or world.last
    if shown is None:
        return "", calls
    program = shown.tree.program
    return picture(document(shown.exchange, program), program.sources, times=False), calls
