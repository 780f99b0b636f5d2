"""`route`"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from assertions.routing.sending import Sending
from policylang.sdk import Exchange, Outcome, param


class Route(Sending):
    """Send the request to an upstream and wait for the head of its answer.

    What follows sees `response`. It passes with any status of the answer but those of `fail_on`. The body streams
    unless a later statement reads it. A request that may be sent twice (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), or of
    which nothing was sent, is tried again as the upstream's `retries` say; but a body is not held back for that: one
    that streams is sent once, and one that came whole with its head, or was read before, is there for a second try.

        route orders, path: "/items/${path.id}", query: { lang: "en" }, timeout: 2s, retries: 1, fail_on: 500..599
    """

    name: ClassVar[str] = "route"
    errors: ClassVar[Mapping[str, int]] = {
        "upstream-unreachable": 502, "upstream-broken": 502, "upstream-status": 502, "upstream-unavailable": 503,
        "upstream-timeout": 504,
    }  # fmt: skip
    effects: ClassVar[frozenset[str]] = frozenset({"response"})
    answers: ClassVar[bool] = True

    retries: int | None = param("Further tries, where that is safe; left out: the upstream's.", default=None)
    fail_on: int | range | list[Any] | None = param(
        "Statuses of the answer that fail with 502: one, a range, or a list of these.", default=None
    )

    async def evaluate(self, exchange: Exchange) -> Outcome:
        upstream = exchange.environment.upstreams[self.upstream.name]
        response = exchange.response = await upstream.send(exchange, self._always or self._composed(exchange))
        if self.fail_on is not None and response.status in self._failing:
            said = f"the upstream answered {response.status}"
            told = ("Proxy-Status", f"polgate; received-status={response.status}")  # RFC 9209 2.1.4
            return self.failure("upstream-status", said, headers=(told,))
        return None

    @cached_property
    def _failing(self) -> frozenset[int]:
        return frozenset(_statuses(self.fail_on))

    @cached_property
    def _tries(self) -> int | None:
        return self.retries

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        retries, failing = constants.get("retries"), constants.get("fail_on")
        if retries is not None and (not isinstance(retries, int) or not 0 <= retries <= 10):
            return "`retries` is a whole number from 0 to 10"
        try:
            statuses = _statuses(failing)
        except ValueError:
            return "`fail_on` takes statuses from 200 to 599: one, a range such as `500..599`, or a list of these"
        if failing is not None and not statuses:
            return "`fail_on` names no status"
        return super().check(constants)


def _statuses(value: Any) -> list[int]:
    """Raises ValueError on what is no status."""
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return [status for each in value for status in _statuses(each)]
    if isinstance(value, range) and value and value[0] >= 200 and value[-1] <= 599:
        return list(value)
    if isinstance(value, int) and not isinstance(value, bool) and 200 <= value <= 599:
        return [value]
    raise ValueError(value)
