"""Tokens for `Polgate-Trace`: who gets a journal for one, who is told why not, and who is told nothing."""

from __future__ import annotations

import base64
import contextlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.check import check_text
from policylang.sdk import Exchange
from policylang.sdk.bench import BenchEnvironment, make_exchange, run
from policylang.trace.document import document
from policylang.trace.reading import from_field
from policylang.tree import compile_program
from runtime.admin.messages import Refused
from runtime.trace.follower import LONGEST_QUEUE
from runtime.trace.tokens import LONGEST_LIFE, LONGEST_TOKEN, Grant, issue, read
from runtime.trace.tracing import BYTES_A_SECOND, Order, Tracing, asked_of, line_of
from runtime.workers.answers import Answers

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
POLICY = """
service orders "/orders/{id}" {
    require path.id != "0"
    respond 200, body: "one"
}
service hello "/hello" { respond 200, body: "hi" }
"""


class World:
    """A worker's tracing without a worker."""

    def __init__(self, key: bytes = KEY, policy: str = POLICY) -> None:
        self.environment = BenchEnvironment()
        self.clock = self.environment.clock
        program = check_text(policy).program
        assert program is not None
        self.hash = program.hash
        self.tree = compile_program(program)
        self.edge: Any = SimpleNamespace(
            handle=self.tree.handle, on_done=None, on_refused=None, traced=False, timing=False, grant=None, loop=None
        )
        self.said: list[str] = []
        self.tracing = Tracing(self.edge, self.clock, key, self.said.append, lambda error: pytest.fail(repr(error)))
        self.tracing.serve(program)

    def token(self, **arguments: str) -> str:
        answers = Answers(lambda error: pytest.fail(repr(error)))
        self.tracing.give(answers)
        sent: list[dict[str, Any]] = []
        answers.take({"id": 1, "what": "trace.token", "arguments": arguments}, sent.append)
        if "error" in sent[0]:
            raise Refused(sent[0]["error"]["status"], sent[0]["error"]["name"], sent[0]["error"]["detail"])
        assert sent[0]["result"]["policy"] == self.hash
        token: str = sent[0]["result"]["token"]
        return token

    def ask(self, token: str, path: str = "/orders/7") -> dict[str, bytes]:
        """What the answer's head says of journals."""
        exchange = make_exchange(self.environment, "GET", path)
        granted = self.edge.grant(exchange, token.encode())
        assert (exchange.journal is not None) == (granted is not None and not hasattr(granted, "why"))
        response = run(self.tree.handle(exchange), self.clock)
        if granted is None:
            return {}
        fields = granted.fields(exchange, response.status)
        self.end(exchange)
        return {name.decode(): value for _, name, value in fields}

    @staticmethod
    def end(exchange: Exchange) -> None:
        for call in exchange.ends or ():
            call()


def test_a_token_gives_the_journal_of_whatever_became_of_the_request() -> None:
    world = World()
    token = world.token()
    for path, status, service in (
        ("/orders/7", 200, "orders"), ("/orders/0", 403, "orders"), ("/hello", 200, "hello"), ("/none", 404, ""),
    ):  # fmt: skip
        told = world.ask(token, path)
        journal = from_field(told["Polgate-Journal"].decode())
        assert (journal["status"], journal["service"], journal["policy"]) == (status, service, world.hash)
        assert told["Cache-Control"] == b"no-store"
        assert set(told) == {"Polgate-Journal", "Cache-Control"}
        assert [entry["word"] for entry in journal["entries"]] == {
            "orders": ["require", "respond"][: 1 + (status == 200)], "hello": ["respond"], "": [],
        }[service]  # fmt: skip


def test_a_token_of_one_service_tells_nothing_of_another() -> None:
    world = World()
    token = world.token(service="orders")
    assert "Polgate-Journal" in world.ask(token, "/orders/7")
    for path in ("/hello", "/none"):
        assert world.ask(token, path) == {"Polgate-Trace": b"other-service"}


def test_a_token_expires() -> None:
    world = World()
    token = world.token(**{"for": "90"})
    assert world.said == ["an operator has got a token for journals, good for 90 s"]
    world.clock.advance(89.9)
    assert "Polgate-Journal" in world.ask(token)
    world.clock.advance(0.2)
    assert world.ask(token) == {"Polgate-Trace": b"expired"}


def test_what_became_of_tokens_is_counted() -> None:
    world = World()
    tokens = [world.token(), world.token(service="hello"), world.token(**{"for": "1"}), "forged", "forged"]
    world.clock.advance(1.5)
    for token in [*tokens, World(policy=POLICY.replace("hi", "ho")).token()]:
        world.ask(token)
    assert {outcome: count for (_, outcome), count in world.tracing.counted.items()} == {
        "told": 1, "other-service": 1, "expired": 1, "other-policy": 1, "unknown": 2,
    }  # fmt: skip


def test_a_clock_that_is_set_back_makes_no_token_live_for_longer() -> None:
    later = Grant("", "p", int(2e9) + LONGEST_LIFE)
    assert later.void("p", 2e9) == "" and later.void("p", 2e9 - 3600) == "expired"


def test_a_token_is_for_the_policy_that_it_was_issued_for() -> None:
    token = World().token()
    assert World(policy=POLICY.replace("hi", "ho")).ask(token) == {"Polgate-Trace": b"other-policy"}


def test_the_token_of_another_gateway_is_as_none() -> None:
    assert World().ask(World(key=OTHER_KEY).token()) == {}


def test_without_a_key_nobody_is_asked_about_tokens() -> None:
    assert World(key=b"").edge.grant is None


def test_what_is_cut_or_changed_is_as_none() -> None:
    world = World()
    token = world.token(service="orders")
    payload, _, signature = token.partition(".")
    for end in range(len(token)):
        assert world.ask(token[:end]) == {}
    for place in range(len(token)):
        assert world.ask(token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]) == {}
    all_services = base64.urlsafe_b64encode(json.dumps(["", world.hash, 9_999_999_999]).encode()).decode().rstrip("=")
    for forged in (
        f"{all_services}.{signature}", f"{payload}.", f".{signature}", ".", f"{token}=", f"{token} ", f" {token}",
        f"{token}, {token}", f"{payload}.{signature}.{signature}", token.swapcase(),
    ):  # fmt: skip
        assert world.ask(forged) == {}


@given(st.binary(max_size=200))
def test_whatever_else_is_shown_is_as_none(token: bytes) -> None:
    assert read(KEY, token) is None


@given(st.text(max_size=50), st.integers(0, 1 << 40))
def test_what_is_issued_is_what_is_read(service: str, until: int) -> None:
    try:
        service.encode()
    except UnicodeEncodeError:
        service = ""
    grant = Grant(service, "0123456789ab", until)
    token = issue(KEY, grant).encode()
    assert read(KEY, token) == grant and read(OTHER_KEY, token) is None
    assert len(token) <= LONGEST_TOKEN and b"." in token and token.isascii()


@pytest.mark.parametrize("arguments, said", [
    ({"service": "order"}, "the policy has no service `order`: did you mean `orders`?"),
    ({"for": "0"}, "a token is good for 1 to 3600 seconds"),
    ({"for": "3601"}, "a token is good for 1 to 3600 seconds"),
    ({"for": "10m"}, "a token is good for 1 to 3600 seconds"),
    ({"for": "9" * 20}, "a token is good for 1 to 3600 seconds"),
])  # fmt: skip
def test_what_is_not_issued(arguments: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match="^" + said.replace("?", r"\?") + "$"):
        World().token(**arguments)


def test_a_parameter_that_somebody_authenticates_by_is_hidden_however_it_is_written() -> None:
    policy = """
map clients, file: "clients.json"
service a "/a" {
    api_key request.query["ApiToken"], in: map("clients") -> caller
    respond 200
}
"""
    program = check_text(policy, files={"clients.json": b'{"key-of-ann-1": {"id": "ann"}}'}).program
    assert program is not None
    exchange = make_exchange(BenchEnvironment(), "GET", "/a?ApiToken=key-of-ann-1&size=1")
    run(compile_program(program).handle(exchange), BenchEnvironment().clock)
    assert document(exchange, program)["request"]["query"] == "ApiToken=[private]&size=1"
    for text, refused in (('request.query["ApiToken"] == "x"', True), ('request.query.size == "1"', False)):
        with pytest.raises(Refused) if refused else contextlib.nullcontext():
            asked_of(program, Order(1, text, "a"))


@pytest.mark.parametrize("size", [10, 300, 2000, 5000])
def test_no_journal_is_too_long_for_a_followers_queue(size: int) -> None:
    entries = [{"number": number, "reads": {"a": "x" * size}} for number in range(1000)]
    line = line_of({"entries": entries})
    told = json.loads(line)
    cut = told.get("cut", {"entries": 0, "after": 0})
    assert len(line) <= BYTES_A_SECOND < LONGEST_QUEUE and len(told["entries"]) + cut["entries"] == 1000
    assert (len(line) > BYTES_A_SECOND * 0.9) == ("cut" in told) == (size > 300)
    numbers = [entry["number"] for entry in told["entries"]]
    after = cut["after"]
    assert numbers == [*range(after), *range(after + cut["entries"], 1000)]
