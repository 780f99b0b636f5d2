"""A request that costs more than there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import meaning
from policylang.sdk.values import Duration, Rate, Size


class CostAboveLimit(Rule):
    """One request costs more than the limit has, so every one is refused.

        rate_limit 5/s, per: client.ip, by: 10
        route orders
    ==
        rate_limit 50/s, per: client.ip, by: 10
        route orders
    """

    name: ClassVar[str] = "cost-above-limit"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            if not calls(visit.statement, "rate_limit", "quota"):
                continue
            limit, cost = argument(visit.statement, "limit"), argument(visit.statement, "by")
            if limit is None or cost is None:
                continue
            rates = constant(meaning(policy, visit.service, limit))
            units = constant(meaning(policy, visit.service, cost))
            saved = constant(argument(visit.statement, "burst"))
            known = [rate for rate in (rates if isinstance(rates, list) else [rates]) if isinstance(rate, Rate)]
            if known and _number(units) > min(_room(rate, saved) for rate in known):
                yield Finding(
                    cost.span, "this costs more than the limit has: nobody passes",
                    labels=[Label(limit.span, "as many there are")], help="raise the limit, or lower the cost",
                )  # fmt: skip


def _room(rate: Rate, saved: object) -> float:
    """How much may pass at once; with a `burst` it is what that saves up."""
    return rate.count * saved.seconds / rate.window if isinstance(saved, Duration) and saved.seconds else rate.count


def _number(units: object) -> float:
    if isinstance(units, Size):
        return units.bytes
    return units if isinstance(units, (int, float)) else 0
