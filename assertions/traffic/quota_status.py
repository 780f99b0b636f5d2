"""`quota_status`"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

from assertions.traffic.allowances import Allowance, allowance_of, problem_of, quotas_of
from policylang.sdk import Assertion, Duration, Exchange, Expr, Key, Outcome, Rate, param, settled
from policylang.sdk import static_types as t


class QuotaStatus(Assertion):
    """Look at a quota without using any of it.

    It asks for the quota of the same `name:`, or for the last one in this service, above it, whose `per:` has the same
    text. `remaining` is what is left of this limit as far as this gateway knows: what other gateways have taken in
    advance counts as used. `reset` is the time to the period's end. It never refuses; while the store is away it fails
    with 503.

        quota_status 1_000_000/month, per: client.ip, name: "plan" -> limit, remaining, reset
    """

    name: ClassVar[str] = "quota_status"
    waits: ClassVar[bool | None] = True
    counts_as: ClassVar[str] = "quota"
    observes: ClassVar[bool] = True
    outputs: ClassVar[Mapping[str, t.Type]] = {"limit": t.NUMBER, "remaining": t.NUMBER, "reset": t.DURATION}

    limit: Expr[Rate] = param("How much in which period.", positional=True)
    per: Expr[Key] = param("What has a quota of its own.", default="client.ip")
    zone: str = param("The time zone whose calendar counts, by its IANA name.", default='"UTC"')
    name_: str | None = param("The quota's name.", default=None)
    scope: Literal["cluster", "node"] = param("Who counts together: all who share the store, or this machine.",
                                              default="cluster")  # fmt: skip

    async def evaluate(self, exchange: Exchange) -> Outcome:
        allowance = allowance_of(self._known, self.limit(exchange), self.zone, self.name_, False)
        wall = exchange.environment.clock.wall()
        period = allowance.at(wall)
        quotas = quotas_of(exchange, self.scope)
        left = await settled(quotas.left(self.per(exchange), period, allowance.count))
        return allowance.count, left, Duration(max(0.0, period.end - wall))

    @cached_property
    def _known(self) -> dict[Rate, Allowance]:
        return {}

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return problem_of(constants)
