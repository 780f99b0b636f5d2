"""Numbers in text, ordered as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint import look
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


_OF_ONE_LENGTH = frozenset({"date", "format_time", "substring"})


class TextAsNumber(Rule):
    """Text is ordered letter by letter, so `"9"` is greater than `"10"`.

    What comes in a header, a query or a cookie is text, also where it is made of digits.

        require request.query.limit ?? "1" <= "100"
    ==
        require int(request.query.limit ?? "1") ?? 101 <= 100
    """

    name: ClassVar[str] = "text-as-number"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr in look.expressions(visit.statement):
                if isinstance(expr, p.BinaryOp) and expr.op in ("<", "<=", ">", ">="):
                    for side, other in ((expr.left, expr.right), (expr.right, expr.left)):
                        if not isinstance(side, p.Const) or not isinstance(side.value, str):
                            continue
                        if _NUMBER.fullmatch(side.value) and not _of_one_length(other):
                            yield Finding(
                                expr.span, f"`{expr.op}` orders text here, letter by letter",
                                help=f"write `{side.value}` without quotes, and make a number of "
                                     f"`{look.text_of(other)}` with `float(…)`",
                            )  # fmt: skip


def _of_one_length(expr: p.Expr) -> bool:
    """Whether it is text whose order by letters is its order by numbers."""
    if isinstance(expr, p.FunctionCall):
        return expr.card.name in _OF_ONE_LENGTH
    return isinstance(expr, p.MessageField) and expr.field == "version"
