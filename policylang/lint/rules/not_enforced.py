"""A check that is still only tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import constant, given
from policylang.lint.moves import without_option
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity


class NotEnforced(Rule):
    """`log_only: true` counts and reports, and lets everything pass.

    It is for trying a limit before it is in force. What is left so is no limit, though it looks like one.

        rate_limit 10/s, per: client.ip, log_only: true
        route orders
    ==
        rate_limit 10/s, per: client.ip
        route orders
    """

    name: ClassVar[str] = "not-enforced"
    category: ClassVar[Category] = "correctness"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            tried = given(visit.statement, "log_only")
            if isinstance(visit.statement, p.Invoke) and tried is not None and constant(tried) is True:
                yield Finding(
                    visit.statement.span, f"this `{visit.statement.card.name}` refuses nothing yet",
                    help="leave `log_only: true` out when the numbers are right",
                    fix=without_option(policy, visit.statement, "log_only"),
                )  # fmt: skip
