"""What a statement asks of a request: the comparisons that let it go on, and those that keep it out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from policylang.check import program as p
from policylang.lint.look import Visit, constant

Asked: TypeAlias = tuple[p.Expr, bool]
"""A comparison or another question, and what its answer must be."""

_ELSEWHERE = 300
"""A redirect may send away, as to a log-in, or be what was asked for."""


def demanded(visit: Visit, *, either: bool = False) -> Iterator[Asked]:
    """What must be so behind the statement: by a `require`, or by an `if` that turns away whom it is not so of. With
    `either` also what is enough beside something else: the sides of an `or`."""
    statement = visit.statement
    turned = sum(isinstance(each, p.Group) and each.kind == "none" for each in visit.parents) % 2 == 1
    if isinstance(statement, p.Require):
        yield from _questions(statement.condition, not turned, either)
    elif isinstance(statement, p.If):
        for condition, block in statement.arms:
            if refuses(block, _ELSEWHERE):
                yield from _questions(condition, turned, either)
        if len(statement.arms) == 1 and statement.orelse is not None and refuses(statement.orelse, _ELSEWHERE):
            yield from _questions(statement.arms[0][0], not turned, either)


def granted(visit: Visit) -> Iterator[Asked]:
    """What lets a request into a branch of an `if` that goes on, or answers it well."""
    statement = visit.statement
    if isinstance(statement, p.If):
        for condition, block in statement.arms:
            if not refuses(block):
                yield from _questions(condition, True, True)
        if statement.orelse is not None and not refuses(statement.orelse):
            for condition, _ in statement.arms:
                yield from _questions(condition, False, True)


def denied(visit: Visit) -> frozenset[int]:
    """The questions, by their identity, that keep out whom the answer is yes for."""
    asked = [*demanded(visit, either=True), *granted(visit)]
    return frozenset(id(expr) for expr, _ in asked) - {id(expr) for expr, answer in asked if answer}


def refuses(block: p.Block, least: int = 400) -> bool:
    """Whether it ends in a failure, or in an answer of that status and above."""
    for each in block.statements:
        if isinstance(each, p.Fail):
            return True
        if isinstance(each, p.Respond):
            status = constant(each.status)
            return isinstance(status, int) and status >= least
    return False


def _questions(condition: p.Expr, answer: bool, either: bool) -> Iterator[Asked]:
    if isinstance(condition, p.UnaryOp) and condition.op == "not":
        yield from _questions(condition.operand, not answer, either)
    elif isinstance(condition, p.BinaryOp) and condition.op in ("and", "or"):
        if either or (condition.op == "and") is answer:
            for side in (condition.left, condition.right):
                yield from _questions(side, answer, either)
    else:
        yield condition, answer


__all__ = ["Asked", "demanded", "denied", "granted", "refuses"]
