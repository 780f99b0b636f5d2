"""Which bodies are held, and when."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tree_policies import UNREACHABLE, Policy

from policylang.sdk import BodyLimits
from policylang.sdk.bench import make_response, run


def collected(policy: Policy) -> int:
    """Whether the request's body was in memory when it went upstream."""
    held: list[bool] = []

    def answer(sent: Any) -> Any:
        held.append(exchange.request.body is not None)
        return make_response(200)

    policy.one.answers = [answer]
    exchange = policy.exchange("POST", body=b'{"a": 1}', streams=True)
    run(policy.tree.handle(exchange), policy.environment.clock)
    return int(held[0])


@pytest.mark.parametrize(
    ("body", "held"),
    [
        ("route one", 0),
        ("require request.json.a == 1\nroute one", 1),
        ("route one\nrequire request.json.a == 1", 1),
        ("route one\nroute two", 1),
        ("route one else route two", 1),
        ("any {\nroute one\nroute two\n}", 1),
        ("try { route one } catch { route two }", 1),
        ("for each in [1] {\nroute one\n}\nrespond 200", 1),
        ("limit_size request, 1MB\nroute one", 0),
        ("limit_size request, 1MB\nroute one\nrequire response.status == 200", 0),
        ("if request.path == \"/x\" { require request.json.a == 1 }\nroute one", 0),
        ("route one\nif request.path == \"/x\" { require request.json.a == 1 }", 1),
        ("match request.path {\n\"/x\" -> require request.json.a == 1\nelse -> ignore\n}\nroute one", 0),
        ("if request.path == \"/\" { ignore } else if request.json.a == 1 { ignore }\nroute one", 0),
        ("if request.path == \"/x\" { ignore } else if request.json.a == 1 { ignore }\nroute one", 1),
        ("let a = jsonpath(\"$.a\", in: request)\nroute one", 1),
        ("any {\ntell.refuse\nrequire request.json.a == 1\n}\nroute one", 1),
        ("parallel {\nrequire request.json.a == 1\nrequire request.text != \"\"\n}\nroute one", 1),
    ],
)  # fmt: skip
def test_a_body_is_held_where_it_is_read_or_sent_again(body: str, held: int) -> None:
    assert collected(Policy(body)) == held


def test_globals_and_on_failure_count() -> None:
    service = 'service s "/**" {\nroute one\n'
    assert collected(Policy("global after { require request.json.a == 1 }\n" + service + "}")) == 1
    assert collected(Policy(service + "on failure { route two }\n}")) == 1
    assert collected(Policy("global after { require response.status == 200 }\n" + service + "}")) == 0


def test_a_second_attempt_sends_the_same_body() -> None:
    policy = Policy("route one else route two")
    policy.one.answers = [UNREACHABLE]
    assert policy.handle("POST", body=b"abc", streams=True).body == b"two"
    assert policy.two.calls[0].body == b"abc"


def test_a_response_is_held_where_it_is_read() -> None:
    for statement, held in (
        ("", False), ("require response.status == 200", False), ('require response.text == "x"', True),
    ):  # fmt: skip
        policy = Policy(f"route one\n{statement}")
        policy.one.answers = [make_response(200, b"x", streams=True)]
        answer = policy.handle()
        assert (answer.status, answer.response.body is not None) == (200, held)


def test_limits() -> None:
    policy = Policy("require request.text != \"\"\nroute one\nrequire response.text != \"\"")
    policy.environment.bodies = BodyLimits(body=4)
    assert policy.handle("POST", body=b"12345", streams=True).name == "body-too-large"
    assert policy.handle("POST", body=b"12345").status == 413
    policy.one.answers = [make_response(200, b"12345", streams=True)]
    answer = policy.handle("POST", body=b"1234", streams=True)
    assert (answer.status, answer.name) == (502, "body-too-large")
    kept = Policy("limit_size request, 2B\nrequire request.text != \"\"\nroute one")
    assert kept.handle("POST", body=b"12345", streams=True).status == 413


def test_a_body_that_could_not_be_held_fails_where_it_is_read() -> None:
    policy = Policy("any {\nrequire request.json.a == 1\nrequire request.text == \"\"\nignore\n}\nrespond 200")
    policy.environment.bodies = BodyLimits(body=4)
    answer = policy.handle("POST", body=b"12345", streams=True)
    assert answer.status == 200
    assert answer.journal[:2] == [("require", "body-too-large"), ("require", "body-too-large")]
    assert policy.environment.defects == []
