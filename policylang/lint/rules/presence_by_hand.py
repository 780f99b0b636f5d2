"""An `if` that asks what `??` asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix, in_key, loose
from policylang.lint.look import expressions, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity


class PresenceByHand(Rule):
    """`if x != none then x else y` is `x ?? y`.

        let region = if request.header["X-Region"] != none then request.header["X-Region"] else "eu"
        log "asked from ${region}"
    ==
        let region = request.header["X-Region"] ?? "eu"
        log "asked from ${region}"
    """

    name: ClassVar[str] = "presence-by-hand"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr in expressions(visit.statement):
                found = _asked(expr)
                if found is None:
                    continue
                value, other = found
                plain = not loose(value) and not loose(other) and "#" not in expr.span.text
                text = f"{text_of(value)} ?? {text_of(other)}"
                yield Finding(
                    expr.span, "this asks whether a value is there, which `??` asks", help=f"write `{text}`",
                    fix=fix(
                        f"write `{text}`", Edit(expr.span, text) if plain else None,
                        safe=not in_key(visit.statement, expr.span),
                    ),
                )  # fmt: skip


def _asked(expr: p.Expr) -> tuple[p.Expr, p.Expr] | None:
    if not isinstance(expr, p.IfExpr):
        return None
    test = expr.condition
    if not (isinstance(test, p.BinaryOp) and test.op in ("==", "!=")):
        return None
    sides = {test.left.type.name: test.right, test.right.type.name: test.left}
    asked = sides.get("none")
    value, other = (expr.then, expr.orelse) if test.op == "!=" else (expr.orelse, expr.then)
    if asked is None or isinstance(value, p.Const) or text_of(asked) != text_of(value):
        return None
    return value, other
