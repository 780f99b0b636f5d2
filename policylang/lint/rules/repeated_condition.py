"""One condition, asked twice where the second time cannot matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint import look
from policylang.lint.likeness import written
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Label, Rule
from policylang.source import Span
from policylang.syntax import nodes as n

_NEW_EACH_TIME = frozenset({"uuid", "random_hex"})


class RepeatedCondition(Rule):
    """A condition stands twice in one `if … else if`, `and` or `or`.

    The second time it says nothing new. Most often it was copied, and one of the two was to ask for something else.

        if request.query.version == "1" {
            route orders, path: "/v1"
        } else if request.query.version == "1" {
            route orders, path: "/v2"
        }
    ==
        if request.query.version == "1" {
            route orders, path: "/v1"
        } else if request.query.version == "2" {
            route orders, path: "/v2"
        }
    """

    name: ClassVar[str] = "repeated-condition"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        inner: set[int] = set()
        for node in policy.nodes:
            if isinstance(node, n.If):
                if id(node) not in inner:
                    yield from self._twice(list(_chain(node, inner)), policy, "the branch is never taken", False)
            elif isinstance(node, n.Group) and node.kind == "any" and len(node.body.statements) > 2:
                asked = [each.condition for each in node.body.statements if isinstance(each, n.Require)]
                yield from self._twice(asked, policy, "this branch was tried before", False)
            elif isinstance(node, n.Binary) and node.op in ("and", "or") and id(node) not in inner:
                operands = list(_operands(node, node.op, inner))
                yield from self._twice(operands, policy, f"it stands on both sides of `{node.op}`", True)

    def _twice(self, conditions: list[n.Expr], policy: Policy, why: str, remove: bool) -> Iterator[Finding]:
        seen: dict[object, n.Expr] = {}
        for place, condition in enumerate(conditions):
            if any(isinstance(each, n.CallExpr) and each.name in _NEW_EACH_TIME for each in look.nodes(condition)):
                continue
            first = seen.setdefault(_told(condition), condition)
            if first is condition:
                continue
            fix = None
            if remove:
                gone = Span(condition.span.source, conditions[place - 1].span.end, condition.span.end)
                if "(" not in gone.text.removesuffix(condition.span.text) and "#" not in gone.text:
                    fix = Fix("ask once", (Edit(gone, ""),))
            yield Finding(
                condition.span, "this was asked before", label=why, labels=[Label(first.span, "asked here")],
                help="ask for what was meant, or leave it out", fix=fix,
            )  # fmt: skip


def _chain(node: n.If, inner: set[int]) -> Iterator[n.Expr]:
    """The conditions of an `if`, also of one that is all of its `else`."""
    inner.add(id(node))
    yield from (arm.condition for arm in node.arms)
    rest = () if node.orelse is None else node.orelse.statements
    if len(rest) == 1 and isinstance(rest[0], n.If):
        yield from _chain(rest[0], inner)


def _told(condition: n.Expr) -> object:
    """Equal for what asks the same, whichever side is which."""
    if isinstance(condition, n.Binary) and condition.op in ("==", "!="):
        return (condition.op, frozenset((written(condition.left), written(condition.right))))
    return written(condition)


def _operands(node: n.Expr, op: str, inner: set[int]) -> Iterator[n.Expr]:
    if isinstance(node, n.Binary) and node.op == op:
        inner.add(id(node))
        yield from _operands(node.left, op, inner)
        yield from _operands(node.right, op, inner)
    else:
        yield node
