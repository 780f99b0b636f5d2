"""A field that upstreams believe, and clients can write."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import fields_written, sends, surely_before, writes_part
from policylang.lint.look import argument, constant
from policylang.lint.origins import Source
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.source import Span


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
            way = policy.origins.of(service)
            for visit in way.path:
                name = _upstream(visit.statement)
                for field, set_at in believed.get(name, {}).items():
                    if not surely_before(policy, visit, partial(writes_part, kind="header", name=field)):
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
        way = policy.origins.of(service)
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
