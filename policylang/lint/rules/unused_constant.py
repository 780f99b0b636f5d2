"""A constant that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.edits import fix, without_declaration
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.unused import declared
from policylang.syntax import nodes as n


class UnusedConstant(Rule):
    """A constant that nothing reads is left over, or the place that was to read it was forgotten.

    Whoever changes its value believes to have changed the policy. Constants of an imported file are left alone, as
    another policy may read them.

        let office_networks = ["192.0.2.0/24"]

        service status "/status" {
            respond 204
        }
    ==
        service status "/status" {
            respond 204
        }
    """

    name: ClassVar[str] = "unused-constant"
    category: ClassVar[Category] = "style"
    in_every_policy: ClassVar[bool] = True

    def check(self, policy: Policy) -> Iterator[Finding]:
        for each in declared(policy, n.Constant):
            if ("name", each.name) not in policy.names:
                yield Finding(
                    each.name_span, f"nothing reads the constant `{each.name}`", help="read it, or take it out",
                    fix=fix(f"take out `{each.name}`", without_declaration(each), safe=True),
                )  # fmt: skip
