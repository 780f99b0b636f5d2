"""`rate_limit`"""

from __future__ import annotations

import math
from collections.abc import Coroutine, Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal, cast

from policylang.sdk import Assertion, Decision, Duration, Exchange, Expr, Field, Key, Outcome, Rate, param

_PROBLEM = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class RateLimit(Assertion):
    """Let a key pass at most so often in any window.

    Each value of `per` has a counter of its own, shared by all workers of the machine: never more than the limit
    passes in any window, whatever the pattern (beyond 64 in a window at most 2 % less). `burst` makes it a bucket
    instead, that fills evenly and lets an idle key save up so long. What is over the limit fails with 429 and
    `Retry-After`, and is not counted. The answer carries `RateLimit` and `RateLimit-Policy`.

        rate_limit 100/s, per: client.ip, burst: 2s
    """

    name: ClassVar[str] = "rate_limit"
    waits: ClassVar[bool | None] = True
    failures: ClassVar[Mapping[str, int]] = {"rate-exceeded": 429}

    limit: Rate = param("How many pass in how long.", positional=True)
    per: Expr[Key] = param("What is counted.", default="client.ip")
    burst: Duration = param("How long an idle key may save up.", default="0s")
    over: Literal["reject"] = param("What happens to what is over the limit.", default="reject")
    name_: str | None = param("Share one counter between all limits of this name; stands in the fields.", default=None)
    log_only: bool = param("Count and report, but let everything pass.", default="false")

    def evaluate(self, exchange: Exchange) -> Outcome:
        environment = exchange.environment
        count, window, burst = self._numbers
        decision = environment.store.admit(
            self.per(exchange) + self._kind, count, window, burst, environment.clock.monotonic()
        )
        if decision.__class__ is Decision:
            return self._decided(exchange, decision)
        return self._asked(exchange, cast(Coroutine[Any, Any, Decision], decision))

    async def _asked(self, exchange: Exchange, waiting: Coroutine[Any, Any, Decision]) -> Outcome:
        return self._decided(exchange, await waiting)

    def _decided(self, exchange: Exchange, decision: Decision) -> Outcome:
        admitted, remaining, reset, _ = decision
        left = (b"ratelimit", b"RateLimit", b"%b;r=%d;t=%d" % (self._quoted, remaining, math.ceil(reset)))
        if exchange.fields is None:
            exchange.fields = [self._policy, left]
        else:
            exchange.fields += (self._policy, left)
        if admitted:
            return None
        return self._over(decision, exchange)

    def _over(self, decision: Decision, exchange: Exchange) -> Outcome:
        if self.log_only:
            exchange.environment.log("warning", f"over the limit of {self.limit}, let through by log_only", exchange)
            return None
        return self.failure(
            "rate-exceeded",
            f"more than {self.limit}",
            headers=(("Retry-After", str(max(1, math.ceil(decision.retry_after)))),),
            **{"type": _PROBLEM, "violated-policies": [self.name_ or "default"]},
        )

    @cached_property
    def _numbers(self) -> tuple[int, int, int]:
        """Limit, window and burst, the times in nanoseconds."""
        return self.limit.count, self.limit.window * 1_000_000_000, self.burst.ns

    @cached_property
    def _kind(self) -> bytes:
        """Ends the key: whoever could alternate between a window and a longer one would empty the longer one."""
        letter = self.limit.unit[0]
        return (letter.upper() if self.burst.seconds else letter).encode()

    @cached_property
    def _quoted(self) -> bytes:
        return b'"%s"' % (self.name_ or "default").encode()

    @cached_property
    def _policy(self) -> Field:
        quota, window = self.limit.count, self.limit.window
        if self.burst.seconds:
            quota, window = int(quota * self.burst.seconds / window), math.ceil(self.burst.seconds)
        return (b"ratelimit-policy", b"RateLimit-Policy", b"%b;q=%d;w=%d" % (self._quoted, quota, window))

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        limit, burst, name = constants.get("limit"), constants.get("burst"), constants.get("name")
        if isinstance(limit, Rate):
            if limit.unit == "month":
                return "a month has no fixed length; limit by the second, minute, hour or day"
            if limit.count < 1:
                return "a limit of nothing lets nobody pass; use `fail 403` for that"
            if isinstance(burst, Duration) and 0 < burst.seconds < limit.window:
                return f"`burst` below the rate's unit would lower the limit; give at least {Duration(limit.window)}"
        if isinstance(name, str) and not (name.isascii() and name.isprintable() and not set(name) & set('"\\')):
            return "`name` takes printable ASCII characters without quotes"
        return None
