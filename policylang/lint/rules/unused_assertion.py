"""An assertion that nobody calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.edits import fix, without_declaration
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.unused import declared
from policylang.syntax import nodes as n


class UnusedAssertion(Rule):
    """An assertion that nobody calls checks nothing.

    Whoever reads the policy takes it for a check that stands. Assertions of an imported file are left alone, as
    another policy may call them.

        assertion from_office {
            allow_ip "192.0.2.0/24"
        }

        service reports "/reports" {
            respond 204
        }
    ==
        assertion from_office {
            allow_ip "192.0.2.0/24"
        }

        service reports "/reports" {
            from_office
            respond 204
        }
    """

    name: ClassVar[str] = "unused-assertion"
    category: ClassVar[Category] = "style"
    in_every_policy: ClassVar[bool] = True

    def check(self, policy: Policy) -> Iterator[Finding]:
        for each in declared(policy, n.AssertionDeclaration):
            if ("call", each.name) not in policy.names:
                yield Finding(
                    each.name_span, f"nobody calls the assertion `{each.name}`",
                    help="call it where it is to check, or take it out",
                    fix=fix(f"take out `{each.name}`", without_declaration(each)),
                )  # fmt: skip
