"""A limit that stands behind what it is to protect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import limits
from policylang.lint.moves import moved
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import sent_after, sent_before, sources
from policylang.tree.facts import RESPONSE, touches


class LimitAfterRoute(Rule):
    """A limit behind `route` refuses when the upstream has done the work.

    The upstream has had the request, and may have acted on it; the client is told that it was refused, and asks again.
    What counts by the answer (`by: response.size`) is meant to stand there.

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
            statement = visit.statement
            if not limits(statement):
                continue
            if visit.place == "after" and not _by_the_answer(policy, visit.service, statement):
                yield Finding(
                    statement.span, "this limit is asked when the service has answered already",
                    help="move it into `global before`",
                )  # fmt: skip
            elif visit.place == "service":
                sent = sent_before(policy, visit)
                if sent is None or sent_after(policy, visit):
                    continue
                if not _by_the_answer(policy, visit.service, statement):
                    yield Finding(
                        statement.span, "this limit is asked when the request has been sent already",
                        labels=[Label(sent.span, "sent here")], help="move it above the `route`",
                        fix=moved(policy, visit.statement, sent, above=True),
                    )  # fmt: skip


def _by_the_answer(policy: Policy, service: p.Service | None, limit: p.Invoke) -> bool:
    return any(
        isinstance(each, p.Expr) and touches(each) & RESPONSE
        for bound in limit.args for each in sources(policy, service, bound.value)
    )  # fmt: skip
