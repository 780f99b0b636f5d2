"""A caller's key that goes on to the upstream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.guards import Test, literal_text, sends, surely_before, writes_part
from policylang.lint.look import Visit, argument, calls, given, parts
from policylang.lint.origins import CHOSEN, Source, Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Label, Rule
from policylang.source import Span


class KeyForwarded(Rule):
    """The upstream gets the key that the gateway has checked.

    Whoever reads the upstream's logs, or breaks into it, can call in the name of each client from then on. The gateway
    knows who calls: it can say so in a field of its own.

        api_key request.header["X-API-Key"], in: map("clients") -> caller
        set request.header["X-Client"] = caller.id
        route orders
    ==
        api_key request.header["X-API-Key"], in: map("clients") -> caller
        set request.header["X-Client"] = caller.id
        remove request.header["X-API-Key"]
        route orders
    """

    name: ClassVar[str] = "key-forwarded"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services:
            way = policy.origins.of(service)
            for visit in way.path:
                sent = key_sent(policy, way, visit)
                if sent is not None:
                    yield Finding(
                        visit.statement.span, "the upstream gets the key that is checked here",
                        labels=[Label(sent, "it is sent along here")],
                        help="remove it before the `route`, and say who calls in a field of your own",
                        fix=_removal(visit),
                    )  # fmt: skip


def key_sent(policy: Policy, way: Way, visit: Visit) -> Span | None:
    """The statement that sends the key along that this one checks."""
    key = argument(visit.statement, "key") if calls(visit.statement, "api_key") else None
    sources = () if key is None else sorted(way.flows(key))
    return next((sent for source in sources if (sent := _where(policy, way, visit, source)) is not None), None)


def _where(policy: Policy, way: Way, visit: Visit, source: Source) -> Span | None:
    """The statement that sends this part of the request on as it came."""
    kind, name = source
    if kind not in CHOSEN or not name:
        return None
    writing = _writes(way.visits[0].statement) or next(way.after(way.visits[0], _writes), None)
    beside = {id(each) for each in visit.parents}
    taken_out = (
        way.places[id(each.statement)] for each in way.after(visit, _writes)
        if writes_part(each.statement, kind, name)
        and all(id(around) in beside or _runs(around) for around in each.parents)
    )  # fmt: skip
    first = next(taken_out, len(way.visits))
    for each in way.after(visit, _taker(kind)):
        if way.places[id(each.statement)] > first:
            return None
        if not writing or not surely_before(policy, each, lambda statement: writes_part(statement, kind, name)):
            return each.statement.span
    return None


def _writes(statement: p.Statement) -> bool:
    return isinstance(statement, (p.SetPlace, p.RemovePlace))


@cache
def _taker(kind: str) -> Test:
    """What sends this kind of part along as it came."""

    def takes(statement: p.Statement) -> bool:
        if kind == "query" and (given(statement, "query") is not None or "?" in literal_text(given(statement, "path"))):
            return False
        return sends(statement)

    return takes


def _runs(statement: p.Statement) -> bool:
    """Whether all that is in it runs."""
    return isinstance(statement, p.Expand) or (isinstance(statement, p.Group) and statement.kind in ("all", "parallel"))


def _removal(visit: Visit) -> Fix | None:
    """A line behind it, where it has its line for itself and the key is read plainly."""
    key = argument(visit.statement, "key")
    assert key is not None
    found = [part for part in parts(key) if isinstance(part, (p.Named, p.MessageField))]
    span = visit.statement.span
    text, line_end = span.source.text, span.source.text.find("\n", span.end)
    if len(found) != 1 or (visit.parents and isinstance(visit.parents[-1], p.Else)):
        return None
    if text[span.end : line_end].strip() or not (start := text.rfind("\n", 0, span.start) + 1):
        return None
    margin = text[start : span.start]
    if margin.strip():
        return None
    part = found[0]
    what = part.span.text if isinstance(part, p.Named) else 'request.header["Authorization"]'
    edit = Edit(Span(span.source, span.end, span.end), f"\n{margin}remove {what}")
    return Fix(f"write `remove {what}` behind it", (edit,))


