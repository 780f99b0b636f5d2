"""A limit that all strangers share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.guards import Marked, firm, identifies, limits, open_to_strangers, shared, surely_before
from policylang.lint.look import argument, calls
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class SharedLimit(Rule):
    """On a public service all callers share one limit, and nothing holds back each of them before.

    One stranger who asks fast enough uses it up, and everybody else is refused: the limit does an attacker's work. A
    limit for all protects the upstream; in front of it belongs one for each address or caller.

        gateway {
            listen "0.0.0.0:8080"
        }

        service search "/search" {
            rate_limit 100/s, per: service.name
            route orders
        }
    ==
        gateway {
            listen "0.0.0.0:8080"
        }

        service search "/search" {
            rate_limit 5/s, per: network_of(client.ip)
            rate_limit 100/s, per: service.name
            route orders
        }
    """

    name: ClassVar[str] = "shared-limit"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        if not open_to_strangers(policy):
            return
        for service in policy.program.services:
            way = policy.origins.of(service)
            held = Marked(
                visit.statement for visit in way.path if firm(way, visit) or identifies(way, visit.statement)
            )
            for visit in way.path:
                statement = visit.statement
                if not limits(statement) or not shared(way, argument(statement, "per")):
                    continue
                if not surely_before(policy, visit, held):
                    what = "these permits" if calls(statement, "concurrency_limit") else "this limit"
                    yield Finding(
                        statement.span, f"one stranger can use up {what} for everybody",
                        help="put a limit for each before it: `rate_limit 10/s, per: network_of(client.ip)`",
                    )  # fmt: skip
                    break
