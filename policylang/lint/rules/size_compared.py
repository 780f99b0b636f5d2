"""A body that is read to see whether it is too large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import never_passes

_AT_MOST = {"<": 0, "<=": 0, ">": 1, ">=": 1}
"""The operators, and on which side the size stands of one that holds for small bodies."""


class SizeCompared(Rule):
    """`request.size` is known when the whole body is here: the large one has been read when it is refused.

    `limit_size` refuses by what the head says, cuts off what streams at the limit, and answers 413. Where a large body
    only goes another way its size must be known, and nothing is said.

        require request.size <= 1MiB
        route orders
    ==
        limit_size request, 1MiB
        route orders
    """

    name: ClassVar[str] = "size-compared"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            tests: list[tuple[p.Expr, bool]] = []
            if isinstance(statement, p.Require):
                tests = [(statement.condition, True)]
            elif isinstance(statement, p.If):
                tests = [(test, False) for test, block in statement.arms if never_passes(block)]
            # One that goes elsewhere with what is large needs its size.
            if not tests or any(map(_goes_elsewhere, visit.parents)):
                continue
            for test, passes in tests:
                for condition, bound in _bounds(test, passes):
                    cure = None
                    if test is condition and passes and "<=" in test.span.text and "\n" not in statement.span.text:
                        cure = fix("write `limit_size`", Edit(statement.span, f"limit_size request, {bound.span.text}"))
                    yield Finding(
                        condition.span, "the whole body is read before this says that it is too large",
                        help=f"write `limit_size request, {bound.span.text}`", fix=cure,
                    )  # fmt: skip


def _goes_elsewhere(around: p.Statement) -> bool:
    """Whether something is tried in place of what refuses in it."""
    if isinstance(around, p.Else):
        return not never_passes(around.right)
    if isinstance(around, p.Try):
        return not never_passes(around.handler)
    return isinstance(around, p.Group) and around.kind in ("any", "none")


def _bounds(test: p.Expr, passes: bool) -> Iterator[tuple[p.Expr, p.Expr]]:
    """The comparisons that must hold, and may not for an `if` that refuses, each with its bound."""
    if isinstance(test, p.UnaryOp) and test.op == "not":
        yield from _bounds(test.operand, not passes)
    elif isinstance(test, p.BinaryOp) and test.op == ("and" if passes else "or"):
        yield from _bounds(test.left, passes)
        yield from _bounds(test.right, passes)
    else:
        bound = _bound(test, passes)
        if bound is not None:
            yield test, bound


def _bound(test: p.Expr, passes: bool) -> p.Expr | None:
    """The constant that a size must be below, to pass `require` or not to be what an `if` is for."""
    if not isinstance(test, p.BinaryOp) or test.op not in _AT_MOST:
        return None
    sides = (test.left, test.right)
    place = _AT_MOST[test.op] if passes else 1 - _AT_MOST[test.op]
    size, bound = sides[place], sides[1 - place]
    measured = isinstance(size, p.MessageField) and (size.message, size.field) == ("request", "size")
    return bound if measured and isinstance(bound, p.Const) else None
