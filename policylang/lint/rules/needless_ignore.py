"""An `ignore` where no failure is swallowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.edits import fix, without_statement
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.syntax import nodes as n


class NeedlessIgnore(Rule):
    """`ignore` says that a failure is meant to be swallowed; beside other statements of a plain block it says nothing.

    It belongs to the end of an `else` or a `catch`, or stands alone where there is nothing to do. It does not make the
    statement above it pass.

        allow_ip "192.0.2.0/24"
        ignore
        route orders
    ==
        allow_ip "192.0.2.0/24"
        route orders
    """

    name: ClassVar[str] = "needless-ignore"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for each in policy.written:
            if isinstance(each.statement, n.Ignore) and len(each.block.statements) > 1 and each.in_turn:
                parent = each.parents[-1] if each.parents else None
                swallows = isinstance(parent, (n.Try, n.Else)) and each.index == len(each.block.statements) - 1
                if not swallows:
                    yield Finding(
                        each.statement.span, "this `ignore` does nothing",
                        help="take it out",
                        fix=fix("take it out", without_statement(each.file, each.block, each.statement)),
                    )  # fmt: skip
