"""What is refused, and counted all the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import limits, taken
from policylang.lint.look import Visit, argument, calls, constant, given, parts
from policylang.lint.moves import moved
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import later, never_passes
from policylang.tree.facts import answers

LOOKED_AT = 256
"""Statements behind a quota that are looked at."""
_COMPARES = frozenset({"<", "<=", ">", ">=", "=="})


class RefusedCounted(Rule):
    """A quota that stands before another limit, or a limit made of `increment`: requests that are refused use it up.

    Clients that ask again while they are refused lose what they have paid for, or lock themselves out for as long as
    they go on asking. `rate_limit` and `quota` do not count what they refuse themselves, but what a later limit refuses
    has been counted then.

        quota 10_000/month, per: client.ip, zone: "Europe/Berlin"
        rate_limit 10/s, per: client.ip
        route orders
    ==
        rate_limit 10/s, per: client.ip
        quota 10_000/month, per: client.ip, zone: "Europe/Berlin"
        route orders
    """

    name: ClassVar[str] = "refused-counted"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if limits(statement) and calls(statement, "quota") and constant(argument(statement, "count")) != "success":
                limit = limit_behind(policy, visit)
                if limit is not None:
                    yield Finding(
                        statement.span, "what the limit behind it refuses has been taken from this quota",
                        labels=[Label(limit.span, "refused here")],
                        help="put it behind the other limit, or count only what goes well: `count: success`",
                        fix=moved(policy, statement, limit, above=False),
                    )  # fmt: skip
            elif calls(statement, "increment") and visit.place in ("before", "service"):
                test = _test_behind(policy, visit)
                if test is not None:
                    yield Finding(
                        statement.span, "this counts what is refused as well",
                        labels=[Label(test.span, "refused here")],
                        help="use `rate_limit` or `quota`, which count what they let pass",
                    )  # fmt: skip


def limit_behind(policy: Policy, visit: Visit) -> p.Statement | None:
    """What else may refuse for being too much, before the request is sent."""
    for statement in islice(later(policy, visit), LOOKED_AT):
        for each in taken(statement):
            if limits(each) and not calls(each, "quota"):
                return each
        if answers(statement):
            return None
    return None


def _test_behind(policy: Policy, visit: Visit) -> p.Statement | None:
    statement = visit.statement
    assert isinstance(statement, p.Invoke)
    slot = statement.outputs[0] if statement.outputs else None
    if slot is None or given(statement, "by") is not None:
        return None
    if visit.outer is not None and isinstance(visit.outer.statement, (p.Try, p.Else)):
        return None  # it counts failures
    for each in later(policy, visit):
        if isinstance(each, p.Require) and _compares(each.condition, slot):
            return each
        if isinstance(each, p.If) and _compares(each.arms[0][0], slot) and _refuses(each.arms[0][1]):
            return each
    return None


def _compares(condition: p.Expr, slot: int) -> bool:
    return any(
        isinstance(part, p.BinaryOp) and part.op in _COMPARES
        and any(isinstance(side, p.SlotRef) and side.slot == slot for side in (part.left, part.right))
        for part in parts(condition)
    )  # fmt: skip


def _refuses(block: p.Block) -> bool:
    return never_passes(block) and isinstance(block.statements[-1], (p.Fail, p.Respond))
