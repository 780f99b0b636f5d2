"""An assertion that is there for old policies only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.syntax import nodes as n


class DeprecatedName(Rule):
    """A deprecated assertion does what it did, and will be gone one day.

    Its page says what to write instead. A plug-in's class says so with `deprecated`.

        acme.check_size request, 1MB
    ==
        limit_size request, 1MB
    """

    name: ClassVar[str] = "deprecated-name"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for node in policy.nodes:
            if isinstance(node, n.Call):
                card = policy.catalog.assertions.get(node.name)
                if card is not None and card.deprecated:
                    yield Finding(node.name_span, f"`{node.name}` is deprecated", help=card.deprecated)
