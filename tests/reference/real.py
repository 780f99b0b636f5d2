"""The real tree, driven from a test: a memory store, a clock that jumps, upstreams that answer as they are told."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

from reference import message as plain
from reference.generate_messages import Exchange as Message

from policylang.catalog import Catalog, load_catalog
from policylang.check import Checked, check_text
from policylang.sdk import (
    Assertion,
    BodyLimits,
    BodySource,
    Client,
    Decision,
    Duration,
    Exchange,
    Expr,
    Failed,
    Failure,
    Kind,
    Request,
    Response,
    Unavailable,
    UpstreamCall,
    Waiter,
    card_of,
    param,
)  # fmt: skip
from policylang.sdk import static_types as t
from policylang.sdk.circuits import Circuits
from policylang.sdk.lines import Lines
from policylang.sdk.memory import MemoryEntries
from policylang.sdk.memory_caches import MemoryCaches
from policylang.sdk.memory_permits import MemoryPermits
from policylang.sdk.memory_quotas import MemoryQuotas
from policylang.sdk.message import Field
from policylang.sdk.store import Limit
from policylang.sdk.window import admit_window, standing
from policylang.tree import compile_program

# --- assertions that only these tests have ---------------------------------------------------------


class Refuse(Assertion):
    """Refuse, with a challenge."""

    name: ClassVar[str] = "probe.refuse"
    failures: ClassVar[Mapping[str, int]] = {"probe-refused": 418}

    name_: str = param("What the challenge says.", positional=True)

    def evaluate(self, exchange: Exchange) -> Any:
        return self.failure("probe-refused", headers=(("WWW-Authenticate", f"Probe {self.name_}"),))


class Error(Assertion):
    """Fail without having said no."""

    name: ClassVar[str] = "probe.error"
    errors: ClassVar[Mapping[str, int]] = {"probe-broken": 421}

    def evaluate(self, exchange: Exchange) -> Any:
        return self.failure("probe-broken")


class Away(Assertion):
    """Miss what it needs."""

    name: ClassVar[str] = "probe.away"

    async def evaluate(self, exchange: Exchange) -> Any:
        raise Unavailable("store")


class Defect(Assertion):
    """Break."""

    name: ClassVar[str] = "probe.defect"

    def evaluate(self, exchange: Exchange) -> Any:
        raise ZeroDivisionError("a mistake of ours")


class Pause(Assertion):
    """Wait."""

    name: ClassVar[str] = "probe.pause"

    time: Duration = param("How long.", positional=True)

    async def evaluate(self, exchange: Exchange) -> Any:
        await exchange.environment.clock.sleep(self.time.seconds)


class Give(Assertion):
    """Give its argument in capitals."""

    name: ClassVar[str] = "probe.give"
    outputs: ClassVar[Mapping[str, t.Type]] = {"given": t.STRING}

    value: Expr[str] = param("What is given.", positional=True)

    async def evaluate(self, exchange: Exchange) -> Any:
        return self.value(exchange).upper()


PROBES = (Refuse, Error, Away, Defect, Pause, Give)


@cache
def catalog() -> Catalog:
    """The built-in assertions, and these as those of a plug-in."""
    known = load_catalog()
    return Catalog({**known.assertions, **{probe.name: card_of(probe) for probe in PROBES}}, known.functions)


def check(text: str, name: str, files: Mapping[str, bytes]) -> Checked:
    return check_text(text, name, files, {}, catalog=catalog())


# --- surroundings ----------------------------------------------------------------------------------


class Clock:
    """Nanoseconds; `jump` goes to the next timer."""

    def __init__(self) -> None:
        self.now = 0
        self.timers: list[tuple[int, int, Waiter[None]]] = []
        self.order = itertools.count()

    def monotonic(self) -> int:
        return self.now

    def wall(self) -> float:
        return self.now / 1e9

    def sleep(self, seconds: float) -> Waiter[None]:
        waiter: Waiter[None] = Waiter()
        heapq.heappush(self.timers, (self.now + round(seconds * 1e9), next(self.order), waiter))
        return waiter

    def jump(self) -> None:
        """Raises IndexError where nothing waits."""
        moment, _, waiter = heapq.heappop(self.timers)
        self.now = max(self.now, moment)
        waiter.fire(None)


class Store:
    """Answers at once, or from a coroutine, or after a wait that takes no time: in turn."""

    def __init__(self, clock: Clock, share: int = 1) -> None:
        self.states: dict[bytes, bytes] = {}
        self.away = False
        self.share = share
        self.alone = Store(clock, 2) if share == 1 else self
        self.clock = clock
        self.turn = 0

    @property
    def down(self) -> bool:
        return self.away

    @property
    def machine(self) -> Store:
        return self

    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision | Coroutine[Any, Any, Decision]:
        found = self.admit_all(key, [Limit(limit, window, burst)], now, cost, count)
        return found[0] if isinstance(found, tuple) else self._first(found)

    def admit_all(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1, count: bool = True
    ) -> tuple[Decision, ...] | Coroutine[Any, Any, tuple[Decision, ...]]:
        self.turn = (self.turn + 1) % 3
        if self.turn:
            return self._later(key, limits, now, cost, count)
        return self._decide(key, limits, now, cost, count)

    async def _first(self, waiting: Coroutine[Any, Any, tuple[Decision, ...]]) -> Decision:
        return (await waiting)[0]

    async def _later(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int, count: bool
    ) -> tuple[Decision, ...]:
        if self.turn == 2:
            await self.clock.sleep(0)
        return self._decide(key, limits, now, cost, count)

    def _decide(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int, count: bool
    ) -> tuple[Decision, ...]:
        if self.away:
            raise Unavailable("store")
        limits = [limit._replace(most=limit.most // self.share) for limit in limits]
        states = [self.states.get(key + limit.suffix) for limit in limits]
        found = [standing(state, *limit[:3], now, cost) for state, limit in zip(states, limits, strict=True)]
        if not count or not all(decision.admitted for decision in found):
            return tuple(found)
        decisions = []
        for state, (most, window, _, suffix) in zip(states, limits, strict=True):
            decision, changed = admit_window(state, most, window, now, cost)
            if changed is not None:
                self.states[key + suffix] = changed
            decisions.append(decision)
        return tuple(decisions)


class Body:
    """A body that is not held yet, and comes but once."""

    def __init__(self, data: bytes, too_large: int) -> None:
        self.data = data
        self.too_large = too_large
        self.gone = False

    async def collect(self, limit: int) -> bytes:
        assert not self.gone, "a body was read that nobody has kept"
        self.gone = len(self.data) <= limit
        if len(self.data) > limit:
            raise Failed(Failure("body-too-large", self.too_large, kind=Kind.REFUSAL))
        return self.data

    def bound(self, limit: int) -> bool:
        return not self.gone or len(self.data) <= limit


@dataclass
class Upstream:
    name: str
    environment: Environment

    async def send(self, exchange: Exchange, call: UpstreamCall) -> Response:
        request, environment = exchange.request, self.environment
        body = request.body
        if body is None:
            assert isinstance(request.source, Body)
            body = await request.source.collect(1 << 60 if request.limit is None else request.limit)
        environment.calls.append((
            self.name, request.method, request.path,
            None if request.query_string is None else request.query_string.decode(),
            sorted(texts(request.headers)), body, *what_is_asked(call),
        ))  # fmt: skip
        answer = environment.answers.pop(0) if len(environment.answers) > 1 else environment.answers[0]
        if isinstance(answer, str):
            status = 504 if answer == "upstream-timeout" else 502
            raise Failed(Failure(answer, status, kind=Kind.ERROR))
        return Response(answer.status, fields(answer.headers), *held_or_not(answer))


    def mirror(self, exchange: Exchange, call: UpstreamCall) -> None:
        request = exchange.request
        assert request.body is not None, "a copy of a request whose body is not held"
        self.environment.calls.append((
            f"copy to {self.name}", request.method, request.path,
            None if request.query_string is None else request.query_string.decode(),
            sorted(texts(request.headers)), request.body, *what_is_asked(call),
        ))  # fmt: skip


def what_is_asked(call: UpstreamCall) -> tuple[Any, ...]:
    target = None if call.target is None else call.target.decode()
    return target, call.timeout, call.method, call.host, call.retries


@dataclass
class Environment:
    clock: Clock = field(default_factory=Clock)
    answers: list[Any] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)
    logs: list[tuple[str, str]] = field(default_factory=list)
    defects: list[BaseException] = field(default_factory=list)
    name: str = "edge"
    version: str = "1"
    node: str = "n1"
    bodies: BodyLimits = field(default_factory=lambda: BodyLimits(body=3000, decoded=plain.MOST_DECODED))

    def __post_init__(self) -> None:
        self.store = Store(self.clock)
        store: Any = self.store
        self.entries = self.machine = MemoryEntries(self.clock, store)
        self.permits = MemoryPermits(self.clock, store)
        self.quotas = MemoryQuotas(store)
        self.caches = MemoryCaches(self.clock, store)
        self.under_way: list[tuple[int, list[Any]]] = []
        self.upstreams: dict[str, Upstream] = {}
        self.drawn = 0.0
        self.circuit = Circuits().get
        self.lines = Lines()

    def draw(self) -> float:
        return self.drawn

    def log(self, level: str, text: str, exchange: Exchange) -> None:
        self.logs.append((level, text))

    def defect(self, error: BaseException, exchange: Exchange) -> str:
        self.defects.append(error)
        return "defect-1"


def fields(headers: list[tuple[str, str]]) -> list[Field]:
    return [(name.lower().encode(), name.encode(), value.encode()) for name, value in headers]


def texts(headers: list[Field]) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode("utf-8", "surrogateescape")) for _, name, value in headers]


def held_or_not(message: plain.Message) -> tuple[bytes | None, BodySource | None]:
    return (None, Body(message.body, message.too_large)) if message.streams else (message.body, None)


# --- running ---------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What one exchange came to. `journal`: name, line, outcome."""

    status: int
    failure: str | None
    headers: list[tuple[str, str]]
    body: bytes
    journal: list[tuple[str, int, str]]
    logs: list[tuple[str, str]]
    limits: list[tuple[str, str]]
    calls: list[Any]
    defects: list[BaseException]
    is_problem: bool
    detail: str = ""


class Real:
    """A policy as the gateway runs it. Raises ValueError, with the diagnostics, where the checker refuses it."""

    def __init__(self, text: str, files: Mapping[str, bytes]) -> None:
        checked = check(text, "policy.pol", files)
        if checked.program is None:
            raise ValueError(checked.diagnostics)
        self.tree = compile_program(checked.program)
        self.make_journal: Callable[[Exchange], list[Any]] = lambda exchange: []
        self.environment = environment = Environment()
        environment.upstreams = {u.name: Upstream(u.name, environment) for u in checked.program.upstreams}

    def handle(self, message: Message) -> Answer:
        environment = self.environment
        environment.clock.now += round(message.later * 1e9)
        environment.answers, environment.store.away = list(message.answers), message.store_away
        environment.drawn = message.draw
        environment.calls, environment.logs, environment.defects = [], [], []
        given = message.request
        body, source = held_or_not(given)
        request = Request(
            given.method, given.path, None if given.query_string is None else given.query_string.encode(),
            fields(given.headers), host=given.host, id=given.id, body=body, source=source,
        )  # fmt: skip
        surroundings: Any = environment
        exchange = Exchange(request, Client(*message.client), surroundings, environment.clock.monotonic())
        exchange.journal = self.make_journal(exchange)
        response = drive(self.tree.handle(exchange), environment.clock)
        if response.body is None:
            assert isinstance(response.source, Body)
            response.body = response.source.data
        environment.under_way.append((message.outlasts, exchange.ends or []))
        for _, ends in [each for each in environment.under_way if each[0] == 0]:
            for end in ends:
                end()
        environment.under_way = [(left - 1, ends) for left, ends in environment.under_way if left > 0]
        failure = exchange.failure
        headers = texts(response.headers)
        return Answer(
            response.status, failure.name if failure else None,
            [pair for pair in headers if not pair[0].startswith(("RateLimit", "X-RateLimit"))], response.body,
            [(place.name, place.line, word_of(outcome)) for place, outcome in exchange.journal],
            environment.logs, [pair for pair in headers if pair[0] == "RateLimit"], environment.calls,
            environment.defects, any(value.startswith("application/problem") for _, value in headers),
            failure.detail if failure else "",
        )  # fmt: skip


def word_of(outcome: Any) -> str:
    if outcome is None:
        return "passed"
    return outcome.name if isinstance(outcome, Failure) else str(outcome)


def drive(coroutine: Coroutine[Waiter[Any], None, Response], clock: Clock) -> Response:
    """Runs it to its end; while it waits, time jumps."""
    while True:
        try:
            waiter = coroutine.send(None)
        except StopIteration as stop:
            result: Response = stop.value
            return result
        while not waiter.done:
            clock.jump()
