"""A field that upstreams believe, and clients can write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import fields_written, sends, writes_part
from policylang.lint.look import Visit, argument, constant
from policylang.lint.origins import Source, Way
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
        for service in policy.program.services if believed else ():
            way = policy.ways.of(service)
            for visit in way.path:
                name = _upstream(visit.statement)
                for field, set_at in believed.get(name, {}).items():
                    if not _written_before(way, visit, field):
                        yield Finding(
                            visit.statement.span, f"`{name}` believes `{set_at.text}`, which the client may write here",
                            labels=[Label(set_at, "elsewhere it says who calls")],
                            help=f"write `remove {set_at.text}` first, for every way to this upstream",
                        )  # fmt: skip


def _upstream(statement: p.Statement) -> str:
    return str(getattr(constant(argument(statement, "upstream")), "name", "")) if sends(statement) else ""


def _believed(policy: Policy) -> dict[str, dict[str, Span]]:
    """By upstream the fields that some service tells it who calls with, and where."""
    found: dict[str, dict[str, Span]] = {}
    for service in policy.program.services:
        way = policy.ways.of(service)
        for visit in way.path:
            for field in fields_written(visit.statement):
                if field.message == "request" and any(_who(policy, source) for source in way.flows(field.value)):
                    for later in way.after(visit):
                        if (name := _upstream(later.statement)) and isinstance(visit.statement, p.SetPlace):
                            span = visit.statement.span
                            target = span.text.partition("=")[0].removeprefix("set").strip()
                            start = span.start + span.text.index(target)
                            place = Span(span.source, start, start + len(target))
                            found.setdefault(name, {}).setdefault(field.name, place)
    return found


def _who(policy: Policy, source: Source) -> bool:
    """Whether it says who somebody has proved to be."""
    kind, name = source
    if kind == "stored":
        return name in policy.shared_maps and policy.shared_maps[name].private
    return kind in ("identity", "user") or source == ("client", "cert")


def _written_before(way: Way, visit: Visit, field: str) -> bool:
    """Whether every way to this statement writes or removes the field."""

    def writes(statement: p.Statement) -> bool:
        return writes_part(statement, "header", field)

    place: Visit | None = visit
    while place is not None:
        if any(_surely(each, writes) for each in place.before):
            return True
        place = place.outer
    return any(_surely(each.statement, writes) for each in way.visits if each.place == "before" and not each.parents)


def _surely(statement: p.Statement, writes: Callable[[p.Statement], bool]) -> bool:
    """Whether it is true of something in it on each way that goes on behind it."""
    if writes(statement) or isinstance(statement, (p.Fail, p.Respond)):
        return True
    if isinstance(statement, p.For) or (isinstance(statement, p.Group) and statement.kind == "none"):
        return False
    inner = [any(_surely(each, writes) for each in block.statements) for block in blocks(statement)]
    if isinstance(statement, p.If):
        return all(inner) and statement.orelse is not None
    if isinstance(statement, p.Group) and statement.kind == "any":
        return all(_surely(each, writes) for each in statement.body.statements)
    if isinstance(statement, p.Invoke) and statement.card.skips_block:
        return False
    return bool(inner) and all(inner)
