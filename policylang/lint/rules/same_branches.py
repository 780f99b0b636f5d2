"""Branches that all do the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from policylang.lint.likeness import written
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.syntax import nodes as n


class SameBranches(Rule):
    """Whatever is decided, the same happens.

    One of the branches was copied and never changed, or the decision is not needed.

        if request.header["X-Region"] == "eu" {
            route orders, path: "/eu"
        } else {
            route orders, path: "/eu"
        }
    ==
        if request.header["X-Region"] == "eu" {
            route orders, path: "/eu"
        } else {
            route orders, path: "/us"
        }
    """

    name: ClassVar[str] = "same-branches"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for node in policy.nodes:
            ways = _ways(node)
            if len(ways) > 1 and len({written(each) for each in ways}) == 1:
                yield Finding(
                    ways[-1].span, "every branch does the same", labels=[Label(ways[0].span, "as here")],
                    help="change what was to differ, or write it once without the decision",
                )  # fmt: skip


def _ways(node: n.Node) -> Sequence[n.Node]:
    """What may happen, where one of it always does."""
    if isinstance(node, n.If) and node.orelse is not None:
        return [*(arm.body for arm in node.arms), node.orelse]
    if isinstance(node, n.Match) and any(not case.patterns for case in node.cases):
        return [case.body for case in node.cases]
    if isinstance(node, n.Split):
        return [case.body for case in node.cases]
    if isinstance(node, n.Conditional):
        return [node.then, node.orelse]
    if isinstance(node, n.Group) and node.kind == "any":
        again = any(isinstance(each, n.Call) and each.name == "route" for each in node.body.statements)
        return () if again else node.body.statements  # one that is sent once more may well pass
    return []
