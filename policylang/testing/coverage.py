"""Coverage by outcome: what each statement of a policy has come to, counted from the journals of exchanges.

A journal names statements when they end, the inner ones before the outer. So which way a statement took is known by
those inside it that ended since it ended last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from policylang.check import program as p
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failure
from policylang.source import Span
from policylang.testing.coverage_arms import BODY, ELSE, SKIPPED, arms_of
from policylang.tree.build import word_of
from policylang.tree.outcome import CANCELLED, RESPONDED, Entry
from policylang.tree.tree import Tree

PASSED, INSIDE = "passed", "inside"
"""`inside`: it failed because something inside it did."""
Counts = dict[str, dict[str, int]]
"""For each statement, by its key, how often it came to what: `passed`, `responded`, `cancelled`, `inside`,
`refusal:NAME`, `error:NAME`, `away:NAME`, `defect:NAME`, `arm:NAME`. And for each service, by the key of its block,
how many of its requests were answered: `asked`."""


Names = Mapping[str, str]
"""For names of files that have another: the one they are counted by."""
NO_OTHERS: Names = {}
KEPT = 16
"""Programs that are known at a time: of tests that give their policy ever other surroundings each makes one."""


def file_of(span: Span, names: Names) -> str:
    name = span.source.name
    return names.get(name, name)


def key_of(statement: p.Statement, names: Names = NO_OTHERS) -> str:
    """Names a statement by its text: one of a user's assertion is the same in all its calls, and in a policy that is
    checked again."""
    span = statement.span
    return f"{file_of(span, names)}:{span.start}:{span.end}:{word_of(statement)}"


class _Spot:
    """A statement of one program: what holds it, and on which arm; `empty` is its arm that leaves nothing."""

    __slots__ = ("arm", "empty", "key", "outer", "statement")

    def __init__(self, statement: p.Statement, key: str, outer: int, arm: str, empty: str) -> None:
        self.statement = statement
        self.key = key
        self.outer = outer
        self.arm = arm
        self.empty = empty


def block_key(block: p.Block, names: Names = NO_OTHERS) -> str:
    """Names the block of a service, a global or a user's assertion by its text."""
    return f"{file_of(block.span, names)}:{block.span.start}"


class _Known:
    """What is known of a program: its statements, and the keys of its services. Holds it, as ids are used."""

    __slots__ = ("program", "services", "spots")

    def __init__(self, program: p.Program, names: Names) -> None:
        self.program = program
        self.spots = _spots(program, names)
        self.services = {service.name: block_key(service.body, names) for service in program.services}


class Coverage:
    """What was seen so far; give `observe` to whatever runs exchanges that keep a journal."""

    def __init__(self, names: Names = NO_OTHERS) -> None:
        self.counts: Counts = {}
        self._names = names
        self._known: dict[int, _Known] = {}

    def observe(self, tree: Tree, exchange: Exchange) -> None:
        """Count one exchange that has ended."""
        program = tree.program
        known = self._known.get(id(program))
        if known is None:
            if len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            known = self._known[id(program)] = _Known(program, self._names)
        if exchange.service:
            self._count(known.services[exchange.service], "asked")
        pending: dict[int, list[tuple[str, str]]] = {}
        for entry in exchange.journal or ():
            spot = known.spots.get(id(entry.place.statement))
            if spot is None:
                continue  # the rest of an `if` that was cut in two: its journal is the whole one's
            outcome = outcome_of(entry)
            self._count(spot.key, outcome)
            arm = _arm(spot, outcome, pending.pop(id(spot.statement), ()))
            if arm:
                self._count(spot.key, f"arm:{arm}")
            pending.setdefault(spot.outer, []).append((spot.arm, outcome))

    def _count(self, key: str, what: str) -> None:
        counts = self.counts.setdefault(key, {})
        counts[what] = counts.get(what, 0) + 1

    def add(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Take over what was counted elsewhere."""
        for key, seen in counts.items():
            own = self.counts.setdefault(key, {})
            for what, number in seen.items():
                own[what] = own.get(what, 0) + number


def outcome_of(entry: Entry) -> str:
    outcome = entry.outcome
    if outcome is None:
        return PASSED
    if isinstance(outcome, Failure):
        own = outcome.span is None or outcome.span == entry.place.span
        return f"{outcome.kind.value}:{outcome.name}" if own else INSIDE
    return CANCELLED if outcome is CANCELLED else RESPONDED


def _spots(program: p.Program, names: Names) -> dict[int, _Spot]:
    found: dict[int, _Spot] = {}
    waiting: list[tuple[Iterable[p.Statement], int, str]] = [
        (block.statements, 0, "") for block in (*program.before, *program.after)
    ]
    for service in program.services:
        waiting.append((service.body.statements, 0, ""))
        if service.on_failure is not None:
            waiting.append((service.on_failure.statements, 0, ""))
    while waiting:
        statements, outer, arm = waiting.pop()
        for statement in statements:
            arms = arms_of(statement)
            empty = next((each.name for each in arms if each.goal and not each.statements), "")
            found[id(statement)] = _Spot(statement, key_of(statement, names), outer, arm, empty)
            waiting += [(each.statements, id(statement), each.name) for each in arms]
    return found


def _arm(spot: _Spot, outcome: str, inner: Any) -> str:
    """The arm that a statement took; "" where it has none, took none, or nobody can tell. `inner`: the arms and
    outcomes of what ended inside it."""
    statement = spot.statement
    if isinstance(statement, (p.If, p.Match)):
        if inner:
            return str(inner[-1][0])
        return spot.empty if outcome == PASSED else ""
    if isinstance(statement, p.Group):
        good = statement.kind == "any" and outcome in (PASSED, RESPONDED)
        return str(inner[-1][0]) if good and inner else ""
    if isinstance(statement, (p.Try, p.Else)):
        if not inner or outcome == CANCELLED:
            return ""
        arm, last = inner[-1]
        if arm == ELSE:
            return ELSE
        if last in (PASSED, RESPONDED):
            return BODY
        return ELSE if outcome == PASSED else ""
    if isinstance(statement, p.For):
        return "no round" if outcome == PASSED and not inner else ""
    if isinstance(statement, p.Invoke) and statement.block is not None:
        if inner:
            return BODY
        return SKIPPED if outcome == PASSED else ""
    return ""


__all__ = ["INSIDE", "NO_OTHERS", "PASSED", "Counts", "Coverage", "Names", "block_key", "file_of", "key_of",
           "outcome_of"]  # fmt: skip
