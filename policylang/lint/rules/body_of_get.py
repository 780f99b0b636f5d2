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
    for visit in policy.visits:
        if visit.service is None:
            continue
        methods = visit.service.methods
        without = bool(methods) and set(methods) <= {"GET", "HEAD"}
        statement = visit.statement
        if isinstance(statement, p.SetPlace) and _of_body(statement.place):
            yield statement.span, _finding(statement.span, "gives a body to", methods) if without else None
        for expr in look.expressions(statement):
            if _reads(expr):
                yield expr.span, _finding(expr.span, "reads the body of", methods) if without else None


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
