"""A limit whose key the client makes up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import Marked, firm, surely_beside
from policylang.lint.look import Visit, argument, calls, text_of
from policylang.lint.origins import Way, children
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.rules.forwarded_read import ADDRESSES


class LimitByClientChoice(Rule):
    """A limit counts by something that a client chooses freely.

    A header field, query parameter or cookie that nothing has verified is whatever the client likes: with a new value
    for each request it is never over the limit. Count by what cannot be made up: the address, or who somebody has
    proved to be.

        rate_limit 10/s, per: request.header["X-Client-Id"]
    ==
        rate_limit 10/s, per: client.ip
    """

    name: ClassVar[str] = "limit-by-client-choice"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services:
            way = policy.origins.of(service)
            counted = [visit for visit in way.path if calls(visit.statement, "rate_limit", "quota")]
            held = Marked(visit.statement for visit in counted if firm(way, visit))
            for visit in counted:
                key = argument(visit.statement, "per")
                if key is None or any(name in ADDRESSES for _, name in way.flows(key)):
                    continue  # `forwarded-read` says more of it
                free = list(_free(way, visit, key))
                # Who makes up the one is held by the other.
                if free and not (held and surely_beside(policy, visit, held)):
                    made_up = min(free, key=lambda part: part.span.end - part.span.start)
                    yield Finding(
                        key.span, f"a client that sends another `{text_of(made_up)}` each time is never over it",
                        label="counted by what the client makes up",
                        help="count by `client.ip` or `user.id`, or add a limit that does",
                    )  # fmt: skip


def _free(way: Way, visit: Visit, key: p.Expr) -> Iterator[p.Expr]:
    """It and what it is made of, as far as the client makes it up."""
    if way.chosen(key, visit) or ("request", "id") in way.flows(key):
        yield key
        for part in children(key):
            yield from _free(way, visit, part)
