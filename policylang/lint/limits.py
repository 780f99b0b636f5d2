"""What rules about limits ask: which statements are limits, and what they count by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant
from policylang.sdk.values import Rate

LIMITS = ("rate_limit", "quota", "concurrency_limit")


def limits(statement: p.Statement) -> TypeGuard[p.Invoke]:
    """Whether it is a limit that refuses; one that is only tried refuses nobody."""
    return calls(statement, *LIMITS) and constant(argument(statement, "log_only")) is not True


def key_of(statement: p.Statement) -> p.Expr | None:
    """What an assertion counts, keeps or locks by."""
    if isinstance(statement, p.Invoke):
        for bound in statement.args:
            if bound.param.types[0].name == "key":
                return bound.value
    return None


def unit_of(limit: p.Expr | None) -> str | None:
    """The unit of a rate, also of one that is worked out: `rate(plan.calls, "month")`. None where nobody can tell."""
    if isinstance(limit, p.FunctionCall) and limit.card.name == "rate":
        unit = constant(limit.args[1])
        return unit if isinstance(unit, str) else None
    rate = constant(limit)
    return rate.unit if isinstance(rate, Rate) else None


def items(key: p.Expr) -> tuple[p.Expr, ...]:
    """What a key is made of."""
    if isinstance(key, p.ListOf):
        return key.items
    if isinstance(key, p.Template):
        return tuple(part for part in key.parts if not isinstance(part, str))
    return (key,)


def taken(statement: p.Statement) -> Iterator[p.Statement]:
    """It, and what inside it may run and refuse the request: not where a failure is caught, or leads to another try."""
    yield statement
    blocks: list[p.Block] = []
    if isinstance(statement, p.Expand) or (isinstance(statement, p.Group) and statement.kind in ("all", "parallel")):
        blocks = [statement.body]
    elif isinstance(statement, p.If):
        blocks = [block for _, block in statement.arms] + ([] if statement.orelse is None else [statement.orelse])
    elif isinstance(statement, p.Match):
        blocks = [case.body for case in statement.cases] + ([] if statement.orelse is None else [statement.orelse])
    for block in blocks:
        for inner in block.statements:
            yield from taken(inner)
