"""A map that is asked, and that nothing fills."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.sdk.shared_map import SharedMap


class LookupNeverStored(Rule):
    """Entries are looked up in a map of the store, and no statement of this policy puts any there.

    Then only the operator (`polgate map`) or another policy with the same store can have done so. Where that is meant,
    as for a list of blocked addresses, say so in a comment that allows it.

        map notes, ttl: 1h

        service notes "/notes/{name}", methods: ["GET"] {
            lookup path.name, in: map("notes") -> note
            respond 200, json: note
        }
    ==
        map notes, ttl: 1h

        service notes "/notes/{name}", methods: ["GET"] {
            lookup path.name, in: map("notes") -> note
            respond 200, json: note
        }

        service write "/notes/{name}", methods: ["PUT"] {
            limit_size request, 16KiB
            store path.name, request.text, in: map("notes")
            respond 204
        }
    """

    name: ClassVar[str] = "lookup-never-stored"
    category: ClassVar[Category] = "correctness"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        filled = {
            there.name for visit in policy.visits if calls(visit.statement, "store", "remember", "increment")
            and isinstance(there := constant(argument(visit.statement, "in")), SharedMap)
        }  # fmt: skip
        for visit in policy.visits:
            asked = argument(visit.statement, "in")
            there = constant(asked)
            if calls(visit.statement, "lookup") and isinstance(there, SharedMap) and there.name not in filled:
                yield Finding(
                    asked.span if asked is not None else visit.statement.span,
                    f"nothing in this policy puts entries into `{there.name}`",
                    help="`store` them, or allow it with a comment that says who does",
                )  # fmt: skip
