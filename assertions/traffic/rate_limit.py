"""`rate_limit`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from policylang.sdk import Assertion, Duration, Exchange, Expr, Key, Outcome, Rate, param


class RateLimit(Assertion):
    """Let a key pass at most so often in any window.

    Each value of `per` has a counter of its own; `burst` lets an idle key save up. What is over the limit fails with
    429 and `Retry-After`, and is not counted. The counter is shared by all workers of the machine.

        rate_limit 100/s, per: client.ip, burst: 2s
    """

    name: ClassVar[str] = "rate_limit"
    failures: ClassVar[Mapping[str, int]] = {"rate-exceeded": 429}

    limit: Rate = param("How many pass in how long.", positional=True)
    per: Expr[Key] = param("What is counted.", default="client.ip")
    burst: Duration = param("How long an idle key may save up.", default="0s")
    over: Literal["reject"] = param("What happens to what is over the limit.", default="reject")
    name_: str | None = param("Share one counter between all limits of this name.", default=None)
    log_only: bool = param("Count and report, but let everything pass.", default="false")

    async def evaluate(self, exchange: Exchange) -> Outcome:
        environment = exchange.environment
        decision = await environment.store.admit(
            self.per(exchange), self.limit.count, self.limit.window * 1_000_000_000, self.burst.ns,
            environment.clock.monotonic(),
        )  # fmt: skip
        if not decision.admitted and not self.log_only:
            return self.failure("rate-exceeded", headers=(("Retry-After", str(max(1, int(decision.retry_after)))),))
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        limit, burst = constants.get("limit"), constants.get("burst")
        if limit is not None and limit.unit == "month":
            return "a rate has a fixed window; count by the month with `quota`"
        if limit is not None and burst is not None and 0 < burst.seconds < limit.window:
            return f"`burst` below the rate's unit would lower the limit; give at least {Duration(limit.window)}"
        return None
