"""A body that is held for a name that nobody reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.costs import MESSAGES, held_in_vain
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class BodyThrownAway(Rule):
    """A body that nobody reads streams through; a name that is never used stops it.

    The whole body is held in memory before the statement runs, and only then goes on. Where the `let` is there to
    refuse what has no such value, `require … != none` says so.

        route orders
        let total? = jsonpath("$.total", in: response)
    ==
        route orders
    """

    name: ClassVar[str] = "body-thrown-away"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit, held in held_in_vain(policy):
            assert isinstance(visit.statement, p.Let)
            what = " and ".join(f"`{message}`" for bit, message in MESSAGES.items() if held & bit)
            yield Finding(
                visit.statement.span, f"the body of {what} is held for `{visit.statement.name}`, which nothing reads",
                help="take it out, or write `require` where the value must be there",
            )  # fmt: skip
