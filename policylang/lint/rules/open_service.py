"""A service that strangers may ask as often as they like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import Marked, identifies, limits, open_to_strangers, sends, surely, surely_before
from policylang.lint.look import calls
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.source import Span


class OpenService(Rule):
    """A public service asks nobody who he is, and has no limit.

    Whatever it does for a request, anybody may have it done without end: an upstream is asked, or entries of the store
    are taken. A limit for each address is the least.

        gateway {
            listen "0.0.0.0:8080"
        }

        service search "/search" {
            route orders
        }
    ==
        gateway {
            listen "0.0.0.0:8080"
        }

        service search "/search" {
            rate_limit 20/s, per: network_of(client.ip)
            route orders
        }
    """

    name: ClassVar[str] = "open-service"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        if not open_to_strangers(policy):
            return
        for service in policy.program.services:
            way = policy.origins.of(service)
            held = Marked(
                visit.statement for visit in way.path if limits(visit.statement) or identifies(way, visit.statement)
            )
            above: p.Statement | None = None
            for visit in way.path:
                statement = visit.statement
                if visit.place == "service" and not visit.parents:
                    if above is not None and surely(above, held):
                        break  # it stands before all that is left
                    above = statement
                if not sends(statement) and not calls(statement, "store", "remember", "increment", "not_replayed"):
                    continue
                if not surely_before(policy, visit, held):
                    does = "asks an upstream" if sends(statement) else "takes room in the store"
                    yield Finding(
                        _head(service), f"strangers may ask `{service.name}` without end, and it {does}",
                        help="put `rate_limit 20/s, per: network_of(client.ip)` first, or ask who is there",
                    )  # fmt: skip
                    break


def _head(service: p.Service) -> Span:
    span, end = service.span, service.body.span.start
    return Span(span.source, span.start, span.start + len(span.source.text[span.start : end].rstrip()))
