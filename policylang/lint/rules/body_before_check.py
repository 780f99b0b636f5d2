"""A body that is read before it is known who sends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import authenticates, expressions, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import certain
from policylang.tree.facts import REQUEST, all_needs, binds


class BodyBeforeCheck(Rule):
    """Whoever may not come is refused before the body is read.

    A statement that reads the body waits for all of it and holds it in memory, up to `limits body`, for everybody who
    sends one. To look at a key or an address costs next to nothing.

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
        blocks: dict[int, _Begun] = {}
        for visit in policy.visits:
            around = visit.parents[-1] if visit.parents else None
            if visit.place != "service" or (isinstance(around, p.Group) and around.kind != "all"):
                continue
            asked = visit.statement.left if isinstance(visit.statement, p.Else) else visit.statement
            if any(_asks_who(inner) for inner in certain(asked)):
                begun = blocks.setdefault(id(visit.block), _Begun(visit.block))
                begun.up_to(visit.index)
                if begun.read is not None and not begun.hangs_on_body(visit.statement):
                    yield Finding(
                        visit.statement.span, "the body has been read when this refuses",
                        labels=[Label(begun.read.span, "it is read here")], help="move it above that line",
                    )  # fmt: skip


def _asks_who(statement: p.Statement) -> bool:
    return isinstance(statement, p.Invoke) and (statement.card.group == "identity" or authenticates(statement))


class _Begun:
    """What stands in a block before a place that only moves on: the first statement that reads the body, and the names
    that were made of it."""

    def __init__(self, block: p.Block) -> None:
        self.read: p.Statement | None = None
        self._made: set[int] = set()
        self._block = block
        self._at = 0

    def up_to(self, index: int) -> None:
        for statement in self._block.statements[self._at : index]:
            if self.hangs_on_body(statement):
                self._made |= binds(statement)
            if self.read is None and all_needs(statement) & REQUEST:
                self.read = statement
        self._at = index

    def hangs_on_body(self, statement: p.Statement) -> bool:
        """Whether it reads the body, or a name that was made of it."""
        return bool(all_needs(statement) & REQUEST) or _reads(statement, self._made)


def _reads(statement: p.Statement, slots: set[int]) -> bool:
    return any(
        isinstance(expr, p.SlotRef) and expr.slot in slots
        for inner in within(statement) for expr in expressions(inner)
    )  # fmt: skip
