"""A cache that keeps failures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.look import Visit, calls, constant, expressions, given
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.ways import earlier
from policylang.tree.facts import RESPONSE, touches

_OF_A_MOMENT = (401, 403, 407, 408, 425, 429, *range(500, 600))
"""What is said to one caller, or of one moment; 404 and 410 may well be kept."""


class ErrorCached(Rule):
    """An answer that was meant for a moment, or for one caller, is given to all for as long as the cache holds it.

    One restart of the upstream becomes an hour without service. `statuses` may have 301 or 404, but no failures;
    `errors: true` belongs behind a condition that says which status is meant.

        cache ttl: 10m, statuses: 200..599 {
            route orders
        }
    ==
        cache ttl: 10m {
            route orders
        }
    """

    name: ClassVar[str] = "error-cached"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if calls(statement, "cache"):
                kept = given(statement, "statuses")
                statuses = constant(kept)
                if kept is not None and isinstance(statuses, range):
                    bad = next((status for status in _OF_A_MOMENT if status in statuses), None)
                    if bad is not None:
                        yield Finding(
                            kept.span, f"an answer with {bad} is kept, and given to everybody",
                            help="keep what went well: `200..299`",
                            fix=Fix("keep `200..299`", (Edit(kept.span, "200..299"),)),
                        )  # fmt: skip
            elif calls(statement, "cache_store"):
                kept = given(statement, "errors")
                if kept is not None and constant(kept) is True and not _asked(policy, visit):
                    yield Finding(
                        kept.span, "an answer is kept whatever its status is",
                        help="ask for the status before, or leave `errors: true` out",
                    )  # fmt: skip


def _asked(policy: Policy, visit: Visit) -> bool:
    """Whether something on the way has looked at the answer's status."""
    around = [each for each in visit.parents if isinstance(each, (p.If, p.Match))]
    before = [each for each in earlier(policy, visit) if not isinstance(each, (p.SetPlace, p.Let))]
    for statement in [*around, *before]:
        if given(statement, "fail_on") is not None:
            return True
        if isinstance(statement, (p.If, p.Match, p.Require)) and any(
            touches(expr) & RESPONSE for expr in expressions(statement)
        ):
            return True
    return False
