"""`circuit_breaker` in the tree, the registry of circuits, and calls of `route` that are made once."""

from __future__ import annotations

from typing import Any

import pytest

from policylang.check import check_text
from policylang.sdk import Exchange, Failure, UpstreamCall, Waiter
from policylang.sdk.bench import BenchEnvironment, StubUpstream, make_exchange, make_response, run
from policylang.sdk.circuit import CircuitSettings
from policylang.sdk.circuits import Circuits
from policylang.tree import compile_program
from policylang.tree.tree import Tree

UPSTREAMS = """
upstream one { server "http://127.0.0.1:9000" }
upstream two { server "http://127.0.0.1:9001" }
"""


def compiled(body: str) -> Tree:
    checked = check_text(UPSTREAMS + f'service s "/**" {{\n{body}\n}}')
    assert checked.program is not None, checked.diagnostics
    return compile_program(checked.program)


def statuses(tree: Tree, environment: BenchEnvironment, times: int) -> list[int]:
    return [run(tree.handle(make_exchange(environment)), environment.clock).status for _ in range(times)]


# --- the registry --------------------------------------------------------------------------------


def test_a_key_has_one_circuit_as_long_as_its_settings_stay() -> None:
    circuits = Circuits()
    circuit = circuits.get(b"a", CircuitSettings())
    assert circuits.get(b"a", CircuitSettings()) is circuit
    assert circuits.get(b"b", CircuitSettings()) is not circuit
    assert circuits.get(b"a", CircuitSettings(errors=0.1)) is not circuit
    assert circuits.get(b"a", CircuitSettings()) is not circuit


def test_those_asked_for_last_are_kept() -> None:
    circuits = Circuits(most=2)
    a, b = circuits.get(b"a", CircuitSettings()), circuits.get(b"b", CircuitSettings())
    assert circuits.get(b"a", CircuitSettings()) is a
    circuits.get(b"c", CircuitSettings())
    assert circuits.get(b"a", CircuitSettings()) is a
    assert circuits.get(b"b", CircuitSettings()) is not b


# --- around a block ------------------------------------------------------------------------------


def test_a_policy_that_is_loaded_again_keeps_its_circuits() -> None:
    text = "circuit_breaker requests: 2, errors: 1 { route one }"
    environment = BenchEnvironment(upstreams={"one": StubUpstream(make_response(500))})
    assert statuses(compiled(text), environment, 2) == [500, 500]
    assert statuses(compiled(text), environment, 1) == [503]
    assert statuses(compiled(text.replace("errors: 1", "errors: 0.9")), environment, 1) == [500]


class Never:
    """An upstream that does not answer."""

    async def send(self, exchange: Exchange, call: UpstreamCall) -> Any:
        await Waiter()

    def mirror(self, exchange: Exchange, call: UpstreamCall) -> None: ...


def test_whoever_goes_away_says_nothing_and_holds_no_probe() -> None:
    tree = compiled("circuit_breaker requests: 1, probes: 1, pause: 1s { route one }")
    stub = StubUpstream(make_response(500), make_response(200))
    environment = BenchEnvironment(upstreams={"one": stub})
    assert statuses(tree, environment, 2) == [500, 503]
    environment.clock.advance(1)
    environment.upstreams = {"one": Never()}
    leaving = tree.handle(make_exchange(environment))
    leaving.send(None)
    assert statuses(tree, environment, 1) == [503]  # one probe at a time
    leaving.close()
    environment.upstreams = {"one": stub}
    assert statuses(tree, environment, 2) == [200, 200]


def test_answers_of_before_and_of_our_own_are_no_failures() -> None:
    environment = BenchEnvironment(upstreams={"one": StubUpstream(make_response(500)), "two": StubUpstream()})
    own = compiled("circuit_breaker requests: 1 { respond 503 }")
    assert statuses(own, environment, 3) == [503, 503, 503]
    before = compiled('route one\ncircuit_breaker requests: 1 { log "x" }')
    assert statuses(before, environment, 3) == [500, 500, 500]


def test_surroundings_that_are_away_are_failures() -> None:
    tree = compiled("circuit_breaker requests: 2, errors: 1 {\nrate_limit 1/s\nroute one\n}")
    environment = BenchEnvironment(upstreams={"one": StubUpstream()})
    environment.store.down = True
    failures = []
    for _ in range(3):
        exchange = make_exchange(environment)
        run(tree.handle(exchange), environment.clock)
        assert isinstance(exchange.failure, Failure)
        failures.append(exchange.failure.name)
    assert failures == ["store-away", "store-away", "circuit-open"]


# --- calls ---------------------------------------------------------------------------------------


class Recording(StubUpstream):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[UpstreamCall] = []

    async def send(self, exchange: Exchange, call: UpstreamCall) -> Any:
        self.asked.append(call)
        return await super().send(exchange, call)


@pytest.mark.parametrize(
    "arguments",
    ["", 'path: "/x"', 'method: "PUT", host: "h"', 'path: "/x", query: { a: 1 }, timeout: 1s, retries: 2'],
)
def test_what_is_constant_is_made_once(arguments: str) -> None:
    upstream = Recording()
    environment = BenchEnvironment(upstreams={"one": upstream})
    statuses(compiled(f"route one{', ' if arguments else ''}{arguments}"), environment, 2)
    first, second = upstream.asked
    assert first is second


def test_a_query_goes_along_behind_a_written_path() -> None:
    upstream = Recording()
    environment = BenchEnvironment(upstreams={"one": upstream})
    tree = compiled('route one, path: "/x", method: "PUT", retries: 2, timeout: 1s')
    run(tree.handle(make_exchange(environment, path="/?a=1")), environment.clock)
    (call,) = upstream.asked
    assert (call.target, call.method, call.retries, call.timeout) == (b"/x?a=1", "PUT", 2, 1.0)


def test_a_body_is_held_for_the_copy_before_it_is_sent() -> None:
    for text in ("mirror two\nroute one", "route one\nmirror two", "parallel {\nmirror two\nlog \"x\"\n}\nroute one"):
        upstreams = {"one": StubUpstream(), "two": StubUpstream()}
        environment = BenchEnvironment(upstreams=upstreams)
        run(compiled(text).handle(make_exchange(environment, "POST", body=b"hello", streams=True)), environment.clock)
        assert [sent.body for sent in (*upstreams["one"].calls, *upstreams["two"].mirrored)] == [b"hello", b"hello"]
