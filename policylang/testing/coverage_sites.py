"""What tests of a policy should have seen: its statements as they are written, each with its goals.

A statement of a user's assertion is one, however often it is called; what is a goal of it for one call is a goal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from policylang.check import program as p
from policylang.record import record
from policylang.source import Span
from policylang.testing.coverage import NO_OTHERS, PASSED, Names, block_key, key_of
from policylang.testing.coverage_arms import arms_of, matches_all, passes, responds
from policylang.tree.build import word_of

RESPONDED = "responded"


@record
class Scope:
    """What statements stand in: a service, its `on failure`, a global, a user's assertion. `asked`: the key of a
    service's count."""

    key: str
    kind: str
    name: str
    span: Span
    asked: str = ""


@record
class Goal:
    """`label` is what a report calls it, on the line of `span`."""

    name: str
    label: str
    span: Span


class Site:
    """One statement of the text. `outer` is the key of what it stands in, `arm` on which arm, `row` the keys of all
    that stands there, of which it is the one at `place`. `depth` from 0. `labels`: what its arms are called, goals or
    not."""

    __slots__ = (
        "arm", "depth", "goals", "key", "labels", "outer", "place", "row", "scope", "span", "statement", "word",
    )  # fmt: skip

    def __init__(
        self, statement: p.Statement, key: str, outer: str, arm: str, row: list[str], depth: int, scope: str
    ) -> None:
        self.key = key
        self.statement = statement
        self.span = statement.span
        self.word = word_of(statement)
        self.outer = outer
        self.arm = arm
        self.row = row
        self.place = len(row)
        self.depth = depth
        self.scope = scope
        self.goals: dict[str, Goal] = {}
        self.labels: dict[str, tuple[str, Span]] = {}


class Sites:
    """Of one or more programs: what they share stands here once."""

    def __init__(self, programs: Iterable[p.Program], names: Names = NO_OTHERS) -> None:
        self.names = names
        self.scopes: dict[str, Scope] = {}
        self.sites: dict[str, Site] = {}
        self.calls: dict[str, dict[str, None]] = {}
        """Of a user's assertion, by its scope: the keys of its calls."""
        for program in programs:
            self._program(program)

    def _program(self, program: p.Program) -> None:
        for kind, blocks in (("global before", program.before), ("global after", program.after)):
            for block in blocks:
                self._scope(kind, "", block)
        for service in program.services:
            asked = block_key(service.body, self.names)
            self._scope("service", service.name, service.body, asked)
            if service.on_failure is not None:
                self._scope("on failure", service.name, service.on_failure, asked)

    def _scope(self, kind: str, name: str, block: p.Block, asked: str = "") -> None:
        scope = self._opened(kind, name, block, asked)
        self._statements(block.statements, scope.key, "", 0, scope.key)

    def _opened(self, kind: str, name: str, block: p.Block, asked: str = "") -> Scope:
        key = block_key(block, self.names)
        return self.scopes.setdefault(key, Scope(key, kind, name, block.span, asked))

    def _statements(
        self, statements: tuple[p.Statement, ...], outer: str, arm: str, depth: int, scope: str
    ) -> None:
        row: list[str] = []
        for statement in statements:
            key = key_of(statement, self.names)
            site = self.sites.get(key)
            if site is None:
                site = self.sites[key] = Site(statement, key, outer, arm, row, depth, scope)
            for goal in goals_of(statement):
                site.goals.setdefault(goal.name, goal)
            row.append(key)
            for each in arms_of(statement):
                site.labels.setdefault(each.name, (each.label, each.span))
                if isinstance(statement, p.Expand):
                    inner = self._opened("assertion", statement.name, statement.body)
                    self.calls.setdefault(inner.key, {})[key] = None
                    self._statements(each.statements, inner.key, "", 0, inner.key)
                else:
                    self._statements(each.statements, key, each.name, depth + 1, scope)


class More:
    """Finds surroundings, of those that tests give a policy, in which it can come to more than in others before.

    What an environment variable or a map's entry says may decide what is a goal, as a call may be checked for it.
    """

    def __init__(self, program: p.Program) -> None:
        self._own = program
        self._goals: set[tuple[str, str]] = set()
        self._seen: set[bytes] = set()

    def among(self, programs: Mapping[bytes, p.Program]) -> list[bytes]:
        """Their keys; of a program that it was asked about before no more is said."""
        found = []
        for key, program in programs.items():
            if program is not self._own and key not in self._seen:
                self._seen.add(key)
                self._goals = self._goals or _goal_names(self._own)
                more = _goal_names(program)
                if not more <= self._goals:
                    self._goals |= more
                    found.append(key)
        return found


def _goal_names(program: p.Program) -> set[tuple[str, str]]:
    return {(key, goal) for key, site in Sites([program]).sites.items() for goal in site.goals}


# --- goals ---------------------------------------------------------------------------------------


def goals_of(statement: p.Statement) -> Iterator[Goal]:
    """What this statement can come to and tests should have seen. Errors, what is away and defects are none."""
    span = statement.span
    if isinstance(statement, p.Invoke):
        for name in refusals_of(statement):
            yield Goal(f"refusal:{name}", name, span)
    elif isinstance(statement, p.Require):
        if not (isinstance(statement.condition, p.Const) and statement.condition.value is True):
            yield Goal("refusal:requirement-not-met", "requirement-not-met", span)
    elif isinstance(statement, p.Let):
        if not statement.optional and statement.value.type.optional:
            yield Goal("error:missing-value", "missing-value", span)
    elif isinstance(statement, p.Fail):
        name = statement.name or "failed"
        yield Goal(f"refusal:{name}", name, span)
    elif isinstance(statement, p.Match):
        if not matches_all(statement):
            yield Goal("refusal:no-match", "no-match", span)
    elif isinstance(statement, p.Group) and statement.kind == "none" and any(map(passes, statement.body.statements)):
        yield Goal("refusal:not-refused", "not-refused", span)
    if isinstance(statement, p.Respond) or (_tells(statement) and not passes(statement) and responds(statement)):
        yield Goal(RESPONDED, RESPONDED, span)
    elif passes(statement) and _tells(statement):
        yield Goal(PASSED, PASSED, span)
    for arm in arms_of(statement):
        if arm.goal:
            yield Goal(f"arm:{arm.name}", arm.label, arm.span)


def _tells(statement: p.Statement) -> bool:
    """Whether that it passed is a goal of its own: of others their arms say it, or what they hold."""
    if isinstance(statement, p.Group):
        return statement.kind == "none"
    return not isinstance(statement, (p.If, p.Match, p.Try, p.Else))


def refusals_of(statement: p.Invoke) -> tuple[str, ...]:
    """The refusals that this call can give, in the order of its card."""
    card = statement.card
    given: dict[str, Any] = {}
    for bound in statement.args:
        if isinstance(bound.value, p.Const):
            given[bound.param.name] = bound.value.value
        elif isinstance(bound.value, p.MessageRef):
            given[bound.param.name] = bound.value.message
    possible = card.make.refusals(given)  # type: ignore[attr-defined]
    return tuple(name for name in card.failures if name in possible)
