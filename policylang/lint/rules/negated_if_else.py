"""An `if` that asks whether something is not so, and has an `else`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.edits import commented, fix
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule, Severity
from policylang.lint.written import Written, ends
from policylang.source import Span
from policylang.syntax import nodes as n


class NegatedIfElse(Rule):
    """With both ways there, the one that needs no `not` is read first.

    An `if` that refuses early, or asks whether something is there (`!= none`), is as it should be.

        if not (path.id starts_with "old-") {
            route orders
        } else {
            route orders, path: "/old"
        }
    ==
        if path.id starts_with "old-" {
            route orders, path: "/old"
        } else {
            route orders
        }
    """

    name: ClassVar[str] = "negated-if-else"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for each in policy.written:
            node = each.statement
            if not isinstance(node, n.If) or len(node.arms) != 1 or node.orelse is None or ends(node.arms[0].body):
                continue
            plain = _plain(node.arms[0].condition)
            if plain is not None and node.orelse.statements and node.arms[0].body.statements:
                yield Finding(
                    node.arms[0].condition.span, "this `if` has an `else`, and asks what is not so",
                    help=f"ask `{plain}`, and let the two blocks change places", fix=_swapped(each, node, plain),
                )  # fmt: skip


def _plain(condition: n.Expr) -> str | None:
    """The condition without its `not`, on one line."""
    found = None
    if isinstance(condition, n.Unary) and condition.op == "not":
        found = condition.operand.span.text
    elif isinstance(condition, n.Binary) and condition.op == "!=":
        source, span = condition.span.source.text, condition.span
        if not (isinstance(condition.left, n.NoneValue) or isinstance(condition.right, n.NoneValue)):
            found = f"{source[span.start : condition.op_span.start]}=={source[condition.op_span.end : span.end]}"
    return found if found is not None and "\n" not in found and "#" not in found else None


def _swapped(each: Written, node: n.If, plain: str) -> Fix | None:
    orelse, arm = node.orelse, node.arms[0]
    assert orelse is not None
    between = Span(node.span.source, arm.body.span.end, orelse.span.start)
    if commented(each.file, between):
        return None
    # Equal limits without a name are told apart by their order, so that these would change counters.
    return fix(
        "let the two blocks change places", Edit(arm.condition.span, plain), Edit(arm.body.span, orelse.span.text),
        Edit(orelse.span, arm.body.span.text),
    )  # fmt: skip
