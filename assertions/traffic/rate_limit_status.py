"""`rate_limit_status`"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import cached_property
from types import CoroutineType
from typing import Any, ClassVar, Literal, cast

from assertions.traffic.plans import Asked, Decisions, Plan, Plans, ask, tightest
from policylang.sdk import Assertion, Duration, Exchange, Expr, Key, Outcome, Rate, param
from policylang.sdk import static_types as t


class RateLimitStatus(Assertion):
    """Ask what a rate limit has left, and count nothing.

    It asks for the counter of the `rate_limit` of the same `name`, which may be that of another policy that shares the
    store; without a name for that of the one in its service with the same text of `per` that stands last before it
    (the first one below where none stands before it), whichever arm of a `match` that is in. It must be given the same
    limit: one in another unit, or with a `burst`, has a counter of its own. The outputs are the limit, how many of it
    could pass now, and how long it takes until the whole limit is free; of several rates those of the one that has the
    least left. It passes whatever is left, and fails with 503 when the store is away.

        rate_limit 100/s, per: client.ip
        rate_limit_status 100/s, per: client.ip -> limit, remaining, reset
    """

    name: ClassVar[str] = "rate_limit_status"
    waits: ClassVar[bool | None] = True
    counts_as: ClassVar[str] = "rate_limit"
    outputs: ClassVar[Mapping[str, t.Type]] = {"limit": t.NUMBER, "remaining": t.NUMBER, "reset": t.DURATION}

    limit: Expr[Rate | list[Rate]] = param("The limit; several that count together.", positional=True)
    per: Expr[Key] = param("What is counted.", default="client.ip")
    burst: Duration = param("How long an idle key may save up.", default="0s")
    name_: str | None = param("The name of the limit.", default=None)
    scope: Literal["cluster", "node"] = param("Who counts together.", default="cluster")

    def evaluate(self, exchange: Exchange) -> Outcome:
        plan = self._plans.of(exchange)
        environment = exchange.environment
        rates = environment.store if self.scope == "cluster" else environment.store.machine
        found = ask(rates, Asked(plan, self.per(exchange), 1), environment.clock.monotonic(), False)
        if found.__class__ is CoroutineType:
            return self._later(plan, cast("Coroutine[Any, Any, Decisions]", found))
        return _given(plan, cast(Decisions, found))

    async def _later(self, plan: Plan, waiting: Coroutine[Any, Any, Decisions]) -> Outcome:
        return _given(plan, await waiting)

    @cached_property
    def _plans(self) -> Plans:
        return Plans(self.limit, self.burst, self.name_)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return Plans.problem(constants)


def _given(plan: Plan, decisions: Decisions) -> Outcome:
    policy, decision = tightest(plan, decisions)
    return policy.quota, decision.remaining, Duration(decision.reset)
