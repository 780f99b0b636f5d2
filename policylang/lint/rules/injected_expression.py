"""An expression that a client can finish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import expressions
from policylang.lint.origins import SENT
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule

_KINDS = frozenset({*SENT, "path"})
_READS = {"xpath": "an XPath", "jsonpath": "a JSONPath", "regex": "a pattern"}


class InjectedExpression(Rule):
    """What a client sends becomes a part of an XPath, a JSONPath or a pattern.

    With a quote and a bracket it ends the author's expression and writes one of its own: another account is found, or
    anything matches. Find with an expression that is written in the policy, and compare what was found.

        let total = xpath("//order[@id='${request.query.id}']/total/text()", in: request)
        route orders, path: "/totals", query: { total: total }
    ==
        require request.query.id in xpath(r"//order/@id", in: request, all: true)
        let total = xpath(r"//summary/total/text()", in: request)
        route orders, path: "/totals", query: { total: total }
    """

    name: ClassVar[str] = "injected-expression"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr in expressions(visit.statement):
                what, pattern = _written(expr)
                if pattern is not None and policy.origins.of(visit.service).chosen(
                    pattern, visit, _KINDS, formed=True
                ):
                    yield Finding(
                        pattern.span, f"a client can write the end of {what} itself",
                        help="write the expression out, and compare what it finds with `==` or `in`",
                    )  # fmt: skip


def _written(expr: p.Expr) -> tuple[str, p.Expr | None]:
    """What kind of expression it looks for, where that is worked out for each message."""
    if isinstance(expr, p.FunctionCall) and expr.card.name in _READS and not isinstance(expr.args[0], p.Const):
        return _READS[expr.card.name], expr.args[0]
    if isinstance(expr, p.BinaryOp) and expr.op == "matches" and not isinstance(expr.right, p.Const):
        return "a pattern", expr.right
    return "", None
