"""`not_replayed`"""

from __future__ import annotations

import os
from collections.abc import Collection, Coroutine, Mapping
from functools import cached_property
from types import CoroutineType
from typing import Any, ClassVar, cast

from policylang.sdk import Assertion, Change, Duration, Exchange, Expr, Key, Outcome, Space, Unavailable, param, settled
from policylang.sdk.limits_told import EXCEEDED, UNCOUNTED, LimitPolicy, is_policy_name, tell
from policylang.sdk.replays import TOKEN_BYTES, first_of, replay_space, written_id
from policylang.sdk.seldom import Seldom

_LOOKS, _LOOK = 5, 0.02
"""How often, and after how many seconds each, to look whether the cluster is whole before it is an error."""
_SKEW = 2.0
"""Seconds that an id is remembered for longer in a cluster: so much may the clock of another gateway be ahead."""


class NotReplayed(Assertion):
    """Let an id pass once within its time: what was signed or sent once is not taken a second time.

    Of all requests that bring one id, through whichever worker or gateway and however close together, one passes; the
    others are refused until `within` is over, and so are those that come after a restart. What the id may be, a
    token's `jti`, a nonce, a signature, and that it is not older than `within`, is for other statements to say. A
    policy that uses ids for two things counts them apart, unless the statements have one `name`. Each id takes room in
    the store, so let it stand behind what says who is asking. While the store is away nothing passes: it fails with
    503, within the store's deadline.

        not_replayed request.header["X-Nonce"] ?? "", within: 5m
    """

    name: ClassVar[str] = "not_replayed"
    waits: ClassVar[bool | None] = True
    failures: ClassVar[Mapping[str, int]] = {"replayed": 403}

    id: Expr[Key] = param("What may pass once.", positional=True)
    within: Duration = param("For how long it is remembered.")
    name_: str | None = param("Statements of one name know each other's ids.", default=None)
    log_only: bool = param("Report a replay, but let it pass.", default="false")

    def evaluate(self, exchange: Exchange) -> Outcome:
        key, environment = self.id(exchange), exchange.environment
        if self.log_only:
            return self._tried(exchange, key)
        if environment.entries is not environment.machine:
            return self._asked(exchange, self._in_cluster(exchange, key))
        first = environment.entries.update(self._space, key, self._change(exchange), None)
        if first.__class__ is CoroutineType:
            return self._asked(exchange, cast(Coroutine[Any, Any, bool], first))
        return self._judged(exchange, cast(bool, first))

    async def _asked(self, exchange: Exchange, waiting: Coroutine[Any, Any, bool]) -> Outcome:
        return self._judged(exchange, await waiting)

    async def _tried(self, exchange: Exchange, key: bytes) -> Outcome:
        environment = exchange.environment
        try:
            if environment.entries is not environment.machine:
                first = await self._in_cluster(exchange, key)
            else:
                first = await settled(environment.entries.update(self._space, key, self._change(exchange), None))
        except Unavailable as away:
            tell(exchange, self._policy, 1, 0.0, UNCOUNTED)
            self._report(exchange, f"nobody knows whether it is a replay: {away}")
            return None
        return self._judged(exchange, first)

    async def _in_cluster(self, exchange: Exchange, key: bytes) -> bool:
        """The machine keeps what it has let pass: members that begin anew are told of it, and until then it knows."""
        environment, change = exchange.environment, self._change(exchange, _SKEW)
        for _ in range(_LOOKS):
            if environment.whole():
                break
            await environment.clock.sleep(_LOOK)
        if await settled(environment.machine.read(self._space, key)) is not None:
            return False
        first: bool = await settled(environment.entries.update(self._space, key, change, None))
        if not environment.whole():
            raise Unavailable("store", "it has begun anew, and is not told yet which ids have passed")
        if first:
            await settled(environment.machine.update(self._space, key, change, None))
        return first

    def _change(self, exchange: Exchange, more: float = 0.0) -> Change:
        seconds = self.within.seconds + more
        return first_of(written_id(os.urandom(TOKEN_BYTES), exchange.environment.clock.wall() + seconds), seconds)

    def _judged(self, exchange: Exchange, first: bool) -> Outcome:
        if first:
            return None
        if self.log_only:
            tell(exchange, self._policy, 0, 0.0, EXCEEDED)
            self._report(exchange, "a replay, let through by log_only")
            return None
        return self.failure("replayed", f"this has come before, within {self.within}")

    def _report(self, exchange: Exchange, text: str) -> None:
        if self._seldom.again(exchange.environment.clock.monotonic()):
            exchange.environment.log("warning", text, exchange)

    @cached_property
    def _policy(self) -> LimitPolicy:
        return LimitPolicy(self.name_ or self.name, 1, None, shown=False)

    @cached_property
    def _seldom(self) -> Seldom:
        return Seldom()

    @cached_property
    def _space(self) -> Space:
        return replay_space(self.within.seconds + _SKEW)

    @classmethod
    def refusals(cls, given: Mapping[str, Any]) -> Collection[str]:
        return () if given.get("log_only") else cls.failures

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        within = constants.get("within")
        if isinstance(within, Duration) and not 0 < within.seconds <= 31 * 86400:
            return "`within` is longer than `0s`, and at most `31d`"
        name = constants.get("name")
        if isinstance(name, str) and not is_policy_name(name):
            return "`name` takes printable ASCII characters without quotes"
        return None
