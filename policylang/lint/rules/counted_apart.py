"""One quota that every service counts for itself."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import key_of, limits, unit_of
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule, Severity
from policylang.lint.ways import meaning, sense, sources


class CountedApart(Rule):
    """A counter without a name belongs to its service, so what stands in two services is granted twice.

    It is told of quotas of a day or a month that are alike, and of `concurrency_limit 1` by one key: a plan is for all
    services, and an account that one transaction may touch at a time is one account whichever way it is reached. An
    assertion that several services call counts for each of them.

        service orders "/orders/**" {
            quota 10_000/month, per: client.ip
            route orders
        }

        service reports "/reports/**" {
            quota 10_000/month, per: client.ip
            route orders
        }
    ==
        service orders "/orders/**" {
            quota 10_000/month, per: client.ip, name: "plan"
            route orders
        }

        service reports "/reports/**" {
            quota 10_000/month, per: client.ip, name: "plan"
            route orders
        }
    """

    name: ClassVar[str] = "counted-apart"
    category: ClassVar[Category] = "correctness"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        first: dict[Hashable, tuple[p.Service, p.Statement]] = {}
        for visit in policy.visits:
            statement = visit.statement
            key = key_of(statement)
            if visit.service is None or key is None or not limits(statement):
                continue
            if not _of_all(policy, visit.service, statement):
                continue
            limit = argument(statement, "limit")
            alike = (
                statement.card.name, None if limit is None else sense(policy, visit.service, limit),
                sense(policy, visit.service, key), tuple(_captures(policy, visit.service, key)),
            )  # fmt: skip
            service, there = first.setdefault(alike, (visit.service, statement))
            if service is not visit.service:
                yield Finding(
                    statement.span,
                    f"`{visit.service.name}` and `{service.name}` count this each for itself",
                    labels=[Label(there.span, "counted apart from this")] if there.span != statement.span else [],
                    help='give it a `name:`, the same one in both',
                )  # fmt: skip


def _captures(policy: Policy, service: p.Service, key: p.Expr) -> Iterator[tuple[object, ...]]:
    """What stands before what a key takes of the path: the `id` of an order is not that of a user."""
    for each in sources(policy, service, key):
        if isinstance(each, p.ContextValue) and each.root == "path":
            for path in service.paths:
                if (each.field,) in path.segments:
                    yield path.segments[: path.segments.index((each.field,))]


def _of_all(policy: Policy, service: p.Service, statement: p.Invoke) -> bool:
    """Whether it speaks of something that all services have in common, and has no name."""
    if constant(argument(statement, "name")) is not None:
        return False
    limit = argument(statement, "limit")
    limit = None if limit is None else meaning(policy, service, limit)
    if calls(statement, "quota"):
        return unit_of(limit) in ("day", "month")
    one = calls(statement, "concurrency_limit") and constant(limit) == 1
    return one and not isinstance(key_of(statement), (p.Const, type(None)))
