"""A map that nothing asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.edits import fix, without_declaration
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.unused import declared
from policylang.syntax import nodes as n


class UnusedMap(Rule):
    """A map that nothing names with `map("…")` is read, or kept, for nobody.

    A map's file must be there and right for the policy to load; what an operator writes into a map of the store
    changes nothing while no statement asks for it.

        map partners, file: "clients.json"

        service status "/status" {
            respond 204
        }
    ==
        service status "/status" {
            respond 204
        }
    """

    name: ClassVar[str] = "unused-map"
    category: ClassVar[Category] = "style"
    in_every_policy: ClassVar[bool] = True

    def check(self, policy: Policy) -> Iterator[Finding]:
        for each in declared(policy, n.MapDeclaration):
            if ("map", each.name) not in policy.names:
                yield Finding(
                    each.name_span, f"nothing asks the map `{each.name}`",
                    help=f'ask it with `map("{each.name}")`, or take it out',
                    fix=fix(f"take out `{each.name}`", without_declaration(each), safe=True),
                )  # fmt: skip
