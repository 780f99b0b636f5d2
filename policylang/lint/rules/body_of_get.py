"""A body where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint import look
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import agreed
from policylang.source import Span
from policylang.tree.facts import children

_BODY = frozenset({"text", "json", "xml", "body"})


class BodyOfGet(Rule):
    """A service for GET and HEAD reads the request's body, or writes one.

    These requests have none (RFC 9110, 9.3.1): what is read is empty, JSON of it is a failure with 400, and many
    servers refuse a GET that has one.

        service order "/orders/{id}", methods: ["GET"] {
            require request.json.id == path.id
            route orders
        }
    ==
        service order "/orders/{id}", methods: ["GET"] {
            require request.query.id == path.id
            route orders
        }
    """

    name: ClassVar[str] = "body-of-get"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_found(policy))


def _found(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    changed = {visit.service.name for visit in policy.visits if visit.service is not None if _changes_method(visit)}
    for visit in policy.visits:
        methods = visit.service.methods if visit.service is not None else ()
        without = bool(methods) and set(methods) <= {"GET", "HEAD"}
        without = without and visit.service is not None and visit.service.name not in changed
        statement = visit.statement
        if isinstance(statement, p.SetPlace) and _of_body(statement.place):
            yield statement.span, _finding(statement.span, "gives a body to", methods) if without else None
        for whole in look.own_expressions(statement):
            for expr in _reading(whole):
                yield expr.span, _finding(expr.span, "reads the body of", methods) if without else None


def _changes_method(visit: look.Visit) -> bool:
    """Whether the request that is sent may have another method, and with it a body."""
    statement = visit.statement
    if isinstance(statement, p.SetPlace):
        return statement.place == p.FieldPlace("request", "method")
    return look.given(statement, "method") is not None


def _reading(expr: p.Expr) -> Iterator[p.Expr]:
    """What in it reads the body; not what asks whether it is empty, nor what signs it beside other things."""
    if _reads(expr):
        yield expr
    if isinstance(expr, p.BinaryOp) and any(look.constant(side) == "" for side in (expr.left, expr.right)):
        return
    if isinstance(expr, p.FunctionCall) and expr.card.group == "hashing" and not _signs_nothing(expr):
        return
    for part in children(expr):
        yield from _reading(part)


def _signs_nothing(call: p.FunctionCall) -> bool:
    """Whether it is a signature of the body alone."""
    return call.card.name.startswith("hmac_") and _reads(call.args[0])


def _of_body(place: p.Place) -> bool:
    return isinstance(place, p.FieldPlace) and place.message == "request" and place.field in _BODY


def _reads(expr: p.Expr) -> bool:
    if isinstance(expr, p.MessageField):
        return expr.message == "request" and expr.field in _BODY
    return isinstance(expr, p.FunctionCall) and any(
        isinstance(arg, p.MessageRef) and arg.message == "request" for arg in expr.args
    )


def _finding(span: Span, what: str, methods: tuple[str, ...]) -> Finding:
    return Finding(
        span, f"this {what} a {' or '.join(methods)}, which has none",
        help="take it from the path, the query or a header field, or let the service have another method",
    )  # fmt: skip
