"""Policies as text, evaluated on the sdk's bench, with assertions that do as they are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from policylang.catalog import load_catalog
from policylang.check import check_text
from policylang.sdk import (
    Assertion,
    Duration,
    Exchange,
    Expr,
    Failure,
    Key,
    Kind,
    Principal,
    Response,
    Unavailable,
    card_of,
    param,
)
from policylang.sdk import static_types as t
from policylang.sdk.bench import BenchEnvironment, StubUpstream, make_exchange, make_response, run
from policylang.tree import compile_program

UPSTREAMS = """
upstream one {
    server "http://127.0.0.1:9001"
}
upstream two {
    server "http://127.0.0.1:9002"
}
"""


class Refuse(Assertion):
    """Refuse, with a challenge where one is given."""

    name: ClassVar[str] = "tell.refuse"
    failures: ClassVar[Mapping[str, int]] = {"refused": 401}

    challenge: str = param("The challenge.", default='""', positional=True)

    def evaluate(self, exchange: Exchange) -> Any:
        return self.failure("refused", headers=(("WWW-Authenticate", self.challenge),) if self.challenge else ())


class Error(Assertion):
    """Fail without having said no."""

    name: ClassVar[str] = "tell.error"
    errors: ClassVar[Mapping[str, int]] = {"broken": 400}

    def evaluate(self, exchange: Exchange) -> Any:
        return self.failure("broken")


class Away(Assertion):
    """Miss its surroundings."""

    name: ClassVar[str] = "tell.away"

    async def evaluate(self, exchange: Exchange) -> Any:
        raise Unavailable("key set", "10.0.0.7 refused", retry_after=3)


class Defect(Assertion):
    """Break."""

    name: ClassVar[str] = "tell.defect"

    def evaluate(self, exchange: Exchange) -> Any:
        raise ZeroDivisionError("a mistake of ours")


class Careless(Assertion):
    """Give what it has not declared."""

    name: ClassVar[str] = "tell.careless"

    def evaluate(self, exchange: Exchange) -> Any:
        return False


class Pause(Assertion):
    """Wait."""

    name: ClassVar[str] = "tell.pause"

    time: Duration = param("How long.", positional=True)

    async def evaluate(self, exchange: Exchange) -> Any:
        await exchange.environment.clock.sleep(self.time.seconds)


class Login(Assertion):
    """Say who it is."""

    name: ClassVar[str] = "tell.login"
    effects: ClassVar[frozenset[str]] = frozenset({"user"})

    id: Expr[str] = param("The name.", positional=True)

    def evaluate(self, exchange: Exchange) -> Any:
        exchange.user = Principal(self.id(exchange), ("a", "b"), {"tier": "gold"})


class Both(Assertion):
    """Give two outputs."""

    name: ClassVar[str] = "tell.both"
    outputs: ClassVar[Mapping[str, t.Type]] = {"first": t.STRING, "second": t.NUMBER.maybe()}

    value: Expr[str] = param("What is given.", positional=True)

    async def evaluate(self, exchange: Exchange) -> Any:
        value = self.value(exchange)
        return (value, len(value)) if value != "wrong" else (None, 1)


class KeyOf(Assertion):
    """Give a key in hexadecimal digits."""

    name: ClassVar[str] = "tell.key"
    outputs: ClassVar[Mapping[str, t.Type]] = {"hex": t.STRING}

    per: Expr[Key] = param("What is counted.", positional=True)

    def evaluate(self, exchange: Exchange) -> Any:
        return self.per(exchange).hex()


class Around(Assertion):
    """Log before and after a block, and refuse where it failed."""

    name: ClassVar[str] = "tell.around"
    failures: ClassVar[Mapping[str, int]] = {"around-refused": 409}
    takes_block: ClassVar[bool] = True

    hides: bool = param("Whether it refuses in the block's place.", default="false")

    async def evaluate(self, exchange: Exchange, block: Any = None) -> Any:
        exchange.environment.log("info", "before", exchange)
        outcome = await block(exchange)
        exchange.environment.log("info", "passed" if outcome is None else "not", exchange)
        return self.failure("around-refused") if self.hides and isinstance(outcome, Failure) else outcome


class Say(Assertion):
    """Log a text."""

    name: ClassVar[str] = "tell.say"
    observes: ClassVar[bool] = True

    text: Expr[str] = param("The text.", positional=True, shown=True)

    def evaluate(self, exchange: Exchange) -> Any:
        exchange.environment.log("info", self.text(exchange), exchange)


for probe in (Refuse, Error, Away, Defect, Careless, Pause, Login, Both, KeyOf, Around, Say):
    load_catalog().assertions[probe.name] = card_of(probe)


class Answer:
    """What one exchange came to. `journal`: (name, outcome or the failure's name)."""

    def __init__(self, response: Response, exchange: Exchange) -> None:
        self.response = response
        self.exchange = exchange
        self.status = response.status
        self.body = response.body
        self.failure = exchange.failure
        self.name = exchange.failure.name if exchange.failure is not None else ""

    @property
    def json(self) -> Any:
        return orjson.loads(self.body or b"")

    def header(self, name: str) -> str | None:
        return self.response.header(name.lower().encode())

    def headers(self, name: str) -> list[str]:
        return self.response.header_values(name.lower().encode())

    @property
    def journal(self) -> list[tuple[str, str]]:
        return [(place.name, word_of(outcome)) for place, outcome in self.exchange.journal or ()]


def word_of(outcome: Any) -> str:
    if outcome is None:
        return "passed"
    return outcome.name if isinstance(outcome, Failure) else str(outcome)


class Policy:
    """`text` is a service's body unless it declares one. `one`, `two`: the upstreams' stubs."""

    def __init__(self, text: str, *, files: Mapping[str, bytes] | None = None) -> None:
        if "service " not in text:
            text = 'service s "/**" {\n' + text + "\n}"
        checked = check_text(text + UPSTREAMS, files=dict(files or {}))
        if checked.program is None:
            raise ValueError([(each.name, each.message, each.help) for each in checked.diagnostics])
        self.tree = compile_program(checked.program)
        self.one = StubUpstream(make_response(200, b"one", {"X-From": "one"}))
        self.two = StubUpstream(make_response(200, b"two", {"X-From": "two"}))
        self.environment = BenchEnvironment(upstreams={"one": self.one, "two": self.two})

    def exchange(self, method: str = "GET", path: str = "/", **request: Any) -> Exchange:
        return make_exchange(self.environment, method, path, journal=True, **request)

    def handle(self, method: str = "GET", path: str = "/", **request: Any) -> Answer:
        exchange = self.exchange(method, path, **request)
        return Answer(run(self.tree.handle(exchange), self.environment.clock), exchange)


def value_of(expression: str, **request: Any) -> Any:
    """What an expression gives, through `respond … json:`; a failure's name and status where it fails."""
    answer = Policy(f"respond 200, json: {expression}").handle(**request)
    return answer.json if not answer.name else (answer.name, answer.status)


UNREACHABLE = Failure("upstream-unreachable", 502, kind=Kind.ERROR)
