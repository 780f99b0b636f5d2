"""A limit that stands behind what it is to protect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.look import calls
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.tree.facts import answers

LIMITS = ("rate_limit", "quota", "concurrency_limit")


class LimitAfterRoute(Rule):
    """A limit behind `route` refuses when the upstream has done the work.

    The upstream has had the request, and may have acted on it; the client is told that it was refused, and asks again.

        route orders
        rate_limit 10/s, per: client.ip
    ==
        rate_limit 10/s, per: client.ip
        route orders
    """

    name: ClassVar[str] = "limit-after-route"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            if visit.place == "service" and calls(visit.statement, *LIMITS):
                sent = next((each for each in visit.before if answers(each)), None)
                if sent is not None:
                    yield Finding(
                        visit.statement.span, "this limit is asked when the request has been sent already",
                        labels=[Label(sent.span, "sent here")], help="move it above the `route`",
                    )  # fmt: skip
