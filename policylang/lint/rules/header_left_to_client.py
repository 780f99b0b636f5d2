"""A field that upstreams believe, and clients can write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, TypeAlias

from policylang.check import program as p
from policylang.lint.demands import demanded
from policylang.lint.guards import fields_written, sends
from policylang.lint.look import Visit, argument, constant
from policylang.lint.origins import Source, named
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.source import Span
from policylang.tree.facts import blocks


class HeaderLeftToClient(Rule):
    """A field tells an upstream who calls, and on another way there the client writes it itself.

    The upstream believes `X-User`, since the gateway sets it. Where it is set in one branch or service only, the other
    lets through what the client has sent: anybody can be anyone. Set or remove it on each way to that upstream, best in
    `global before`.

        if request.header["X-API-Key"] != none {
            api_key request.header["X-API-Key"], in: map("clients")
            remove request.header["X-API-Key"]
            set request.header["X-User"] = user.id
        }
        route orders
    ==
        remove request.header["X-User"]
        if request.header["X-API-Key"] != none {
            api_key request.header["X-API-Key"], in: map("clients")
            remove request.header["X-API-Key"]
            set request.header["X-User"] = user.id
        }
        route orders
    """

    name: ClassVar[str] = "header-left-to-client"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        believed = _believed(policy)
        names = {field for fields in believed.values() for field in fields}
        for service in policy.program.services if believed else ():
            course = Course(names)
            for block in policy.program.before:
                course.known = course.block(block, course.known) or course.known
            course.block(service.body, course.known)
            told: set[str] = set()
            for statement, known in course.sent:
                upstream = _upstream(statement)
                for field, set_at in believed.get(upstream, {}).items():
                    if field not in known and field not in told:
                        told.add(field)
                        yield Finding(
                            statement.span, f"`{upstream}` believes `{set_at.text}`, which the client may write here",
                            labels=[Label(set_at, "elsewhere it says who calls")],
                            help=f"write `remove {set_at.text}` first, for every way to this upstream",
                        )  # fmt: skip


Known: TypeAlias = frozenset[str]


class Course:
    """One pass over what runs: the fields that are written or removed on every way to each statement that sends."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.known: Known = frozenset()
        self.sent: list[tuple[p.Statement, Known]] = []

    def block(self, block: p.Block, known: Known) -> Known | None:
        """What is known behind it; None where no way goes on."""
        after: Known | None = known
        for statement in block.statements:
            if after is not None:
                after = self.statement(statement, after)
        return after

    def statement(self, statement: p.Statement, known: Known) -> Known | None:
        if sends(statement):
            self.sent.append((statement, known))
        if isinstance(statement, (p.SetPlace, p.RemovePlace)):
            return known | self._written(statement.place)
        if isinstance(statement, (p.Fail, p.Respond)):
            return None
        known |= self._refused(statement)
        ends = [self.block(each, known) for each in self._branches(statement)]
        if not ends:
            return known
        if isinstance(statement, p.Group) and statement.kind == "parallel":
            return known.union(*(each for each in ends if each is not None))
        if isinstance(statement, p.For) or (isinstance(statement, p.Group) and statement.kind == "none"):
            return known
        if isinstance(statement, p.Invoke) and statement.card.skips_block:
            return known
        if isinstance(statement, p.If) and statement.orelse is None:
            ends.append(known)
        going_on = [each for each in ends if each is not None]
        return frozenset.intersection(*going_on) if going_on else None

    def _written(self, place: p.Place) -> Known:
        if not isinstance(place, p.NamedPlace) or (place.message, place.kind) != ("request", "header"):
            return frozenset()
        key = constant(place.key)  # one that is worked out may be any
        return frozenset(self.names if key is None else {str(key).lower()} & self.names)

    def _refused(self, statement: p.Statement) -> Known:
        """What a request is turned away for that has it."""
        visit = Visit(statement, (), p.Block(statement.span, (statement,)), 0, "service", None)
        return frozenset(
            named(side)[1]
            for question, answer in demanded(visit)
            if isinstance(question, p.BinaryOp) and question.op == ("==" if answer else "!=")
            for side, other in ((question.left, question.right), (question.right, question.left))
            if isinstance(side, p.Named) and (side.message, side.kind) == ("request", "header")
            and isinstance(other, p.Const) and other.value is None
        ) & self.names  # fmt: skip

    def _branches(self, statement: p.Statement) -> Iterable[p.Block]:
        if isinstance(statement, p.Group) and statement.kind != "all":
            return [p.Block(each.span, (each,)) for each in statement.body.statements]
        return blocks(statement)


def _upstream(statement: p.Statement) -> str:
    return str(getattr(constant(argument(statement, "upstream")), "name", "")) if sends(statement) else ""


def _believed(policy: Policy) -> dict[str, dict[str, Span]]:
    """By upstream the fields that some service tells it who calls with, and where."""
    found: dict[str, dict[str, Span]] = {}
    for service in policy.program.services:
        way = policy.origins.of(service)
        later: set[str] = set()
        for visit in reversed(list(way.path)):
            if upstream := _upstream(visit.statement):
                later.add(upstream)
            for field in fields_written(visit.statement) if later else ():
                who = field.message == "request" and any(_who(policy, source) for source in way.flows(field.value))
                for name in later if who else ():
                    found.setdefault(name, {})[field.name] = _target(visit.statement.span)
    return found


def _target(span: Span) -> Span:
    """What a `set` writes."""
    target = span.text.partition("=")[0].removeprefix("set").strip()
    start = span.start + span.text.index(target)
    return Span(span.source, start, start + len(target))


def _who(policy: Policy, source: Source) -> bool:
    """Whether it says who somebody has proved to be."""
    kind, name = source
    if kind == "stored":
        return name in policy.shared_maps and policy.shared_maps[name].private
    return kind in ("identity", "user") or source == ("client", "cert")
