"""A boolean that is compared with a boolean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix, in_key
from policylang.lint.look import constant, expressions
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity


class BooleanComparison(Rule):
    """What is true or false already needs no `== true`, and no `if … then true else false` around it.

    A value of JSON is another matter: `request.json.paid == true` is false where `paid` is missing or a text, and
    `request.json.paid` alone fails.

        let inside = if client.ip in ["192.0.2.0/24"] then true else false
        require inside == true
    ==
        let inside = client.ip in ["192.0.2.0/24"]
        require inside
    """

    name: ClassVar[str] = "boolean-comparison"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr in expressions(visit.statement):
                plain = _plain(expr)
                if plain is not None:
                    yield Finding(
                        expr.span, "this is true or false already", help=f"write `{plain}`",
                        fix=fix(
                            f"write `{plain}`", Edit(expr.span, plain), safe=not in_key(visit.statement, expr.span)
                        ),
                    )  # fmt: skip


def _plain(expr: p.Expr) -> str | None:
    """What may stand in its place, on one line."""
    if isinstance(expr, p.IfExpr):
        then, orelse = constant(expr.then), constant(expr.orelse)
        if not (_boolean(expr.condition) and then in (True, False) and orelse is (not then)):
            return None
        text = expr.condition.span.text
        loose = isinstance(expr.condition, p.IfExpr) or (
            isinstance(expr.condition, p.BinaryOp) and expr.condition.op in ("and", "or")
        )
        found = text if then else f"not ({text})" if loose else f"not {text}"
    elif isinstance(expr, p.BinaryOp) and expr.op in ("==", "!="):
        left, right = constant(expr.left), constant(expr.right)
        known, other = (left, expr.right) if isinstance(left, bool) else (right, expr.left)
        if not isinstance(known, bool) or not _boolean(other):
            return None
        source = expr.span.source.text
        at = source.find(expr.op, expr.left.span.end, expr.right.span.start)
        found = (source[at + 2 : expr.span.end] if other is expr.right else source[expr.span.start : at]).strip()
        found = found if known is (expr.op == "==") else f"not {found}"
    else:
        return None
    return None if "\n" in found or "#" in found else found


def _boolean(expr: p.Expr) -> bool:
    return expr.type.name == "boolean" and not expr.type.optional and not isinstance(expr, p.Const)
