"""A limit that an earlier one never lets anybody reach."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import islice
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.likeness import shape
from policylang.lint.limits import limits
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import Passed, agreed, certain
from policylang.sdk.values import Duration, Rate, Size
from policylang.source import Span

_SECONDS = {"s": 1, "min": 60, "hour": 3600, "day": 90_000, "month": 31 * 86_400 + 3600}
"""The longest that a unit lasts: a day of the calendar may have 25 hours."""
_LOOKED_AT = 64
"""Limits before one that are compared with it, the nearest."""
_SHARED = ("scope", "by")


class SubsumedLimit(Rule):
    """A limit that is wider than one before it refuses nobody.

    Ten a second are at most 36,000 an hour: a limit of 50,000 an hour behind it is never reached. One of the two has a
    digit too many, or too few. A size that `global before` allows is not widened by a service.

        rate_limit 10/s, per: client.ip
        rate_limit 50_000/hour, per: client.ip
        route orders
    ==
        rate_limit 10/s, per: client.ip
        rate_limit 5_000/hour, per: client.ip
        route orders
    """

    name: ClassVar[str] = "subsumed-limit"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_found(policy))


def _found(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    passed = Passed(policy, _told)
    for visit in policy.visits:
        statement = visit.statement
        for key in _keys(statement):
            yield from _lists(statement)
            near = islice(passed.before(visit, key), _LOOKED_AT)
            tighter = next((each for each, _ in near if _never_reached(statement, each)), None)
            finding = None
            if tighter is not None:
                finding = Finding(
                    statement.span, "this limit is never reached", labels=[Label(tighter.span, "this one is tighter")],
                    help="leave one of them out, or correct it",
                )  # fmt: skip
            yield statement.span, finding


def _told(statement: p.Statement) -> Iterator[tuple[Hashable, p.Statement]]:
    for each in certain(statement):
        for key in _keys(each):
            yield key, each


def _keys(statement: p.Statement) -> Iterator[Hashable]:
    """What it limits."""
    if calls(statement, "limit_size"):
        yield shape(argument(statement, "message"))
    elif limits(statement):
        yield (statement.card.name == "concurrency_limit", shape(argument(statement, "per")))


def _lists(statement: p.Statement) -> Iterator[tuple[Span, Finding | None]]:
    """Rates in one list, each against the others."""
    limit = argument(statement, "limit")
    rates = constant(limit)
    if limit is None or not isinstance(rates, list) or not all(isinstance(rate, Rate) for rate in rates):
        return
    saved = _burst(statement)
    for rate in rates:
        others = (each for each in rates if each is not rate)
        tighter = next((each for each in others if _most(each, saved, rate.unit) <= rate.count), None)
        if tighter is not None:
            yield limit.span, Finding(
                limit.span, f"`{rate}` is never reached beside `{tighter}`", help="leave one of them out, or correct it"
            )


def _never_reached(wide: p.Statement, tight: p.Statement) -> bool:
    if not isinstance(wide, p.Invoke) or not isinstance(tight, p.Invoke):
        return False
    limit, other = constant(argument(wide, "limit")), constant(argument(tight, "limit"))
    if limit is None or other is None:
        return False
    if isinstance(limit, Size):
        return isinstance(other, Size) and other < limit
    if constant(argument(wide, "name")) is not None:  # others may count there too
        return False
    if any(shape(argument(wide, name)) != shape(argument(tight, name)) for name in _SHARED):
        return False
    if wide.card.name == "concurrency_limit":
        alone = wide.block is None and tight.block is None
        return alone and isinstance(limit, int) and isinstance(other, int) and other <= limit
    if tight.card.name != "rate_limit" or _burst(wide) or constant(argument(tight, "when_down")) == "allow":
        return False
    widest = limit if isinstance(limit, list) else [limit]
    tightest = other if isinstance(other, list) else [other]
    saved = _burst(tight)
    return all(isinstance(rate, Rate) for rate in [*widest, *tightest]) and all(
        any(_most(each, saved, rate.unit) <= rate.count for each in tightest) for rate in widest
    )


def _burst(statement: p.Statement) -> float:
    burst = constant(argument(statement, "burst"))
    return burst.seconds if isinstance(burst, Duration) else 0.0


def _most(rate: Rate, saved: float, unit: str) -> float:
    """How many a rate can let pass in a unit."""
    seconds, window = _SECONDS[unit], _SECONDS[rate.unit]
    if saved:
        return rate.count * (seconds + saved) / window
    return rate.count * float(-(-seconds // window))
