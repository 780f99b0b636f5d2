"""`or` after `or`, or `and` after `and`, each comparing the same value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix, in_key
from policylang.lint.look import expressions, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity

_FEWEST = 3
_COMPARING = {"or": "==", "and": "!="}


class ChainOfComparisons(Rule):
    """A value that may be one of three and more, or none of them, is looked for in a list.

        require path.id == "1" or path.id == "2" or path.id == "3"
    ==
        require path.id in ["1", "2", "3"]
    """

    name: ClassVar[str] = "chain-of-comparisons"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            inner: set[int] = set()
            for expr in expressions(visit.statement):
                if id(expr) in inner or not (isinstance(expr, p.BinaryOp) and expr.op in _COMPARING):
                    continue
                compared = [_compared(each, _COMPARING[expr.op]) for each in _joined(expr, expr.op, inner)]
                found = [each for each in compared if each is not None]
                subjects = {text_of(left) for left, _ in found}
                if len(found) < max(_FEWEST, len(compared)) or len(subjects) != 1:
                    continue
                left, text = found[0][0], ", ".join(text_of(right) for _, right in found)
                subject = _there(left, [right for _, right in found])
                if subject is None:
                    continue
                better = f"{subject} in [{text}]"
                better = f"not ({better})" if expr.op == "and" else better
                alike = len({left.type.sure(), *(right.type for _, right in found)}) == 1
                alike = alike and not expr.private  # `in` takes no care of the time that it takes
                plain = isinstance(left, (p.SlotRef, p.MessageField, p.Named, p.ContextValue, p.MemberOf))
                plain = plain and "#" not in expr.span.text
                yield Finding(
                    expr.span, f"`{text_of(left)}` is compared {len(found)} times", help=f"write `{better}`",
                    fix=fix(
                        f"write `{better}`", Edit(expr.span, better) if plain else None,
                        safe=alike and not in_key(visit.statement, expr.span),
                    ),
                )  # fmt: skip


def _joined(expr: p.Expr, op: str, inner: set[int]) -> Iterator[p.Expr]:
    inner.add(id(expr))
    if isinstance(expr, p.BinaryOp) and expr.op == op:
        yield from _joined(expr.left, op, inner)
        yield from _joined(expr.right, op, inner)
    else:
        yield expr


def _there(left: p.Expr, rights: list[p.Const]) -> str | None:
    """The value as `in` takes it, which fails on `none`; None where nothing can stand for that."""
    if not left.type.optional or (left.type.name == "json" and not isinstance(left, p.SlotRef)):
        return text_of(left)
    as_text = left.type.name == "string" and all(right.value != "" for right in rights)
    return f"({text_of(left)} ?? \"\")" if as_text else None


def _compared(expr: p.Expr, op: str) -> tuple[p.Expr, p.Const] | None:
    if not (isinstance(expr, p.BinaryOp) and expr.op == op):
        return None
    left, right = (expr.right, expr.left) if isinstance(expr.left, p.Const) else (expr.left, expr.right)
    return (left, right) if isinstance(right, p.Const) and right.type.name != "none" else None
