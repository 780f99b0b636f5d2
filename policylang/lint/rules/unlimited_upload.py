"""An upload without an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import Marked, sends, surely_before
from policylang.lint.look import argument, calls, expressions
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.tree.facts import REQUEST, needs

_UPLOADS = frozenset({"POST", "PUT", "PATCH"})


class UnlimitedUpload(Rule):
    """A public service takes bodies, and streams them to its upstream whatever their length.

    `limits body:` holds for bodies that the policy reads; what streams through is as long as the client likes, and the
    upstream pays for it.

        gateway {
            listen "0.0.0.0:8080"
        }

        service uploads "/uploads", methods: ["POST"] {
            rate_limit 1/s, per: network_of(client.ip)
            route orders
        }
    ==
        gateway {
            listen "0.0.0.0:8080"
        }

        service uploads "/uploads", methods: ["POST"] {
            rate_limit 1/s, per: network_of(client.ip)
            limit_size request, 10MiB
            route orders
        }
    """

    name: ClassVar[str] = "unlimited-upload"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services if policy.public else ():
            if not _UPLOADS & set(service.methods):
                continue
            way = policy.origins.of(service)
            limited = Marked(each.statement for each in way.path if _limits_request(way, each.statement))
            for visit in way.path:
                if sends(visit.statement):
                    if not surely_before(policy, visit, limited):
                        yield Finding(
                            visit.statement.span, "a body of any length is sent along here",
                            help="put `limit_size request, 10MiB` before it",
                        )  # fmt: skip
                    break


def _limits_request(way: Way, statement: p.Statement) -> bool:
    if calls(statement, "limit_size"):
        message = argument(statement, "message")
        return isinstance(message, p.MessageRef) and message.message == "request"
    if needs(statement) & REQUEST:
        return True  # what is held has its limit
    asks = isinstance(statement, (p.Require, p.If, p.Match)) or (
        isinstance(statement, p.Invoke) and not statement.card.observes
    )
    return asks and any(("request", "size") in way.flows(part) for part in expressions(statement))
