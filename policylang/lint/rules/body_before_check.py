"""A body that is read before it is known who sends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit, authenticates, expressions, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import certain
from policylang.tree.facts import REQUEST, all_needs, binds


class BodyBeforeCheck(Rule):
    """Whoever may not come is refused before the body is read.

    A statement that reads the body waits for all of it and holds it in memory, up to `limits body`, for everybody who
    sends one. Keys and addresses are looked at for nothing.

        require request.json.total != none
        allow_ip "192.0.2.0/24"
        route orders
    ==
        allow_ip "192.0.2.0/24"
        require request.json.total != none
        route orders
    """

    name: ClassVar[str] = "body-before-check"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            around = visit.parents[-1] if visit.parents else None
            if visit.place != "service" or (isinstance(around, p.Group) and around.kind != "all"):
                continue
            asked = visit.statement.left if isinstance(visit.statement, p.Else) else visit.statement
            if any(_asks_who(inner) for inner in certain(asked)) and not _hangs_on_body(visit):
                read = next((each for each in visit.before if all_needs(each) & REQUEST), None)
                if read is not None:
                    yield Finding(
                        visit.statement.span, "the body has been read when this refuses",
                        labels=[Label(read.span, "it is read here")], help="move it above that line",
                    )  # fmt: skip


def _asks_who(statement: p.Statement) -> bool:
    return isinstance(statement, p.Invoke) and (statement.card.group == "identity" or authenticates(statement))


def _hangs_on_body(visit: Visit) -> bool:
    """Whether it reads the body, or a name that was made of it."""
    made: set[int] = set()
    for each in visit.before:
        if all_needs(each) & REQUEST or _reads(each, made):
            made |= binds(each)
    return bool(all_needs(visit.statement) & REQUEST) or _reads(visit.statement, made)


def _reads(statement: p.Statement, slots: set[int]) -> bool:
    return any(
        isinstance(expr, p.SlotRef) and expr.slot in slots
        for inner in within(statement) for expr in expressions(inner)
    )  # fmt: skip
