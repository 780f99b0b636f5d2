"""`route`"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from policylang.sdk import Assertion, Duration, Exchange, Expr, Outcome, Target, UpstreamCall, UpstreamName, param


class Route(Assertion):
    """Send the request to an upstream and wait for the head of its answer.

    What follows sees `response`. It passes with any status of the answer. The body streams unless a later statement
    reads it.

        route orders, path: "/items/${path.id}", timeout: 2s
    """

    name: ClassVar[str] = "route"
    errors: ClassVar[Mapping[str, int]] = {
        "upstream-unreachable": 502, "upstream-broken": 502, "upstream-timeout": 504,
    }  # fmt: skip
    effects: ClassVar[frozenset[str]] = frozenset({"response"})
    answers: ClassVar[bool] = True

    upstream: UpstreamName = param("Where the request goes.", positional=True)
    path: Expr[Target] | None = param("The path to ask for; each interpolated string is one segment.", default=None)
    timeout: Duration | None = param("How long the head of the answer may take.", default=None)

    async def evaluate(self, exchange: Exchange) -> Outcome:
        call = self._call if self.path is None else UpstreamCall(self.path(exchange), self._call.timeout)
        exchange.response = await exchange.environment.upstreams[self.upstream.name].send(exchange, call)
        return None

    @cached_property
    def _call(self) -> UpstreamCall:
        """What is asked where the path stays as it was matched: the same for every message."""
        return UpstreamCall(None, None if self.timeout is None else self.timeout.seconds)
