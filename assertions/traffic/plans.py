"""Rates as a policy gives them, made into what a store counts and what callers are told."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from policylang.sdk import Decision, Duration, Exchange, Expr, Known, Limit, Rate, Rates, wrong_type
from policylang.sdk.limits_told import LimitPolicy, is_policy_name
from policylang.sdk.window import MAX_LIMIT

MOST_RATES: Final = 4
"""As many as there are units: two limits in one unit are one too many."""
MOST_PLANS: Final = 1024
"""Of rates worked out from messages so many are kept as a store counts them; then it begins anew with none."""
UNNAMED: Final = "default"
"""The policy's name in fields where a limit has none."""

Decisions = Sequence[Decision]


class Plan(NamedTuple):
    """One or several limits that count together; `policies` are what callers are told of each."""

    limits: tuple[Limit, ...]
    policies: tuple[LimitPolicy, ...]
    rates: tuple[Rate, ...]


class Asked(NamedTuple):
    """One question to a store. `told`: a list that gets the decisions, where somebody wants them as outputs."""

    plan: Plan
    key: bytes
    cost: int
    told: list[Decision] | None = None


def plan_of(value: Any, burst: Duration, name: str | None, *, shown: bool = True, also_x: bool = False) -> Plan:
    """Of a rate or a list of rates. Raises ValueError, in words for the author, where it is none that can be kept."""
    several = isinstance(value, (list, tuple))
    rates = tuple(value) if several else (value,)
    if not 1 <= len(rates) <= MOST_RATES:
        raise ValueError(f"`limit` takes from 1 to {MOST_RATES} rates, not {len(rates)}")
    if several and len(rates) > 1 and burst.seconds:
        raise ValueError("`burst` goes with one rate: where several count together each is a window")
    limits, policies, units = [], [], set()
    for rate in rates:
        problem = _problem(rate, burst)
        if problem is not None:
            raise ValueError(problem)
        if rate.window in units:
            raise ValueError(f"two rates by the {_WORDS[rate.window]} are one too many: the lower one decides")
        units.add(rate.window)
        quota, seconds = rate.count, rate.window
        if burst.seconds:
            quota, seconds = int(quota * burst.seconds / seconds), max(1, -(-burst.ns // 1_000_000_000))
        # Ends the key: whoever could alternate between a window and a longer one would empty the longer one.
        letter = _LETTERS[rate.window]
        suffix = (letter.upper() if burst.seconds else letter).encode()
        limits.append(Limit(rate.count, rate.window * 1_000_000_000, burst.ns, suffix))
        called = name or UNNAMED
        if len(rates) > 1:
            called = f"{called}-{rate.unit}"
        policies.append(LimitPolicy(called, quota, seconds, shown=shown, also_x=also_x))
    return Plan(tuple(limits), tuple(policies), rates)


_NO_RATE: Final = "the limit is no rate such as `10/s`"
_LETTERS: Final = {1: "s", 60: "m", 3600: "h", 86400: "d"}
_WORDS: Final = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


def _problem(rate: Any, burst: Duration) -> str | None:
    if not isinstance(rate, Rate):
        return _NO_RATE
    if rate.unit == "month":
        return "a month has no fixed length; limit by the second, minute, hour or day"
    if rate.count < 1:
        return "a limit of nothing lets nobody pass; use `fail 403` for that"
    if rate.count > MAX_LIMIT:
        return f"a limit is at most {MAX_LIMIT}"
    if 0 < burst.seconds < rate.window:
        return f"`burst` below the rate's unit would lower the limit; give at least {Duration(rate.window)}"
    return None


class Plans:
    """Those of one statement: one where its limit is known when the policy is loaded, else one for each rate."""

    __slots__ = ("_also_x", "_burst", "_kept", "_limit", "_name", "_shown", "known")

    def __init__(
        self, limit: Expr[Any], burst: Duration, name: str | None, *, shown: bool = True, also_x: bool = False
    ) -> None:
        self._limit = limit
        self._burst = burst
        self._name = name
        self._shown = shown
        self._also_x = also_x
        self._kept: dict[Any, Plan] = {}
        self.known = self._made(limit.value) if isinstance(limit, Known) else None

    def of(self, exchange: Exchange) -> Plan:
        """Raises Failed where the limit of this message is no rate that can be kept."""
        if self.known is not None:
            return self.known
        value = self._limit(exchange)
        key = tuple(value) if isinstance(value, (list, tuple)) else value
        try:
            plan = self._kept.get(key)
            if plan is None:
                plan = self._made(value)
                if len(self._kept) >= MOST_PLANS:
                    self._kept.clear()
                self._kept[key] = plan
        except (ValueError, TypeError) as error:
            # The cure is for authors; what is here goes to callers.
            text = str(error) if isinstance(error, ValueError) else _NO_RATE
            raise wrong_type(text.partition(";")[0]) from None
        return plan

    def _made(self, value: Any) -> Plan:
        return plan_of(value, self._burst, self._name, shown=self._shown, also_x=self._also_x)

    @staticmethod
    def problem(constants: Mapping[str, Any]) -> str | None:
        """What an author is told of these constants; None where they can be right."""
        burst, name = constants.get("burst"), constants.get("name")
        if constants.get("limit") is not None:
            try:
                plan_of(constants["limit"], burst if isinstance(burst, Duration) else Duration(0), None)
            except ValueError as error:
                return str(error)
        if isinstance(name, str) and not (name and is_policy_name(name)):
            return "`name` takes printable ASCII characters without quotes"
        return None


def ask(
    rates: Rates, asked: Asked, now: int, count: bool = True
) -> Decisions | Coroutine[Any, Any, Decisions]:
    """A decision for each limit: at once, or by a coroutine where the store is not at hand. Raises Unavailable."""
    plan, key, cost, _ = asked
    if len(plan.limits) == 1:
        most, window, burst, suffix = plan.limits[0]
        found = rates.admit(key + suffix, most, window, burst, now, cost, count)
        if found.__class__ is Decision:
            return (found,)
        return _one(cast("Coroutine[Any, Any, Decision]", found))
    return rates.admit_all(key, plan.limits, now, cost, count)


async def _one(waiting: Coroutine[Any, Any, Decision]) -> Decisions:
    return (await waiting,)


def tightest(plan: Plan, decisions: Decisions) -> tuple[LimitPolicy, Decision]:
    """The one that has the least left; of equals the one that takes longest to be free again."""
    return min(zip(plan.policies, decisions, strict=True), key=lambda pair: (pair[1].remaining, -pair[1].reset))
