"""`concurrency_limit`"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from functools import cached_property
from types import CoroutineType
from typing import Any, ClassVar, Literal, TypeAlias, cast

from policylang.sdk import (
    Assertion,
    Duration,
    Exchange,
    Expr,
    Failure,
    Key,
    Kind,
    Outcome,
    Permit,
    Permits,
    Unavailable,
    Wish,
    param,
    settled,
    wrong_type,
)  # fmt: skip
from policylang.sdk import static_types as t
from policylang.sdk.limits_told import ALONE, EXCEEDED, LimitPolicy, is_policy_name, tell
from policylang.sdk.lines import MOST_WAITING
from policylang.sdk.seldom import Seldom

_PROBLEMS = "https://iana.org/assignments/http-problem-types#"
LONGEST_WAIT = 60.0
"""Seconds: the edge gives a request no more time in any case."""
MOST = 1_000_000

Block: TypeAlias = Callable[[Exchange], Awaitable[Outcome]]


class ConcurrencyLimit(Assertion):
    """Let only so many exchanges of a key be under way at a time.

    Each value of `per` has its own permits; without it all exchanges share them. A permit is held until the exchange
    ends: the answer's last byte is written, or the client has left, or an upgraded connection is closed. With a block
    it is held until the block has ended. While the store lives, never more than the limit are held by exchanges of
    living gateways; a permit outlives the crash of its worker by at most 15 s (where no other one was running, by 13 s
    from the next start). What finds none fails with 429 and `Retry-After: 1`; with `over: wait` it waits for one, in
    the order in which it came to its worker, as far as `queue` and `wait` allow.

    A request that an upstream has whole is not left in the middle: when its client leaves, or waits no longer, the
    permit is kept until the answer has ended, or the upstream's time for it is up. So an account that only one
    transaction may touch is not in a second one because somebody was impatient.

    While the store is away each worker lets its share pass, the limit divided by the workers that were seen last
    (`when_down: local`; a share below 1 is nobody, and so is everybody where none was ever seen), or nobody passes
    (`reject`): both fail with 503. A gateway that has not reached the store for 10 s cuts what holds a permit beyond
    that, as others may give the permit away. A cluster that is empty, as after a restart of all members, counts as
    away for 12 s: until then those who hold permits have said so again.

    On a cluster others learn a moment after the answer, a round trip, that a permit is free: a client that asks
    another gateway faster than that is refused, or waits with `over: wait`.

        let account = xpath(r"//acc:id/text()", in: request, ns: { acc: "urn:acme:accounts" })
        concurrency_limit 1, per: account, over: wait, wait: 2s
    """

    name: ClassVar[str] = "concurrency_limit"
    waits: ClassVar[bool | None] = True
    takes_block: ClassVar[bool] = True
    block_optional: ClassVar[bool] = True
    failures: ClassVar[Mapping[str, int]] = {"too-many-concurrent": 429}
    outputs: ClassVar[Mapping[str, t.Type]] = {"running": t.NUMBER}
    gives_apart: ClassVar[bool] = True

    limit: Expr[int] = param("How many at a time.", positional=True)
    per: Expr[Key] = param("What has permits of its own.", default='""')
    scope: Literal["cluster", "node"] = param("Who counts together: all who share the store, or this machine.",
                                              default="cluster")  # fmt: skip
    over: Literal["reject", "wait"] = param("What happens to what finds no permit.", default="reject")
    wait: Duration = param("With `wait`: how long one may wait.", default="2s")
    queue: int = param("With `wait`: how many may wait for one key in a worker.", default="100")
    name_: str | None = param("Share the permits between all limits of this name; stands in failures.", default=None)
    when_down: Literal["local", "reject"] = param("What happens while the store is away.", default="local")
    log_only: bool = param("Count and report, but let everything pass.", default="false")

    def evaluate(self, exchange: Exchange, block: Block | None = None) -> Outcome:
        key, wish = self.per(exchange), self._always or self._wish(exchange)
        try:
            found = self._permits(exchange).acquire(key, wish, exchange)
        except Unavailable as error:
            return self._away(exchange, key, wish, error, block)
        if found.__class__ is CoroutineType:
            asked = cast("Coroutine[Any, Any, Permit | None]", found)
            return self._answered(exchange, key, wish, asked, block)
        return self._decided(exchange, wish, cast("Permit | None", found), block)

    async def giving(self, exchange: Exchange) -> Outcome:
        """As `evaluate`, with the output."""
        key, wish = self.per(exchange), self._always or self._wish(exchange)
        try:
            permit = await settled(self._permits(exchange).acquire(key, wish, exchange))
        except Unavailable as error:
            outcome = self._away(exchange, key, wish, error, None)
            return 0 if outcome is None else outcome
        outcome = self._decided(exchange, wish, permit, None)
        return outcome if outcome is not None else wish.limit if permit is None else permit.running

    async def _answered(
        self, exchange: Exchange, key: bytes, wish: Wish, asked: Coroutine[Any, Any, Permit | None],
        block: Block | None,
    ) -> Outcome:  # fmt: skip
        try:
            permit = await asked
        except Unavailable as error:
            return await settled(self._away(exchange, key, wish, error, block))
        return await settled(self._decided(exchange, wish, permit, block))

    def _decided(self, exchange: Exchange, wish: Wish, permit: Permit | None, block: Block | None) -> Outcome:
        if permit is not None:
            return self._held(exchange, permit, block)
        if self.log_only:
            tell(exchange, self._policy(wish), 0, 1.0, EXCEEDED)
            self._report(exchange, f"more than {wish.limit} at a time, let through by log_only")
            return None if block is None else block(exchange)
        return self.failure(
            "too-many-concurrent", f"more than {wish.limit} at a time", headers=(("Retry-After", "1"),),
            **{"type": _PROBLEMS + "quota-exceeded", "violated-policies": [self._called]},
        )  # fmt: skip

    def _held(self, exchange: Exchange, permit: Permit, block: Block | None) -> Outcome:
        answers = exchange.await_answers()
        release = permit.release
        if block is None:
            exchange.at_end(lambda: answers.when_none(release))
            return None

        async def around() -> Outcome:
            try:
                return await block(exchange)
            finally:
                answers.when_none(release)

        return around()

    def _away(
        self, exchange: Exchange, key: bytes, wish: Wish, error: Unavailable, block: Block | None
    ) -> Outcome:
        if self.when_down == "local":
            self._report(exchange, f"the store is away: this worker keeps to its share of {wish.limit} at a time")
            permit = self._permits(exchange).acquire_alone(key, wish, exchange)
            tell(exchange, self._policy(wish), 0, 1.0, ALONE)
            if permit is not None:
                return self._held(exchange, permit, block)
        if self.log_only:
            self._report(exchange, f"the store is away: {wish.limit} at a time is not kept to")
            return None if block is None else block(exchange)
        # Nobody knows whether the limit is reached: `any` and `else` do not go on after it.
        return Failure(
            "store-away", 503, error.detail, kind=Kind.AWAY, headers=(("Retry-After", str(error.retry_after)),),
            assertion=self.name,
            members={"type": _PROBLEMS + "temporary-reduced-capacity", "violated-policies": [self._called]},
        )  # fmt: skip

    def _report(self, exchange: Exchange, text: str) -> None:
        if self._seldom.again(exchange.environment.clock.monotonic()):
            exchange.environment.log("warning", text, exchange)

    def _permits(self, exchange: Exchange) -> Permits:
        permits = exchange.environment.permits
        return permits if self.scope == "cluster" else permits.machine

    def _wish(self, exchange: Exchange) -> Wish:
        limit = self.limit(exchange)
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or limit != limit // 1 or limit < 0:
            raise wrong_type("a limit is a whole number from 0 on")
        waits = self.over == "wait" and not self.log_only
        return Wish(min(int(limit), MOST), self.wait.ns if waits else 0, self.queue, self.when_down == "local")

    @cached_property
    def _always(self) -> Wish | None:
        """Where the limit is the same for every message."""
        value = getattr(self.limit, "value", None)
        return None if value is None else self._wish(cast(Exchange, None))

    @cached_property
    def _called(self) -> str:
        return self.name_ or "concurrency"

    def _policy(self, wish: Wish) -> LimitPolicy:
        found = self._policies.get(wish.limit)
        if found is None:
            if len(self._policies) >= 1000:
                self._policies.clear()
            found = self._policies[wish.limit] = LimitPolicy(self._called, wish.limit, None, shown=False)
        return found

    @cached_property
    def _policies(self) -> dict[int, LimitPolicy]:
        return {}

    @cached_property
    def _seldom(self) -> Seldom:
        return Seldom()

    @classmethod
    def refusals(cls, given: Mapping[str, Any]) -> Collection[str]:
        return () if given.get("log_only") else cls.failures

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        limit, wait, queue = constants.get("limit"), constants.get("wait"), constants.get("queue")
        if limit is not None and not (isinstance(limit, int) and 1 <= limit <= MOST):
            return f"`limit` is a whole number from 1 to {MOST}; to let nobody pass, use `fail 403`"
        if isinstance(wait, Duration) and not 0 < wait.seconds <= LONGEST_WAIT:
            return f"`wait` is longer than `0s`, and at most {Duration(LONGEST_WAIT)}"
        if queue is not None and (not isinstance(queue, int) or not 1 <= queue <= MOST_WAITING):
            return f"`queue` is a whole number from 1 to {MOST_WAITING}"
        name = constants.get("name")
        if isinstance(name, str) and not is_policy_name(name):
            return "`name` takes printable ASCII characters without quotes"
        return None
