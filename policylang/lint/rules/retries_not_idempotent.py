"""A request that may be carried out twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit, argument, constant, expressions
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import agreed, certain, earlier
from policylang.source import Span

_TWICE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be sent twice (RFC 9110, 9.2.2)."""


class RetriesNotIdempotent(Rule):
    """A `route` that has failed is followed by another, for methods that must not be carried out twice.

    A server that was too slow has often done the work: the second one does it again. The `retries` of a `route` know
    that, and send a POST again only where nothing of it was sent. By hand it takes the method, or an idempotency key.

        route orders, fail_on: 500..599 else route orders, path: "/spare"
    ==
        if request.method == "GET" {
            route orders, fail_on: 500..599 else route orders, path: "/spare"
        } else {
            route orders
        }
    """

    name: ClassVar[str] = "retries-not-idempotent"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_found(policy))


def _found(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    keyed = {
        visit.service.name for visit in policy.visits if visit.service is not None
        if any(_idempotency(expr) for expr in expressions(visit.statement))
    }  # fmt: skip
    for visit in policy.visits:
        pair = _pair(visit.statement)
        if pair is None:
            continue
        first, second = pair
        finding = None
        if visit.service is not None and visit.service.name not in keyed and not _safe(policy, visit, first):
            finding = Finding(
                second.span, "what has failed may have been carried out, and is sent again here",
                labels=[Label(first.span, "sent here first")],
                help="do so for methods that may be sent twice only, such as GET and PUT",
            )  # fmt: skip
        yield second.span, finding


def _pair(statement: p.Statement) -> tuple[p.Invoke, p.Invoke] | None:
    """A `route`, and the one that follows when it has failed."""
    ways: list[tuple[p.Statement, ...]] = []
    if isinstance(statement, p.Else):
        ways = [(statement.left,), statement.right.statements]
    elif isinstance(statement, p.Try):
        ways = [statement.body.statements, statement.handler.statements]
    elif isinstance(statement, p.Group) and statement.kind == "any":
        ways = [(each,) for each in statement.body.statements]
    sent: list[p.Invoke] = []
    for way in ways:
        each = next((route for inner in way for route in _routes(inner)), None)
        if each is not None:
            sent.append(each)
    return (sent[0], sent[1]) if len(sent) > 1 else None


def _routes(statement: p.Statement) -> Iterator[p.Invoke]:
    for each in certain(statement):
        if isinstance(each, p.Invoke):
            if each.card.answers:
                yield each
            elif each.block is not None:
                yield from (route for inner in each.block.statements for route in _routes(inner))


def _safe(policy: Policy, visit: Visit, first: p.Invoke) -> bool:
    assert visit.service is not None
    method = constant(argument(first, "method"))
    if method in _TWICE or (visit.service.methods and set(visit.service.methods) <= _TWICE):
        return True
    around = [each for each in visit.parents if isinstance(each, (p.If, p.Match))]
    before = [each for each in earlier(policy, visit) if isinstance(each, (p.If, p.Match, p.Require))]
    return any(_of_method(expr) for each in [*around, *before] for expr in expressions(each))


def _of_method(expr: p.Expr) -> bool:
    return isinstance(expr, p.MessageField) and (expr.message, expr.field) == ("request", "method")


def _idempotency(expr: p.Expr) -> bool:
    return isinstance(expr, p.Named) and expr.kind == "header" and "idempoten" in str(constant(expr.key)).lower()
