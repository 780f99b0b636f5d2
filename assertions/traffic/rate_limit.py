"""`rate_limit`"""

from __future__ import annotations

import math
from collections.abc import Collection, Coroutine, Mapping
from functools import cached_property
from types import CoroutineType
from typing import Any, ClassVar, Literal, cast

from assertions.traffic.blackouts import LONGEST, Blackouts
from assertions.traffic.plans import Asked, Decisions, Plan, Plans, ask, tightest
from assertions.traffic.turns import NEVER, room, until_turn
from policylang.sdk import (
    Assertion,
    Decision,
    Duration,
    Exchange,
    Expr,
    Failure,
    Key,
    Kind,
    Outcome,
    Rate,
    Rates,
    Size,
    Unavailable,
    param,
    settled,
    wrong_type,
)  # fmt: skip
from policylang.sdk import static_types as t
from policylang.sdk.limits_told import ALONE, EXCEEDED, UNCOUNTED, LimitPolicy, tell
from policylang.sdk.lines import MOST_WAITING
from policylang.sdk.seldom import Seldom
from policylang.sdk.window import MAX_LIMIT

_PROBLEMS = "https://iana.org/assignments/http-problem-types#"
LONGEST_WAIT = 60.0
"""Seconds: the edge gives a request no more time in any case."""
LEAST_SLEEP = 0.001
"""Seconds: the loop's timers know no less."""
MOST_LEAST_SLEEP = 0.05
"""Seconds between two questions of one that was refused again and again."""


class RateLimit(Assertion):
    """Let a key pass at most so often in any window.

    Each value of `per` has a counter of its own. While the store lives, never more than the limit passes in any window
    of its length, whatever the pattern; exact up to 80 in a window, beyond that at most 2 % under, and on a cluster
    under by what idle or dead workers hold, which is kept below 2 %. `burst` makes it a bucket instead, that fills
    evenly and lets an idle key save up so long: never more than the rate gives in the time that has passed and
    `burst`. What is over the limit fails with 429 and `Retry-After`, and is not counted.

    The limit may be worked out (`rate(plan.rate, "s")`), so that tiers are data. In a list of rates all must let it
    pass, and it is counted in all or none; the one that takes longest gives `Retry-After`. A limit in another unit
    counts apart, and so does one with a `burst`.

    With `over: shape` what is over the limit waits for its turn, in the order in which it came, as far as `queue` and
    `wait` allow; what would have to wait longer is refused at once. Who leaves while waiting gives up the place. Lines
    are a worker's own; what passes is counted with all others.

    With `blackout` a key that was over the limit is refused for so long, also on the other workers and, on a cluster,
    within a second on the other gateways; what is refused meanwhile does not lengthen it.

    While the store is away (`when_down`) each worker keeps to its share of the limit (`local`). The share begins a
    window after the store's last answer, so that all shares together stay below the limit, or on a cluster below twice
    the limit while some gateways still reach the store. What is over a share fails with 503, as nobody knows whether
    the limit was reached, and so does everything where a share is below one. `reject` fails everything with 503,
    `allow` lets everything pass uncounted. The log has it once a second, its lines of exchanges and a metric have each.

    The answer carries RateLimit and RateLimit-Policy, each once with all limits that were asked; `fields: legacy` adds
    X-RateLimit-Limit, -Remaining and -Reset (seconds) of the tightest, `fields: hidden` tells callers nothing but when
    to come back.

        rate_limit [10/s, 200/min, 5_000/day], per: client.ip, name: "anonymous"
    """

    name: ClassVar[str] = "rate_limit"
    waits: ClassVar[bool | None] = True
    failures: ClassVar[Mapping[str, int]] = {"rate-exceeded": 429, "in-blackout": 429}
    outputs: ClassVar[Mapping[str, t.Type]] = {"limit": t.NUMBER, "remaining": t.NUMBER, "reset": t.DURATION}
    gives_apart: ClassVar[bool] = True

    limit: Expr[Rate | list[Rate]] = param("How many pass in how long; several count together.", positional=True)
    per: Expr[Key] = param("What is counted.", default="client.ip")
    by: Expr[int | Size] | None = param("What one costs: a whole number; 0 passes uncounted.", default=None)
    burst: Duration = param("How long an idle key may save up.", default="0s")
    over: Literal["reject", "shape"] = param("What happens to what is over the limit.", default="reject")
    queue: int = param("With `shape`: how many may wait for one key.", default="100")
    wait: Duration = param("With `shape`: how long one may wait.", default="5s")
    blackout: Duration | None = param("How long a key is refused that was over the limit.", default=None)
    name_: str | None = param("Share one counter between all limits of this name; stands in the fields.", default=None)
    scope: Literal["cluster", "node"] = param("Who counts together: all who share the store, or this machine.",
                                              default="cluster")  # fmt: skip
    when_down: Literal["local", "reject", "allow"] = param("What happens while the store is away.", default="local")
    fields: Literal["standard", "legacy", "hidden"] = param("What callers are told.", default="standard")
    log_only: bool = param("Count and report, but let everything pass.", default="false")

    def evaluate(self, exchange: Exchange) -> Outcome:
        usual = self._usual
        if usual is None:
            return self._unusual(exchange, None)
        count, window, burst, suffix, policy = usual
        environment = exchange.environment
        try:
            decision = environment.store.admit(
                self.per(exchange) + suffix, count, window, burst, environment.clock.monotonic()
            )
        except Unavailable as error:
            return self._away(exchange, Asked(self._plans.of(exchange), self.per(exchange), 1), error)
        if decision.__class__ is not Decision:
            return self._usually(exchange, policy, cast("Coroutine[Any, Any, Decision]", decision))
        admitted, remaining, reset, _ = decision
        if admitted:
            if exchange.limits is None:
                exchange.limits = [(policy, remaining, reset, "")]
            else:
                tell(exchange, policy, remaining, reset)
            return None
        return self._usually_over(exchange, policy, decision)

    async def _usually(
        self, exchange: Exchange, policy: LimitPolicy, waiting: Coroutine[Any, Any, Decision]
    ) -> Outcome:
        try:
            decision = await waiting
        except Unavailable as error:
            return await settled(self._away(exchange, Asked(self._plans.of(exchange), self.per(exchange), 1), error))
        admitted, remaining, reset, _ = decision
        if not admitted:
            return self._usually_over(exchange, policy, decision)
        if exchange.limits is None:
            exchange.limits = [(policy, remaining, reset, "")]
        else:
            tell(exchange, policy, remaining, reset)
        return None

    def _usually_over(self, exchange: Exchange, policy: LimitPolicy, decision: Decision) -> Outcome:
        """As `_judged`, for the floods that limits are for."""
        _, remaining, reset, wait = decision
        if exchange.limits is not None or self.log_only:
            return self._judged(exchange, Asked(self._plans.of(exchange), b"", 1), (decision,))
        exchange.limits = [(policy, remaining, reset, "")]
        detail, members = self._usual_refusal
        return Failure(
            "rate-exceeded", 429, detail, headers=(_retry(wait),), members=members, assertion=self.name,
        )  # fmt: skip

    def giving(self, exchange: Exchange) -> Outcome:
        """As `evaluate`, with the outputs."""
        told: list[Decision] = []
        outcome = self._unusual(exchange, told)
        if outcome.__class__ is CoroutineType:
            return self._giving_later(exchange, told, cast("Coroutine[Any, Any, Outcome]", outcome))
        return self._given(exchange, told) if outcome is None else outcome

    async def _giving_later(
        self, exchange: Exchange, told: list[Decision], waiting: Coroutine[Any, Any, Outcome]
    ) -> Outcome:
        outcome = await waiting
        return self._given(exchange, told) if outcome is None else outcome

    def _given(self, exchange: Exchange, told: list[Decision]) -> Outcome:
        plan = self._plans.of(exchange)
        if not told:
            return plan.policies[0].quota, 0, Duration(0)
        policy, decision = tightest(plan, told)
        return policy.quota, decision.remaining, Duration(decision.reset)

    # --- what is seldom asked for ---

    def _unusual(self, exchange: Exchange, told: list[Decision] | None) -> Outcome:
        plan = self._plans.of(exchange)
        cost = 1 if self.by is None else self._cost(self.by(exchange))
        key = self.per(exchange)
        asked = Asked(plan, key, cost, told)
        if cost == 0:
            return None if told is None else self._only_asked(exchange, asked, told)
        if self.blackout is not None and not self.log_only:
            try:
                left = self._blackouts.left(self._entries(exchange), exchange, key)
            except Unavailable as error:
                return self._away(exchange, asked, error)
            if left.__class__ is CoroutineType:
                return self._after_blackout(exchange, asked, cast("Coroutine[Any, Any, float]", left))
            if left:
                return self._in_blackout(exchange, plan, cast(float, left))
        return self._admit(exchange, asked)

    def _admit(self, exchange: Exchange, asked: Asked) -> Outcome:
        environment = exchange.environment
        if self.over == "shape" and asked.key in environment.lines.known:
            return self._wait(exchange, asked)
        try:
            decisions = ask(self._rates(exchange), asked, environment.clock.monotonic())
        except Unavailable as error:
            return self._away(exchange, asked, error)
        if decisions.__class__ is CoroutineType:
            return self._answered(exchange, asked, cast("Coroutine[Any, Any, Decisions]", decisions))
        return self._judged(exchange, asked, cast(Decisions, decisions))

    async def _answered(
        self, exchange: Exchange, asked: Asked, waiting: Coroutine[Any, Any, Decisions]
    ) -> Outcome:
        try:
            decisions = await waiting
        except Unavailable as error:
            return await settled(self._away(exchange, asked, error))
        return await settled(self._judged(exchange, asked, decisions))

    async def _only_asked(self, exchange: Exchange, asked: Asked, told: list[Decision]) -> Outcome:
        """Outputs for what costs nothing."""
        now = exchange.environment.clock.monotonic()
        try:
            told += await settled(ask(self._rates(exchange), asked._replace(cost=1), now, False))
        except Unavailable as error:
            if self.when_down == "reject" and not self.log_only:
                return self._reduced(asked.plan, error.retry_after)
        return None

    # --- the decision ---

    def _judged(self, exchange: Exchange, asked: Asked, decisions: Decisions) -> Outcome:
        refused = [place for place, decision in enumerate(decisions) if not decision.admitted]
        if not refused:
            if asked.told is not None:
                asked.told.extend(decisions)
            for policy, (_, remaining, reset, _) in zip(asked.plan.policies, decisions, strict=True):
                tell(exchange, policy, remaining, reset)
            return None
        if self.over == "shape" and not self.log_only:
            return self._wait(exchange, asked, decisions)
        names = self._tell(exchange, asked, decisions, EXCEEDED if self.log_only else "")
        if self.log_only:
            self._report(exchange, f"over the limit of {_said(asked.plan, refused)}, let through by log_only")
            return None
        violated = [names[place] for place in refused]
        if self.blackout is not None:
            return self._black_out(exchange, asked, decisions, violated, self.blackout.seconds)
        return self._over(asked.plan, decisions, violated)

    def _tell(self, exchange: Exchange, asked: Asked, decisions: Decisions, word: str = "") -> list[str]:
        """Note what was decided; gives the names that the limits have in this exchange's fields."""
        if asked.told is not None:
            asked.told.extend(decisions)
        return [
            tell(exchange, policy, decision.remaining, decision.reset, "" if decision.admitted and word is EXCEEDED
                 else word).name
            for policy, decision in zip(asked.plan.policies, decisions, strict=True)
        ]  # fmt: skip

    def _over(self, plan: Plan, decisions: Decisions, names: list[str], wait: float = 0.0) -> Failure:
        refused = [place for place, decision in enumerate(decisions) if not decision.admitted]
        wait = max(wait, *(decisions[place].retry_after for place in refused), 0.0)
        return self._refusal("rate-exceeded", f"more than {_said(plan, refused)}", names, wait)

    def _refusal(self, name: str, detail: str, names: list[str], wait: float) -> Failure:
        members: dict[str, Any] = {"type": _PROBLEMS + "quota-exceeded"}
        if self.fields == "hidden":
            detail = ""
        else:
            members["violated-policies"] = names
        return self.failure(name, detail, headers=(_retry(wait),), **members)

    def _report(self, exchange: Exchange, text: str) -> None:
        if self._seldom.again(exchange.environment.clock.monotonic()):
            exchange.environment.log("warning", text, exchange)

    # --- blackout ---

    async def _after_blackout(
        self, exchange: Exchange, asked: Asked, waiting: Coroutine[Any, Any, float]
    ) -> Outcome:
        try:
            left = await waiting
        except Unavailable as error:
            return await settled(self._away(exchange, asked, error))
        if left:
            return self._in_blackout(exchange, asked.plan, left)
        return await settled(self._admit(exchange, asked))

    def _in_blackout(self, exchange: Exchange, plan: Plan, left: float) -> Failure:
        names = [tell(exchange, policy, 0, left).name for policy in plan.policies]
        return self._refusal("in-blackout", f"more than {_said(plan)}, and refused for a while", names, left)

    async def _black_out(
        self, exchange: Exchange, asked: Asked, decisions: Decisions, names: list[str], seconds: float
    ) -> Failure:
        try:
            await self._blackouts.begin(self._entries(exchange), exchange, asked.key, seconds)
        except Unavailable:
            self._report(exchange, "the store is away: a blackout is known to this worker alone")
        return self._over(asked.plan, decisions, names, seconds)

    # --- shape ---

    async def _wait(self, exchange: Exchange, asked: Asked, decisions: Decisions = ()) -> Outcome:
        """Stand in the key's line until it may pass."""
        environment = exchange.environment
        clock, lines = environment.clock, environment.lines
        plan, key, cost, _ = asked
        line = lines.known.get(key)
        ahead = 0 if line is None else line.cost
        began = clock.monotonic()
        try:
            if line is None and decisions:
                seconds = max(decision.retry_after for decision in decisions if not decision.admitted)
                if any(cost > room(limit) for limit in plan.limits):
                    seconds = NEVER
            else:
                seconds = await until_turn(self._rates(exchange), key, plan.limits, ahead, cost, began)
        except Unavailable as error:
            return await settled(self._away(exchange, asked, error))
        line = lines.known.get(key)
        if seconds > self.wait.seconds or lines.full or (line is not None and len(line) >= self.queue):
            return await self._not_waited(exchange, asked, decisions, seconds)
        deadline = began + self.wait.ns
        place = lines.join(key, cost, deadline, clock)
        try:
            first = await place.turn
            least = LEAST_SLEEP
            while True:
                now = clock.monotonic()
                if not first:
                    seconds = await until_turn(self._rates(exchange), key, plan.limits, ahead, cost, now)
                    return await self._not_waited(exchange, asked, (), seconds)
                decisions = await settled(ask(self._rates(exchange), asked, now))
                if all(decision.admitted for decision in decisions):
                    self._tell(exchange, asked, decisions)
                    return None
                seconds = max(decision.retry_after for decision in decisions if not decision.admitted)
                if now + seconds * 1e9 > deadline:
                    return await self._not_waited(exchange, asked, decisions, seconds)
                # Rounded up: a timer that is a moment early would have the store asked in vain.
                await clock.sleep(max(least, math.ceil(seconds * 1000) / 1000))
                least = min(2 * least, MOST_LEAST_SLEEP)  # where others take what was free, or a store cannot tell
        except Unavailable as error:
            return await settled(self._away(exchange, asked, error))
        finally:
            place.leave()  # also when the client has left, whose coroutine is closed

    async def _not_waited(
        self, exchange: Exchange, asked: Asked, decisions: Decisions, seconds: float
    ) -> Outcome:
        if not decisions:
            # It never asked for itself: those before it have what there is.
            decisions = [
                Decision(False, 0, limit.window / 1e9, min(seconds, (limit.burst or limit.window) / 1e9))
                for limit in asked.plan.limits
            ]
        names = self._tell(exchange, asked, decisions)
        refused = [names[place] for place, decision in enumerate(decisions) if not decision.admitted]
        return self._over(asked.plan, decisions, refused, 0.0 if seconds == NEVER else seconds)

    # --- the store is away ---

    def _away(self, exchange: Exchange, asked: Asked, error: Unavailable) -> Outcome:
        plan = asked.plan
        if self.when_down == "reject" and not self.log_only:
            return self._reduced(plan, error.retry_after)
        if self.when_down != "local":
            self._report(exchange, f"the store is away: {_said(plan)} is not kept to")
            for policy in plan.policies:
                tell(exchange, policy, 0, 0.0, UNCOUNTED)
            return None
        self._report(exchange, f"the store is away: this worker keeps to its share of {_said(plan)}")
        now = exchange.environment.clock.monotonic()
        decisions = ask(exchange.environment.store.alone, asked, now)
        if decisions.__class__ is CoroutineType:
            return self._alone_later(exchange, asked, cast("Coroutine[Any, Any, Decisions]", decisions))
        return self._alone(exchange, asked, cast(Decisions, decisions))

    async def _alone_later(
        self, exchange: Exchange, asked: Asked, waiting: Coroutine[Any, Any, Decisions]
    ) -> Outcome:
        return self._alone(exchange, asked, await waiting)

    def _alone(self, exchange: Exchange, asked: Asked, decisions: Decisions) -> Outcome:
        self._tell(exchange, asked, decisions, ALONE)
        if self.log_only or all(decision.admitted for decision in decisions):
            return None
        return self._reduced(asked.plan, max(one.retry_after for one in decisions if not one.admitted))

    def _reduced(self, plan: Plan, wait: float) -> Failure:
        """Nobody knows whether the limit was reached: `any` and `else` do not go on after it."""
        members: dict[str, Any] = {"type": _PROBLEMS + "temporary-reduced-capacity"}
        if self.fields != "hidden":
            members["violated-policies"] = [policy.name for policy in plan.policies]
        return Failure("store-away", 503, kind=Kind.AWAY, headers=(_retry(wait),), members=members, assertion=self.name)

    # --- what is made once ---

    @cached_property
    def _usual(self) -> tuple[int, int, int, bytes, LimitPolicy] | None:
        """Limit, window, burst (ns), suffix and policy of the case that nothing may slow down."""
        plan = self._plans.known
        if plan is None or len(plan.limits) > 1 or self.by is not None or self.blackout is not None:
            return None
        if self.over != "reject" or self.scope != "cluster":
            return None
        return *plan.limits[0], plan.policies[0]

    @cached_property
    def _usual_refusal(self) -> tuple[str, Mapping[str, Any]]:
        plan = self._plans.known
        assert plan is not None
        failure = self._refusal("rate-exceeded", f"more than {_said(plan)}", [plan.policies[0].name], 0.0)
        return failure.detail, failure.members or {}

    @cached_property
    def _plans(self) -> Plans:
        return Plans(
            self.limit, self.burst, self.name_, shown=self.fields != "hidden", also_x=self.fields == "legacy"
        )

    @cached_property
    def _blackouts(self) -> Blackouts:
        return Blackouts()

    @cached_property
    def _seldom(self) -> Seldom:
        return Seldom()

    def _rates(self, exchange: Exchange) -> Rates:
        store = exchange.environment.store
        return store if self.scope == "cluster" else store.machine

    def _entries(self, exchange: Exchange) -> Any:
        environment = exchange.environment
        return environment.entries if self.scope == "cluster" else environment.machine

    @staticmethod
    def _cost(value: Any) -> int:
        if isinstance(value, Size):
            value = value.bytes
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1 or value < 0:
            raise wrong_type("`by` takes a whole number from 0 on")
        return min(int(value), MAX_LIMIT)

    @classmethod
    def refusals(cls, given: Mapping[str, Any]) -> Collection[str]:
        if given.get("log_only"):
            return ()
        return cls.failures if given.get("blackout") is not None else ("rate-exceeded",)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        queue, wait, blackout = constants.get("queue"), constants.get("wait"), constants.get("blackout")
        if queue is not None and (not isinstance(queue, int) or not 1 <= queue <= MOST_WAITING):
            return f"`queue` is a whole number from 1 to {MOST_WAITING}"
        if isinstance(wait, Duration) and not 0 < wait.seconds <= LONGEST_WAIT:
            return f"`wait` is longer than `0s`, and at most {Duration(LONGEST_WAIT)}"
        if isinstance(blackout, Duration):
            if not 1 <= blackout.seconds <= LONGEST:
                return f"`blackout` is a time from `1s` to {Duration(LONGEST)}"
            if constants.get("over") == "shape":
                return "`blackout` is for what is refused: it does not go with `over: shape`"
        cost = constants.get("by")
        if isinstance(cost, (int, float)) and not (isinstance(cost, int) and cost >= 0):
            return "`by` takes a whole number from 0 on"
        return Plans.problem(constants)


def _said(plan: Plan, places: Any = None) -> str:
    rates = plan.rates if places is None else [plan.rates[place] for place in places]
    return " and ".join(str(rate) for rate in rates)


def _retry(seconds: float) -> tuple[str, str]:
    return "Retry-After", str(max(1, math.ceil(seconds)))
