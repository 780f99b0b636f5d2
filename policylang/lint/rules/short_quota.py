"""A quota of seconds or minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.limits import unit_of
from policylang.lint.look import argument, calls, constant, given, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.ways import meaning
from policylang.source import Span


class ShortQuota(Rule):
    """A quota begins anew with each second or minute of the clock, so at its edge twice as much passes at once.

    Who asks at the end of one minute and at the beginning of the next gets both in a moment. `rate_limit` has no such
    edge: it lets no more than the limit pass in any window. A quota also writes each count to a disk, so that it lasts.

        quota 600/min, per: client.ip
        route orders
    ==
        rate_limit 600/min, per: client.ip
        route orders
    """

    name: ClassVar[str] = "short-quota"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            said = argument(statement, "limit")
            if not isinstance(statement, p.Invoke) or not calls(statement, "quota") or said is None:
                continue
            limit = meaning(policy, visit.service, said)
            if unit_of(limit) in ("s", "min"):
                fix = None
                if all(given(statement, name) is None for name in ("zone", "count", "when_down")):
                    start = statement.span.start
                    word = Span(statement.span.source, start, start + len("quota"))
                    fix = Fix("write `rate_limit`", (Edit(word, "rate_limit"),))
                what = constant(limit) or text_of(limit)
                yield Finding(
                    statement.span, f"at the edge of two periods twice `{what}` pass at once",
                    help="use `rate_limit`, which has no edges", fix=fix,
                )  # fmt: skip
