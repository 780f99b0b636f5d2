"""A check that stands behind what it is to protect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit
from policylang.lint.moves import moved
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import of_the_caller, refusing, sent_after, sent_before


class CheckAfterRoute(Rule):
    """What is asked of the caller behind `route` is asked too late.

    Who is refused there has had his request carried out: the order is placed, and only the answer is withheld.

        route orders
        allow_ip "10.0.0.0/8"
    ==
        allow_ip "10.0.0.0/8"
        route orders
    """

    name: ClassVar[str] = "check-after-route"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            if not _of_the_caller(policy, visit):
                continue
            span = visit.statement.span
            if visit.place == "after":
                yield Finding(
                    span, "the caller is checked when the service has answered already",
                    help="move it into `global before`",
                )  # fmt: skip
            elif visit.place == "service":
                sent = sent_before(policy, visit)
                if sent is not None and not sent_after(policy, visit):
                    yield Finding(
                        span, "the caller is checked when the request has been sent already",
                        labels=[Label(sent.span, "sent here")], help="move it above the `route`",
                        fix=moved(policy, visit.statement, sent, above=True),
                    )  # fmt: skip


def _of_the_caller(policy: Policy, visit: Visit) -> bool:
    statement = visit.statement
    if isinstance(statement, p.Invoke):
        return statement.card.group == "identity" or statement.card.name == "not_replayed"
    condition = refusing(statement)
    return condition is not None and visit.place != "after" and of_the_caller(policy, visit.service, condition)
