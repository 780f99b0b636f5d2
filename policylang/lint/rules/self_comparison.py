"""A value beside itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint import look
from policylang.lint.likeness import shape
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule

_OPERATORS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "contains", "starts_with", "ends_with", "-", "??"})
_FUNCTIONS = frozenset({"same_secret", "min", "max"})


class SelfComparison(Rule):
    """Both sides are one value, so the answer is known before.

    A digest that is compared with itself fits every body.

        let given = request.header["X-Digest"]
        require given == given
    ==
        let given = request.header["X-Digest"]
        require given == sha256("${request.method} ${request.path}")
    """

    name: ClassVar[str] = "self-comparison"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr in look.expressions(visit.statement):
                if isinstance(expr, p.BinaryOp) and expr.op in _OPERATORS:
                    left, right = expr.left, expr.right
                elif isinstance(expr, p.FunctionCall) and expr.card.name in _FUNCTIONS:
                    left, right = expr.args
                else:
                    continue
                if not isinstance(left, p.Const) and shape(left) == shape(right):
                    yield Finding(
                        expr.span, f"`{look.text_of(left)}` stands on both sides", help="give one side what was meant"
                    )
