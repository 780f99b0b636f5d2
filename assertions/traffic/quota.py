"""`quota`"""

from __future__ import annotations

import math
from collections.abc import Collection, Coroutine, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, NamedTuple, cast

from assertions.traffic.allowances import Allowance, allowance_of, problem_of, quotas_of, units_of
from policylang.sdk import (
    Assertion,
    Duration,
    Exchange,
    Expr,
    Failure,
    Key,
    Kind,
    Known,
    Outcome,
    Rate,
    Size,
    Unavailable,
    param,
    settled,
)  # fmt: skip
from policylang.sdk import static_types as t
from policylang.sdk.limits_told import EXCEEDED, UNCOUNTED, tell
from policylang.sdk.periods import Period
from policylang.sdk.quotas import Quotas, Taken
from policylang.sdk.seldom import Seldom

_PROBLEMS = "https://iana.org/assignments/http-problem-types#"
FAILED = 400
"""An answer of this status and above is no success."""


_new: Any = tuple.__new__  # the constructor that NamedTuple generates costs twice as much


class _Asked(NamedTuple):
    allowance: Allowance
    period: Period
    key: bytes
    units: int

    @property
    def said(self) -> str:
        return str(Rate(self.allowance.count, self.period.unit))


class Quota(Assertion):
    """Let a key use so much in a second, minute, hour, day or month of the calendar.

    Never more than the limit passes in a period, exact to the last one, through crashes and restarts of gateways and,
    on a cluster, of its members one at a time and of all; over only in a network split, by what the smaller side
    granted before it noticed (5 s), and under only by what a gateway lost for ever, or a machine that was switched
    off, had taken in advance (at most 1 % of the limit). A period begins where the calendar of `zone` says so: days
    may have 23 or 25 hours. What is over the limit fails with 429 and `Retry-After`, and is not counted. Another unit
    or another period's start counts apart; a changed limit keeps the count, and a lower one leaves what is left of it.
    For seconds and minutes `rate_limit` is the better word: it has no edges at which twice as much passes, and writes
    nothing to a disk.

    The limit may be worked out (`rate(plan.calls, "month")`), so that tiers are data. With `by` a request costs more
    than 1, or as many as it has bytes (`by: request.size`, or after a route `by: response.size`). With
    `count: success` it is given back when the answer's status is 400 or above; until then it is taken, so that the
    limit holds at every moment. A client that leaves before the answer has used it.

    While the store is away a gateway spends what it has taken in advance. After that it fails with 503
    (`when_down: reject`) or lets everything pass and adds it later (`allow`).

        quota 1_000_000/month, per: client.ip, zone: "Europe/Istanbul", name: "plan" -> remaining, reset
    """

    name: ClassVar[str] = "quota"
    waits: ClassVar[bool | None] = True
    failures: ClassVar[Mapping[str, int]] = {"quota-exceeded": 429}
    outputs: ClassVar[Mapping[str, t.Type]] = {"remaining": t.NUMBER, "reset": t.DURATION}
    gives_apart: ClassVar[bool] = True

    limit: Expr[Rate] = param("How much in which period.", positional=True)
    per: Expr[Key] = param("What has a quota of its own.", default="client.ip")
    zone: str = param("The time zone whose calendar counts, by its IANA name.", default='"UTC"')
    by: Expr[int | Size] | None = param("What one costs: a whole number or a size; 0 passes uncounted.", default=None)
    count: Literal["always", "success"] = param("What is counted in the end.", default="always")
    name_: str | None = param(
        "Share one quota between all of this name; stands in the fields, and for operators.", default=None
    )
    scope: Literal["cluster", "node"] = param("Who counts together: all who share the store, or this machine.",
                                              default="cluster")  # fmt: skip
    when_down: Literal["reject", "allow"] = param("What happens while the store is away.", default="reject")
    fields: Literal["standard", "hidden"] = param("What callers are told.", default="standard")
    log_only: bool = param("Count and report, but let everything pass.", default="false")

    def evaluate(self, exchange: Exchange) -> Outcome:
        asked = self._asked(exchange)
        try:
            taken = self._take(exchange, asked)
        except Unavailable as error:
            return self._away(asked, error)
        if taken.__class__ is not Taken:
            return self._later(exchange, asked, cast("Coroutine[Any, Any, Taken]", taken))
        return self._judged(exchange, asked, taken)

    async def _later(self, exchange: Exchange, asked: _Asked, waiting: Coroutine[Any, Any, Taken]) -> Outcome:
        try:
            taken = await waiting
        except Unavailable as error:
            return self._away(asked, error)
        return self._judged(exchange, asked, taken)

    async def giving(self, exchange: Exchange) -> Outcome:
        """As `evaluate`, with the outputs."""
        asked = self._asked(exchange)
        try:
            taken = await settled(self._take(exchange, asked))
        except Unavailable as error:
            return self._away(asked, error)
        outcome = self._judged(exchange, asked, taken)
        if outcome is not None:
            return outcome
        return taken.remaining, Duration(_until_end(exchange, asked.period))

    def _asked(self, exchange: Exchange) -> _Asked:
        allowance = self._allowance or self._worked_out(exchange)
        wall = exchange.environment.clock.wall()
        period = allowance.period
        if not period.start <= wall < period.end:
            period = allowance.at(wall)
        units = 1 if self.by is None else units_of(self.by(exchange))
        return _new(_Asked, (allowance, period, self.per(exchange), units))  # type: ignore[no-any-return]

    def _take(self, exchange: Exchange, asked: _Asked) -> Taken | Coroutine[Any, Any, Taken]:
        allowance, period, key, units = asked
        return quotas_of(exchange, self.scope).take(key, period, allowance.count, units, self._overdraws)

    # --- the decision ---

    def _judged(self, exchange: Exchange, asked: _Asked, taken: Taken) -> Outcome:
        allowance, period, key, units = asked
        granted, remaining, epoch, overdrawn = taken
        reset = _until_end(exchange, period)
        if granted or not units:  # nothing fits also where the limit was lowered below what is used
            tell(exchange, allowance.policy, remaining, reset, UNCOUNTED if overdrawn else "")
            if overdrawn:
                self._report(exchange, f"the store is away: what is used of {asked.said} is counted later")
            if self.count == "success" and units:
                quotas = quotas_of(exchange, self.scope)
                exchange.at_end(partial(_ended, exchange, quotas, key, period, units, epoch))
            return None
        name = tell(exchange, allowance.policy, remaining, reset, EXCEEDED if self.log_only else "").name
        if self.log_only:
            self._report(exchange, f"over the quota of {asked.said}, let through by log_only")
            return None
        return self.failure(
            "quota-exceeded", f"more than {asked.said}", headers=(_retry(reset),),
            **{"type": _PROBLEMS + "quota-exceeded", "violated-policies": [name]},
        )  # fmt: skip

    def _away(self, asked: _Asked, error: Unavailable) -> Outcome:
        """Nobody knows what is left: `any` and `else` do not go on after it."""
        return Failure(
            "store-away", 503, kind=Kind.AWAY, headers=(_retry(error.retry_after),), assertion=self.name,
            members={
                "type": _PROBLEMS + "temporary-reduced-capacity",
                "violated-policies": [asked.allowance.policy.name],
            },
        )  # fmt: skip

    def _report(self, exchange: Exchange, text: str) -> None:
        if self._seldom.again(exchange.environment.clock.monotonic()):
            exchange.environment.log("warning", text, exchange)

    # --- what is made once ---

    @cached_property
    def _allowance(self) -> Allowance | None:
        """Of a limit that is known when the policy is loaded."""
        if isinstance(self.limit, Known):
            return Allowance(self.limit.value, self.zone, self.name_, self.fields == "standard")
        return None

    def _worked_out(self, exchange: Exchange) -> Allowance:
        return allowance_of(self._known, self.limit(exchange), self.zone, self.name_, self.fields == "standard")

    @cached_property
    def _known(self) -> dict[Rate, Allowance]:
        return {}

    @cached_property
    def _overdraws(self) -> bool:
        return self.when_down == "allow" or self.log_only

    @cached_property
    def _seldom(self) -> Seldom:
        return Seldom()

    @classmethod
    def refusals(cls, given: Mapping[str, Any]) -> Collection[str]:
        return () if given.get("log_only") else cls.failures

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        cost = constants.get("by")
        if isinstance(cost, (int, float)) and not (isinstance(cost, int) and cost >= 0):
            return "`by` takes a whole number from 0 on"
        return problem_of(constants)


def _ended(exchange: Exchange, quotas: Quotas, key: bytes, period: Period, units: int, epoch: int) -> None:
    response = (exchange.origin or exchange).response
    if response is not None and response.status >= FAILED:
        quotas.give_back(key, period, units, epoch)


def _until_end(exchange: Exchange, period: Period) -> float:
    return max(0.0, period.end - exchange.environment.clock.wall())


def _retry(seconds: float) -> tuple[str, str]:
    return "Retry-After", str(max(1, math.ceil(seconds)))
