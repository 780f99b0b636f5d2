"""`all` or `any` around one statement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.edits import fix, unwrapped
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.written import Place, place_of
from policylang.syntax import nodes as n
from policylang.tree.facts import writes

_WITHOUT_ELSE = (n.If, n.Match, n.Split, n.For, n.Respond, n.Fail, n.Else)
_ELSE = re.compile(r"(?:\s|#.*\n)*else\b(?!\s*->)")


class NeedlessGroup(Rule):
    """`all` or `any` of one statement is that statement.

    An `any` with one branch left looks as if there were another way.

        any {
            allow_ip "192.0.2.0/24"
        }
    ==
        allow_ip "192.0.2.0/24"
    """

    name: ClassVar[str] = "needless-group"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        safe = _taking_nothing_back(policy)
        for each in policy.written:
            node = each.statement
            if isinstance(node, n.Group) and node.kind in ("all", "any") and _one(node):
                yield Finding(
                    node.span, f"there is one statement in this `{node.kind}`", help=f"write it without `{node.kind}`",
                    fix=fix(
                        f"write it without `{node.kind}`", unwrapped(each.file, node.span, node.body),
                        safe=node.kind == "all" or place_of(node.span) in safe,
                    ),
                )  # fmt: skip


def _one(node: n.Group) -> bool:
    """Whether it holds one statement, which could stand there by itself: `else` does not follow each."""
    if len(node.body.statements) != 1:
        return False
    inner = node.body.statements[0]
    takes_none = isinstance(inner, _WITHOUT_ELSE) or (isinstance(inner, n.Group) and inner.kind == "none")
    return not (takes_none and _ELSE.match(node.span.source.text, node.span.end))


def _taking_nothing_back(policy: Policy) -> set[Place]:
    """Each `any` whose branch writes nothing: one that fails takes back what it has written."""
    return {
        place_of(visit.statement.span) for visit in policy.visits
        if isinstance(visit.statement, p.Group) and writes(*visit.statement.body.statements).nothing
    }  # fmt: skip
