"""A map that is filled, and that nothing asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.sdk.shared_map import SharedMap


class StoredNeverRead(Rule):
    """Entries are put into a map of the store, and no statement of this policy looks them up.

    Each costs a write that has to last, and a wait. What is there for the operator's eyes only is better counted
    (`increment`) or logged.

        map seen, ttl: 1h

        service page "/page" {
            store client.ip, request.path, in: map("seen")
            respond 204
        }
    ==
        map seen, ttl: 1h

        service page "/page" {
            store client.ip, request.path, in: map("seen")
            respond 204
        }

        service last "/last" {
            lookup client.ip, in: map("seen") -> page
            respond 200, json: { page: page }
        }
    """

    name: ClassVar[str] = "stored-never-read"
    category: ClassVar[Category] = "correctness"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        read = {
            there.name for visit in policy.visits
            if calls(visit.statement, "lookup", "remember") or _gives_sum(visit.statement)
            if isinstance(there := constant(argument(visit.statement, "in")), SharedMap)
        }  # fmt: skip
        for visit in policy.visits:
            target = argument(visit.statement, "in")
            there = constant(target)
            if calls(visit.statement, "store") and isinstance(there, SharedMap) and there.name not in read:
                yield Finding(
                    target.span if target is not None else visit.statement.span,
                    f"nothing in this policy looks up what is in `{there.name}`",
                    help="leave it out, or allow it with a comment that says who reads it",
                )  # fmt: skip


def _gives_sum(statement: p.Statement) -> bool:
    return isinstance(statement, p.Invoke) and calls(statement, "increment") and any(
        slot is not None for slot in statement.outputs
    )  # fmt: skip
