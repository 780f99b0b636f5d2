"""A string that holds nothing but one text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix, in_key, loose
from policylang.lint.look import expressions
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity


class NeedlessInterpolation(Rule):
    """A text needs no string around it.

    `"${x}"` makes text of a number or a time; what is text already it leaves as it is.

        set request.header["X-Id"] = "${path.id}"
    ==
        set request.header["X-Id"] = path.id
    """

    name: ClassVar[str] = "needless-interpolation"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr in expressions(visit.statement):
                if isinstance(expr, p.Template) and len(expr.parts) == 1 and not _routed(visit.statement, expr):
                    part = expr.parts[0]
                    if isinstance(part, p.Expr) and part.type.name == "string" and not part.type.optional:
                        text = part.span.text
                        plain = "\n" not in text and not loose(part)
                        yield Finding(
                            expr.span, f"`{text}` is text already" if plain else "this is text already",
                            help="write it without quotes",
                            fix=fix(
                                f"write `{text}`", Edit(expr.span, text) if plain else None,
                                safe=not in_key(visit.statement, expr.span),
                            ),
                        )  # fmt: skip


def _routed(statement: p.Statement, expr: p.Expr) -> bool:
    """A path to route to is a string: what is interpolated in it is encoded as one segment."""
    return isinstance(statement, p.Invoke) and any(
        each.param.types[0].name == "target" and each.value is expr for each in statement.args
    )
