"""A `not` of what says no already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix, in_key
from policylang.lint.look import expressions
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity


class DoubleNegation(Rule):
    """`not` of a `not`, or of a `!=`, says yes in a way that is read wrong.

        require not (path.id != "0")
    ==
        require path.id == "0"
    """

    name: ClassVar[str] = "double-negation"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr in expressions(visit.statement):
                if not (isinstance(expr, p.UnaryOp) and expr.op == "not"):
                    continue
                plain, same = _plain(expr.operand)
                if plain is not None and "\n" not in plain and "#" not in plain:
                    yield Finding(
                        expr.span, "this says no to a no", help=f"write `{plain}`",
                        fix=fix(
                            f"write `{plain}`", Edit(expr.span, plain),
                            safe=same and not in_key(visit.statement, expr.span),
                        ),
                    )  # fmt: skip


def _plain(inner: p.Expr) -> tuple[str | None, bool]:
    """What the `not` of it is, and whether it is that for every value."""
    source = inner.span.source.text
    if isinstance(inner, p.UnaryOp) and inner.op == "not":
        # `not` of JSON that is no boolean fails; the value itself may be taken as it is.
        kind, operand = inner.operand.type, inner.operand
        loose = isinstance(operand, p.IfExpr) or (isinstance(operand, p.BinaryOp) and operand.op in ("and", "or"))
        text = source[inner.span.start + len("not") : inner.span.end].strip() if loose else operand.span.text
        return text, kind.name == "boolean" and not kind.optional
    if isinstance(inner, p.BinaryOp) and inner.op == "!=":
        at = source.find("!=", inner.left.span.end, inner.right.span.start)
        return f"{source[inner.span.start : at]}=={source[at + 2 : inner.span.end]}", True
    return None, False
