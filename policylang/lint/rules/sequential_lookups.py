"""Lookups in a cluster, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant, expressions, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule, Severity
from policylang.tree.facts import binds


class SequentialLookups(Rule):
    """Each lookup in a cluster is a round trip; two that do not need each other can be made at once.

    An embedded store answers at once, so that there is nothing to gain.

        gateway {
            listen "127.0.0.1:8080"
            store hazelcast, cluster: "prod", members: ["127.0.0.1:5701"]
        }

        map profiles, ttl: 1h
        map carts, ttl: 1h

        service cart "/carts/{id}" {
            lookup "profile-${path.id}", in: map("profiles") -> profile
            lookup path.id, in: map("carts") -> cart
            respond 200, json: { name: profile.name, cart: cart }
        }

        service join "/join/{user}" {
            store "profile-${path.user}", { name: path.user }, in: map("profiles")
            store path.user, {}, in: map("carts")
            respond 204
        }
    ==
        gateway {
            listen "127.0.0.1:8080"
            store hazelcast, cluster: "prod", members: ["127.0.0.1:5701"]
        }

        map profiles, ttl: 1h
        map carts, ttl: 1h

        service cart "/carts/{id}" {
            parallel {
                lookup "profile-${path.id}", in: map("profiles") -> profile
                lookup path.id, in: map("carts") -> cart
            }
            respond 200, json: { name: profile.name, cart: cart }
        }

        service join "/join/{user}" {
            store "profile-${path.user}", { name: path.user }, in: map("profiles")
            store path.user, {}, in: map("carts")
            respond 204
        }
    """

    name: ClassVar[str] = "sequential-lookups"
    category: ClassVar[Category] = "performance"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        if not any(each.name == "store" and each.values["kind"] == "hazelcast" for each in policy.program.gateway):
            return
        for visit in policy.visits:
            before = visit.block.statements[visit.index - 1] if visit.index else None
            around = visit.parents[-1] if visit.parents else None
            if isinstance(around, p.Else) or (isinstance(around, p.Group) and around.kind != "all"):
                continue
            if before is not None and _looks(before) and _looks(visit.statement):
                made = binds(before)
                needs = any(
                    isinstance(expr, p.SlotRef) and expr.slot in made
                    for inner in within(visit.statement) for expr in expressions(inner)
                )  # fmt: skip
                if not needs:
                    yield Finding(
                        visit.statement.span, "this waits for the lookup above, and does not need it",
                        labels=[Label(before.span, "the store is asked here first")],
                        help="put both into `parallel { … }`",
                    )  # fmt: skip


def _looks(statement: p.Statement) -> bool:
    """A lookup that changes nothing, perhaps with what to do without an entry."""
    if isinstance(statement, p.Else):
        return _looks(statement.left) and all(isinstance(each, p.Fail) for each in statement.right.statements)
    return calls(statement, "lookup") and constant(argument(statement, "once")) is not True
