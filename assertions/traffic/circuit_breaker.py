"""`circuit_breaker`"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from policylang.sdk import Assertion, Duration, Exchange, Expr, Failure, Key, Kind, Outcome, param
from policylang.sdk.circuit import Circuit, CircuitSettings

_SECOND = 1_000_000_000


class CircuitBreaker(Assertion):
    """Leave a block out for a while once too much in it has failed.

    A failure is an error of 500 and above (an upstream that cannot be reached, breaks off or is too slow, surroundings
    that are away, a defect), and an answer of 500 and above that a `route` in the block has got. A refusal, and
    whatever else is the client's doing, says nothing: it is not counted. Of what ended in `window`, once there are
    `requests`, the share `errors` of failures, or `slow` of blocks that took longer than `slower_than`, opens the
    circuit. Then the block is not run and the failure is `circuit-open`, with `Retry-After`, for `pause`; after it
    `probes` requests are let through, and when they are all well it closes. Each value of `per` has a circuit of its
    own, in each worker; 10,000 are kept, those asked for last. A reload keeps them while these settings stay.

        circuit_breaker errors: 0.5, requests: 20, window: 10s, pause: 5s {
            route orders
        }
    """

    name: ClassVar[str] = "circuit_breaker"
    errors: ClassVar[Mapping[str, int]] = {"circuit-open": 503}
    takes_block: ClassVar[bool] = True

    errors_: float = param("The share of failures that opens it.", default="0.5")
    slower_than: Duration | None = param("What counts as slow; left out: nothing does.", default=None)
    slow: float = param("The share of slow runs of the block that opens it.", default="0.5")
    requests: int = param("The fewest runs that say anything.", default="20")
    window: Duration = param("How far back it looks.", default="10s")
    pause: Duration = param("How long it stays open.", default="5s")
    probes: int = param("Requests that try whether it may close.", default="3")
    per: Expr[Key] = param("What has a circuit of its own.", default='""')

    async def evaluate(  # type: ignore[override]  # it stands around a block
        self, exchange: Exchange, block: Callable[[Exchange], Awaitable[Outcome]]
    ) -> Outcome:
        environment = exchange.environment
        monotonic = environment.clock.monotonic
        circuit = environment.circuit(self.per(exchange), self._settings)
        began = monotonic()
        if not circuit.admit(began):
            return self._open(circuit, began)
        before = exchange.response
        try:
            outcome = await block(exchange)
        except BaseException:
            now = monotonic()
            circuit.abandoned(now, now - began)
            raise
        now = monotonic()
        if isinstance(outcome, Failure) and (outcome.kind is Kind.REFUSAL or outcome.status < 500):
            circuit.abandoned(now, now - began)
            return outcome
        response = exchange.response
        failed = isinstance(outcome, Failure) or (
            response is not None and response is not before and response.status >= 500 and not response.made_here
        )
        circuit.report(now, failed, now - began)
        return outcome

    def _open(self, circuit: Circuit, now: int) -> Failure:
        wait = max(1, math.ceil(circuit.until(now) / _SECOND))
        return self.failure("circuit-open", "too much has failed here", headers=(("Retry-After", str(wait)),))

    @cached_property
    def _settings(self) -> CircuitSettings:
        return CircuitSettings(
            errors=self.errors_, slow=self.slow, slower_than=0 if self.slower_than is None else self.slower_than.ns,
            requests=self.requests, window=self.window.ns, pause=self.pause.ns, probes=self.probes,
        )  # fmt: skip

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        for name in ("errors", "slow"):
            share = constants.get(name)
            if isinstance(share, (int, float)) and not 0 < share <= 1:
                return f"`{name}` is a share above 0, and at most 1"
        for name, most in (("requests", 1_000_000), ("probes", 1000)):
            count = constants.get(name)
            if count is not None and (not isinstance(count, int) or not 1 <= count <= most):
                return f"`{name}` is a whole number from 1 to {most}"
        for name in ("slower_than", "window", "pause"):
            time = constants.get(name)
            if isinstance(time, Duration) and time.seconds <= 0:
                return f"`{name}` must be longer than `0s`"
        return None
