"""An answer that has a body and cannot have one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule


class BodyOfEmptyStatus(Rule):
    """204, 205 and 304 are answers without a body (RFC 9110, 15.3.5, 15.3.6 and 15.4.5): no client reads what is given.

        respond 204, json: { state: "stored" }
    ==
        respond 200, json: { state: "stored" }
    """

    name: ClassVar[str] = "body-of-empty-status"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Respond) and constant(statement.status) in (204, 205, 304):
                body = statement.body or statement.json or statement.content_type
                if body is not None and constant(body) != "":
                    yield Finding(
                        body.span, f"an answer with {constant(statement.status)} has no body",
                        labels=[Label(statement.status.span, "the status")],
                        help="leave it out, or answer with 200",
                    )  # fmt: skip
