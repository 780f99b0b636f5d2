"""A change of the request that nobody sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit, constant, expressions, within
from policylang.lint.moves import moved
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import agreed, later, sent_after, sent_before
from policylang.source import Span
from policylang.tree.facts import answers

_READ_BY = {"authorization": "bearer", "content-type": "content_type", "host": "host"}
"""Fields that members of the request give as well."""
_BODY = frozenset({"text", "json", "xml", "body", "size"})


class LateRequestEdit(Rule):
    """A field of the request is written or removed when nothing sends or reads it any more.

    Above the `route` the upstream would have seen it. A key that is removed behind it has gone along.

        route orders
        set request.header["X-Tenant"] = "acme"
    ==
        set request.header["X-Tenant"] = "acme"
        route orders
    """

    name: ClassVar[str] = "late-request-edit"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_edits(policy))


def _edits(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    seen = _Seen(policy)
    for visit in policy.visits:
        statement = visit.statement
        if not isinstance(statement, (p.SetPlace, p.RemovePlace)) or isinstance(statement.place, p.SlotPlace):
            continue
        if statement.place.message == "request" and visit.place != "before":
            yield statement.span, _finding(policy, visit, statement.place, seen)


class _Seen:
    """Whether anything anywhere sees a part of the request, so that what comes later need not be asked one by one."""

    def __init__(self, policy: Policy) -> None:
        self._fields: set[str] = set()
        self._else: list[p.Expr] = []
        self._sent = False
        for visit in policy.visits:
            self._sent = self._sent or (isinstance(visit.statement, p.Invoke) and visit.statement.card.sends)
            for expr in expressions(visit.statement):
                name = _field(expr)
                if name:
                    self._fields.add(name)
                else:
                    self._else += [expr] if _of_request(expr) else []

    def anywhere(self, place: p.FieldPlace | p.NamedPlace) -> bool:
        name = str(constant(place.key)).lower() if isinstance(place, p.NamedPlace) and place.kind == "header" else ""
        known = self._fields if not name or name in ("none", "cookie") else self._fields & {name}
        return self._sent or bool(known) or any(reads(expr, place) for expr in self._else)


def _field(expr: p.Expr) -> str:
    """The one header field of the request that it reads."""
    one = isinstance(expr, p.Named) and expr.message == "request" and expr.kind == "header"
    return str(constant(expr.key)).lower() if one and isinstance(expr, p.Named) and constant(expr.key) else ""


def _of_request(expr: p.Expr) -> bool:
    return isinstance(expr, (p.Named, p.MessageField, p.MessageRef)) and expr.message == "request"


def _finding(policy: Policy, visit: Visit, place: p.FieldPlace | p.NamedPlace, seen: _Seen) -> Finding | None:
    sent = sent_before(policy, visit)
    if sent is None and visit.place == "service":
        return None  # it is never sent, and the service may still be written
    if sent_after(policy, visit):
        return None
    following: list[p.Statement] = []
    if visit.service is not None and visit.service.on_failure is not None and visit.place == "service":
        following += visit.service.on_failure.statements
    if any(answers(each) for each in following):
        return None
    if seen.anywhere(place):
        following += later(policy, visit)
    for statement in following:
        for each in within(statement):
            if isinstance(each, p.Invoke) and each.card.sends:
                return None
            if any(reads(expr, place) for expr in expressions(each)):
                return None
    return Finding(
        visit.statement.span, "the request has gone, and nothing reads what this changes",
        labels=[Label(sent.span, "sent here")] if sent is not None else [],
        help="move it above the `route`, or leave it out",
        fix=moved(policy, visit.statement, sent, above=True) if sent is not None else None,
    )  # fmt: skip


def reads(expr: p.Expr, place: p.Place) -> bool:
    """Whether an expression may give what stands in this place, by itself; what it is made of is asked apart."""
    if isinstance(place, p.SlotPlace):
        return isinstance(expr, p.SlotRef) and expr.slot == place.slot
    if isinstance(expr, p.MessageRef):
        return expr.message == place.message
    if isinstance(place, p.FieldPlace):
        if isinstance(expr, p.Named):
            return expr.message == place.message and place.field.startswith("query") and expr.kind == "query"
        same = isinstance(expr, p.MessageField) and expr.message == place.message
        return same and isinstance(expr, p.MessageField) and (
            expr.field == place.field or {expr.field, place.field} <= _BODY or "query" in expr.field + place.field
        )  # fmt: skip
    key = str(constant(place.key)).lower() if isinstance(place.key, p.Const) else None
    if isinstance(expr, p.Named) and expr.message == place.message:
        asked = str(expr.key.value).lower() if isinstance(expr.key, p.Const) else None
        if expr.kind != place.kind:  # all cookies stand in one field
            field = {expr.kind: asked, place.kind: key}.get("header", "")
            return "cookie" in (expr.kind, place.kind) and field in (None, "cookie")
        return None in (key, asked) or asked == key
    if isinstance(expr, p.MessageField) and expr.message == place.message:
        if place.kind == "query":
            return "query" in expr.field
        return key is None or _READ_BY.get(key) == expr.field
    return False
