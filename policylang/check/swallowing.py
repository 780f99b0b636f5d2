"""`swallowed-failure`: an `else` or `catch` that does nothing about what has failed."""

from __future__ import annotations

from collections.abc import Sequence

from policylang.check.blocks import head
from policylang.check.walk import Walk
from policylang.syntax import nodes as n


def swallows(walk: Walk, block: n.Block, word: str) -> None:
    """Report a block that is empty or only observes, unless it says so with `ignore` at its end."""
    statements = block.statements
    if statements and (isinstance(statements[-1], n.Ignore) or not observes(walk, statements)):
        return
    what = "is empty" if not statements else "only observes"
    walk.error(
        "swallowed-failure", head(block), f"this {word} {what}, so the failure is forgotten",
        help="let it fail or answer, or write `ignore` as its last statement if that is meant",
    )  # fmt: skip


def observes(walk: Walk, statements: Sequence[n.Statement]) -> bool:
    """Whether statements only watch: they log or count, and decide nothing."""
    return all(_observes(walk, each) for each in statements)


def _observes(walk: Walk, node: n.Statement) -> bool:
    if isinstance(node, n.Call):
        card = walk.unit.catalog.assertions.get(node.name)
        if card is not None:
            return card.observes if node.block is None else observes(walk, node.block.statements)
        definition = walk.unit.definitions.get(node.name)
        return definition is not None and definition.observes
    if isinstance(node, n.Group):
        return node.kind != "none" and observes(walk, node.body.statements)
    if isinstance(node, n.If):
        blocks = [arm.body for arm in node.arms] + ([node.orelse] if node.orelse is not None else [])
        return all(observes(walk, block.statements) for block in blocks)
    if isinstance(node, n.Match):
        return all(case.patterns == () or observes(walk, case.body.statements) for case in node.cases) and any(
            case.patterns == () and observes(walk, case.body.statements) for case in node.cases
        )
    if isinstance(node, n.Split):
        return all(observes(walk, case.body.statements) for case in node.cases)
    if isinstance(node, n.For):
        return observes(walk, node.body.statements)
    return isinstance(node, n.Ignore)
