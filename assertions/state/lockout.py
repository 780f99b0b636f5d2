"""`lockout`"""

from __future__ import annotations

import math
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

from assertions.state.attempts import NO_GUESS, PASSED, REFUSED, Entered, Rules, enter, leave
from policylang.sdk import (
    Assertion,
    Duration,
    Exchange,
    Expr,
    Failure,
    Key,
    Kind,
    Outcome,
    Space,
    Unavailable,
    param,
    settled,
)
from policylang.sdk.limits_told import EXCEEDED, UNCOUNTED, LimitPolicy, is_policy_name, tell
from policylang.sdk.seldom import Seldom
from policylang.sdk.shared_map import lifetime


class Lockout(Assertion):
    """Leave a block out for a key that has been refused in it too often: against guessing.

    Refusals in the block are counted, and what it got or gave as an answer with one of the statuses `answers`; errors,
    surroundings that are away, other answers from 400 on, and what was refused with 429, say nothing of a guess. After
    as many as `after` in `within` the key is locked `for` a time, in which the block is not run and the failure is
    `locked-out`, with `Retry-After`. Then one attempt is let through: another refusal locks for `growing` times as
    long, up to `max`. What passes makes an end of it, unless `resets` is false, which is for keys that a guesser
    shares with others, such as `network_of(client.ip)`. An attempt counts before it is made, so that many at once, at
    all workers and gateways, cannot be more; one whose client leaves counts until `within` is over. The counts outlive
    processes, but not the machine's boot (on a cluster: not all of its members); while the store is away it fails with
    503, unless `when_down` is `allow`. Whoever knows a name can lock it: count by name and address together, and with
    a larger number by either.

        lockout [request.query.user ?? "", client.ip], after: 5, within: 10m, for: 1m, growing: 2, max: 1h {
            require request.header["X-Pin"] == "7"
        }
    """

    name: ClassVar[str] = "lockout"
    failures: ClassVar[Mapping[str, int]] = {"locked-out": 429}
    takes_block: ClassVar[bool] = True
    waits: ClassVar[bool | None] = True

    key: Expr[Key] = param("What is locked.", positional=True)
    after: int = param("How many refusals lock it.", default="5")
    within: Duration = param("How far back they are counted.", default="10m")
    for_: Duration = param("How long the first lock is.", default="1m")
    growing: float = param("How many times as long each further one is.", default="2")
    max: Duration = param("How long one is at most.", default="1h")
    answers_: list[int] = param("Statuses of an answer that count as a refusal.", default="[400, 401, 403, 422]")
    resets: bool = param("Whether what passes makes an end of it.", default="true")
    name_: str | None = param("Statements of one name count together.", default=None)
    when_down: Literal["reject", "allow"] = param("What happens while the store is away.", default="reject")
    log_only: bool = param("Count and report, but leave nothing out.", default="false")

    async def evaluate(  # type: ignore[override]  # it stands around a block
        self, exchange: Exchange, block: Callable[[Exchange], Awaitable[Outcome]]
    ) -> Outcome:
        key = self.key(exchange)
        token = os.urandom(6).hex()
        entered = await self._enter(exchange, key, token)
        if entered.wait:
            if not self.log_only:
                return self._locked(entered.wait)
            tell(exchange, self._policy, 0, entered.wait, EXCEEDED)
            self._report(exchange, "locked out, let through by log_only")
        before = exchange.response
        outcome = await block(exchange)
        await self._leave(exchange, key, token, self._judged(exchange, outcome, before))
        return outcome

    async def _enter(self, exchange: Exchange, key: bytes, token: str) -> Entered:
        environment = exchange.environment
        change = enter(token, environment.clock.wall(), self._rules)
        try:
            entered: Entered = await settled(environment.entries.update(self._space, key, change))
            return entered
        except Unavailable as away:
            if self.when_down == "reject" and not self.log_only:
                raise
            tell(exchange, self._policy, self.after, 0.0, UNCOUNTED)
            self._report(exchange, f"attempts are not counted: {away}")
            return Entered(0.0)

    async def _leave(self, exchange: Exchange, key: bytes, token: str, judged: str) -> None:
        environment = exchange.environment
        change = leave(token, judged, environment.clock.wall(), self._rules)
        try:
            seconds: float = await settled(environment.entries.update(self._space, key, change))
        except Unavailable as away:
            self._report(exchange, f"the attempt counts until {self.within} are over: {away}")
            return
        if seconds:
            text = f"locked for {Duration(round(seconds, 3))} after too many refusals"
            environment.log("warning", text, exchange)

    def _judged(self, exchange: Exchange, outcome: Outcome, before: Any) -> str:
        if isinstance(outcome, Failure):
            guessed = outcome.kind is Kind.REFUSAL and outcome.status != 429
            return REFUSED if guessed else NO_GUESS
        response = exchange.response
        if response is None or response is before:
            return PASSED
        if response.status in self.answers_:
            return REFUSED
        return PASSED if response.status < 400 else NO_GUESS

    def _locked(self, wait: float) -> Failure:
        seconds = max(1, math.ceil(wait))
        return self.failure("locked-out", "too many attempts were refused", headers=(("Retry-After", str(seconds)),))

    def _report(self, exchange: Exchange, text: str) -> None:
        if self._seldom.again(exchange.environment.clock.monotonic()):
            exchange.environment.log("warning", text, exchange)

    @cached_property
    def _policy(self) -> LimitPolicy:
        return LimitPolicy(self.name_ or self.name, self.after, math.ceil(self.within.seconds), shown=False)

    @cached_property
    def _seldom(self) -> Seldom:
        return Seldom()

    @cached_property
    def _rules(self) -> Rules:
        return Rules(self.after, self.within.seconds, self.for_.seconds, self.growing, self.max.seconds, self.resets)

    @cached_property
    def _space(self) -> Space:
        life = lifetime(2 * max(self.within.seconds, self.max.seconds))
        return Space(f"lockout.{life:g}", "passing", life)

    @classmethod
    def refusals(cls, given: Mapping[str, Any]) -> Collection[str]:
        return () if given.get("log_only") else cls.failures

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        after, growing = constants.get("after"), constants.get("growing")
        if after is not None and (not isinstance(after, int) or not 1 <= after <= 100):
            return "`after` is a whole number from 1 to 100"
        if isinstance(growing, (int, float)) and not 1 <= growing <= 100:
            return "`growing` is a number from 1 to 100"
        for name in ("within", "for", "max"):
            seconds = constants.get(name)
            if isinstance(seconds, Duration) and not 1 <= seconds.seconds <= 31 * 86400:
                return f"`{name}` is a time from `1s` to `31d`"
        first, longest = constants.get("for"), constants.get("max")
        if isinstance(first, Duration) and isinstance(longest, Duration) and first > longest:
            return "`max` is shorter than `for`"
        answers = constants.get("answers")
        if isinstance(answers, (list, tuple)) and not all(isinstance(each, int) and 200 <= each <= 499
                                                          for each in answers):  # fmt: skip
            return "`answers` are statuses from 200 to 499"
        called = constants.get("name")
        if isinstance(called, str) and not is_policy_name(called):
            return "`name` takes printable ASCII characters without quotes"
        return None
