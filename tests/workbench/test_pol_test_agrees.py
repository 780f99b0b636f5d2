"""What a test is answered is what the tree answers: policies made at random are asked both ways."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from reference.generate import FILES, Generator
from reference.generate_messages import make_exchange
from reference.message import Request
from reference.real import catalog

from policylang.check import check_text
from policylang.diagnostics.text import render
from policylang.sdk.bench import BenchEnvironment, StubUpstream, make_response, run
from policylang.sdk.bench import make_exchange as bench_exchange
from policylang.testing.asked import whole
from policylang.testing.running import run as run_test
from policylang.testing.suite import load_suite
from policylang.testing.world import GATEWAY
from policylang.tree import compile_program

BODY = b'{"a":1,"items":[1,2]}'


def text_of(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")


def sendable(request: Request) -> bool:
    """Whether a test can write it down."""
    try:
        request.body.decode()
        return all(value.isprintable() for _, value in request.headers)
    except UnicodeDecodeError:
        return False


def asked(messages: list[Any]) -> str:
    lines = ['import "policy.pol"', 'test "it" {']
    for name in ("one", "two"):
        lines.append(f"    stub {name}, json: {{ a: 1, items: [1, 2] }}")
    for message in messages:
        request = message.request
        fields: dict[str, list[str]] = {}
        for name, value in request.headers:
            fields.setdefault(name, []).append(value)
        header = ", ".join(f"{text_of(name)}: [{', '.join(map(text_of, values))}]" for name, values in fields.items())
        query = "" if request.query_string is None else "?" + request.query_string
        body = f", body: {text_of(request.body.decode())}" if request.body else ""
        lines += [
            f"    advance {message.later}s",
            f"    send {text_of(request.method)}, {text_of(request.path + query)}, header: {{ {header} }}{body},",
            f"         from: {text_of(message.client[0])}, host: {text_of(request.host)}",
        ]
    return "\n".join([*lines, "}"])


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_the_runner_answers_as_the_tree_does(first: int) -> None:
    compared = sum(agrees(seed) for seed in range(first, first + 20))
    assert compared > 80, "too little is compared"


def agrees(seed: int) -> int:
    """How many answers of one generated policy are the same; 0 where the policy has a mistake."""
    maker = Generator(seed)
    policy = maker.policy()
    dice = Random(seed)
    messages = [each for each in (make_exchange(dice, maker.paths) for _ in range(8)) if sendable(each.request)]
    files = {**FILES, "policy.pol": policy.encode(), "policy_test.pol": asked(messages).encode()}
    checked = check_text(policy, "policy.pol", FILES, {}, catalog=catalog())
    if checked.program is None:
        return 0
    suite = load_suite("policy_test.pol", files.__getitem__, {}, catalog=catalog())
    assert suite.diagnostics == [], render(suite.diagnostics)
    got: list[Any] = []
    result = run_test(suite.tests[0], lambda tree, exchange: got.append(whole(exchange, answer(exchange))))
    expected = answers(checked.program, messages)
    assert [seen(each) for each in got] == [seen(each) for each in expected[: len(got)]], (result.findings, policy)
    assert len(got) == len(expected) or result.outcome == "broken"  # a defect that the policy asks for ends a test
    return len(got)


def answer(exchange: Any) -> Any:
    return exchange.response


def answers(program: Any, messages: list[Any]) -> list[Any]:
    tree = compile_program(program)
    stubs = {
        name: StubUpstream(lambda sent: make_response(200, BODY, {"Content-Type": "application/json"}, streams=True))
        for name in ("one", "two")
    }
    environment = BenchEnvironment(upstreams=stubs)
    environment.draw = Random(GATEWAY).random
    environment.name, environment.version, environment.node = "polgate", "test", GATEWAY
    found = []
    for number, message in enumerate(messages):
        request = message.request
        environment.clock.advance(message.later)
        headers = [*request.headers]
        if request.body and "content-length" not in [name.lower() for name, _ in headers]:
            headers.append(("Content-Length", str(len(request.body))))
        query = "" if request.query_string is None else "?" + request.query_string
        exchange = bench_exchange(
            environment, request.method, request.path + query, headers=headers, body=request.body, host=request.host,
            client=message.client[0], id=f"{number + 1:08x}",
        )  # fmt: skip
        response = run(tree.handle(exchange), environment.clock)
        found.append(whole(exchange, response))
        calls, exchange.ends = exchange.ends or (), None
        for call in calls:
            call()
    return found


def seen(response: Any) -> Any:
    return response.status, sorted(response.headers), response.body


def test_what_is_compiled_when_it_is_asked_for_answers_the_same() -> None:
    program = check_text(
        """
        service a "/a/{x}" {
            require path.x == "1"
            respond 200, body: path.x
            on failure { respond 203, body: failure.name }
        }
        service b "/b" { fail 409 }
        global before { deny_ip "10.0.0.0/8" }
        global after { set response.header["X-After"] = "yes" }
        """
    ).program
    assert program is not None
    lazy, eager = compile_program(program, at_once=False), compile_program(program)
    for path, address in (("/a/1", "192.0.2.1"), ("/a/2", "192.0.2.1"), ("/b", "192.0.2.1"), ("/b", "10.0.0.1")):
        said = [
            run(tree.handle(bench_exchange(BenchEnvironment(), path=path, client=address)))
            for tree in (lazy, eager)
        ]
        assert (said[0].status, said[0].headers, said[0].body) == (said[1].status, said[1].headers, said[1].body)
