"""What a quota allows in the period that it is now, and what callers are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from policylang.sdk import Exchange, Rate, Size, wrong_type
from policylang.sdk.limits_told import LimitPolicy, is_policy_name
from policylang.sdk.periods import Calendar, NoSuchZone, Period, time_zone
from policylang.sdk.quotas import Quotas

MOST: Final = 10**18
"""The highest quota."""
MOST_KNOWN: Final = 1000
"""Worked-out limits of one statement that are held."""
UNNAMED: Final = "default"
"""The policy's name in fields where a quota has none."""


class Allowance:
    """`count` units in each period. `period` and `policy` are those of the moment that `at` was last asked about."""

    __slots__ = ("_calendar", "_name", "_shown", "count", "period", "policy")

    def __init__(self, rate: Rate, zone: str, name: str | None, shown: bool) -> None:
        """Raises ValueError, in words for the author, for what is no quota."""
        problem = rate_problem(rate)
        if problem is not None:
            raise ValueError(problem)
        self.count = rate.count
        self._calendar = Calendar(rate.unit, zone)
        self._name = name or UNNAMED
        self._shown = shown
        self.at(0.0)

    def at(self, wall: float) -> Period:
        period = self.period = self._calendar.at(wall)
        self.policy = LimitPolicy(self._name, self.count, period.end - period.start, shown=self._shown)
        return period


def allowance_of(known: dict[Rate, Allowance], value: Any, zone: str, name: str | None, shown: bool) -> Allowance:
    """Of a limit worked out from a message. `known`: those of the same statement, as each statement is told of apart.

    Raises Failed where it is none.
    """
    found = known.get(value)
    if found is None:
        try:
            found = Allowance(value, zone, name, shown)
        except ValueError as error:
            raise wrong_type(str(error)) from None
        if len(known) >= MOST_KNOWN:
            known.clear()
        known[value] = found
    return found


def quotas_of(exchange: Exchange, scope: str) -> Quotas:
    quotas = exchange.environment.quotas
    return quotas if scope == "cluster" else quotas.machine


def units_of(value: Any) -> int:
    """Raises Failed for what is no number of units."""
    if isinstance(value, Size):
        return value.bytes
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1 or not 0 <= value <= MOST:
        raise wrong_type("`by` takes a whole number from 0 on")
    return int(value)


def rate_problem(rate: Any) -> str | None:
    if not isinstance(rate, Rate):
        return "the limit is no quota such as `1_000_000/month`"
    if rate.count < 1:
        return "a quota of nothing lets nobody pass; use `fail 403` for that"
    return "a quota is at most 10^18" if rate.count > MOST else None


def problem_of(constants: Mapping[str, Any]) -> str | None:
    """What an author has got wrong in the parameters that all quotas have."""
    if constants.get("limit") is not None and (problem := rate_problem(constants["limit"])) is not None:
        return problem
    zone = constants.get("zone")
    if isinstance(zone, str):
        try:
            time_zone(zone)
        except NoSuchZone as error:
            return str(error)
    name = constants.get("name")
    if isinstance(name, str) and not (name and is_policy_name(name)):
        return "`name` takes printable ASCII characters without quotes"
    return None
