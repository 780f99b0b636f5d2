"""The journal; and what a compiled tree is: text, an end of every wait, no cycles."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tree_policies import UPSTREAMS, Policy

from policylang.check import check_text
from policylang.tree import CANCELLED, Tree, compile_program
from policylang.tree.describe import describe

EVERYTHING = """
    map clients, file: "clients.json"
    let office = ["10.0.0.0/8"]
    assertion known(key: string, least: number = 1) -> who {
        api_key key, in: map("clients") -> who
        require least == 1 or least > 3
    }
    global before { limit_size request, 1MB }
    global after { set response.header["X-After"] = "1" }
    service whole "/v1/{name}", "/v2/{name}", methods: ["GET", "POST"], host: "*.example" {
        let private secret_key = request.header["X-Key"] ?? "k1"
        known secret_key -> caller
        any {
            require client.ip in office
            all {
                set request.header["X-A"] = "a ${path.name}"
                require request.json.a == 1
            }
            rate_limit 10/s, per: [caller.id, path.name]
        }
        none {
            require request.path matches r"^/v3"
            all {
                tell.pause 1ms
                tell.refuse
            }
        }
        let list? = request.query.list
        for each in [1, 2.5, "x"] {
            tell.say "${each}"
        }
        parallel {
            tell.pause 1ms
            let other = if list == none then 1 else 2
        }
        match caller.tier {
            "gold", none -> ignore
            1..5 -> fail 403, "no", name: "not-this"
            else -> all {
                ignore
            }
        }
        try { route one, path: "/x/${path.name}" } catch e { route two }
        if response.status in 500..599 { fail 502 } else if list != none { remove response.header["X-B"] }
        on failure { respond 299, json: { name: failure.name, "x-y": [now, failure.line] } }
    }
"""
FILES = {"clients.json": b'{"k1": {"id": "ann", "tier": "gold"}}'}


def test_entries_in_the_order_they_end() -> None:
    answer = Policy("""
        let a = 1
        all {
            require true
            if a == 1 { any {
                tell.refuse
                tell.pause 1s
            } }
        }
        match a {
            1 -> set request.path = "/"
            else -> ignore
        }
        fail 403
    """).handle()
    assert answer.journal == [
        ("let", "passed"), ("require", "passed"), ("tell.refuse", "refused"), ("tell.pause", "passed"),
        ("any", "passed"), ("if", "passed"), ("all", "passed"), ("set", "passed"), ("match", "passed"),
        ("fail", "failed"),
    ]  # fmt: skip
    place = answer.exchange.journal[2][0]  # type: ignore[index]
    assert (place.file, place.line, place.column) == ("policy.pol", 7, 17)
    assert answer.failure is not None and answer.failure.span is not None
    assert (answer.failure.assertion, answer.failure.span.line) == ("fail", 15)


def test_every_statement_around_a_failure_fails_with_it() -> None:
    answer = Policy("all {\nfor x in [1] {\nif true { tell.defect }\n}\n}\nrespond 200").handle()
    assert answer.journal == [("tell.defect", "defect"), ("if", "defect"), ("for", "defect"), ("all", "defect")]


def test_the_innermost_place_is_the_failures_place() -> None:
    answer = Policy("all {\n  require request.json.a\n}\nrespond 200").handle()
    assert answer.failure is not None and answer.failure.span is not None
    assert (answer.failure.assertion, str(answer.failure.span)) == ("require", "policy.pol:3:3")


def test_what_is_given_up_is_journaled() -> None:
    policy = Policy("all {\nany {\ntell.pause 5s\nignore\n}\n}\nrespond 200")
    exchange = policy.exchange()
    coroutine = policy.tree.handle(exchange)
    coroutine.send(None)
    coroutine.close()
    assert [(place.name, outcome) for place, outcome in exchange.journal or ()] == [
        ("tell.pause", CANCELLED), ("any", CANCELLED), ("all", CANCELLED),
    ]  # fmt: skip


def test_no_journal_unless_it_is_asked_for() -> None:
    policy = Policy("tell.pause 1s\nrespond 200")
    exchange = policy.exchange()
    exchange.journal = None
    try:
        policy.tree.handle(exchange).send(None)
    except StopIteration:  # pragma: no cover
        pytest.fail("it does not wait")
    policy.environment.clock.advance(1)
    assert exchange.journal is None


def compiled() -> Tree:
    checked = check_text(EVERYTHING + UPSTREAMS, files=FILES)
    assert checked.program is not None, [(d.name, d.message) for d in checked.diagnostics]
    return compile_program(checked.program)


def test_a_tree_holds_no_cycles() -> None:
    compiled()  # caches fill
    checked = check_text(EVERYTHING + UPSTREAMS, files=FILES)
    assert checked.program is not None
    gc.collect()
    gc.disable()
    try:
        tree: Any = compile_program(checked.program)
        gc.collect()  # what compiling itself left behind
        del tree
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_evaluation_leaves_no_cycles() -> None:
    policy = Policy(EVERYTHING, files=FILES)
    requests = [
        {"path": "/v1/x", "headers": {"X-Key": key}, "body": body, "method": "POST"}
        for key in ("k1", "k2") for body in (b'{"a": 1}', b"")
    ]  # fmt: skip
    for request in requests:
        policy.handle(**request)
    gc.collect()
    gc.disable()
    try:
        for request in requests:
            policy.handle(**request)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_everything_at_once() -> None:
    policy = Policy(EVERYTHING, files=FILES)
    answer = policy.handle("POST", "/v1/x", headers={"X-Key": "k1"}, body=b'{"a": 1}')
    assert (answer.status, answer.body, answer.header("X-After")) == (200, b"one", "1")
    assert policy.one.calls[0].target == b"/x/x"
    unknown = policy.handle("POST", "/v1/x", headers={"X-Key": "k2"})
    assert unknown.status == 299
    assert unknown.json["name"] == "unknown-api-key"


def test_describe() -> None:
    text = describe(compiled())
    for part in (
        "service whole  /v1/{name}  /v2/{name}  GET POST  host *.example", "slots %0 secret_key",
        "let %0 secret_key: string = request.header[\"X-Key\"] ?? \"k1\"", "api_key key: %",
        "takes back request", "holds the request's body", "counter ", "1..5 ->", "catch %", "on failure",
        "set request.header[\"X-A\"] = \"a ${path.name}\"", "global before", "may wait", "1MB",
    ):  # fmt: skip
        assert part in text, (part, text)
    assert all(line == line.rstrip() for line in text.splitlines())


def test_describe_masks_private_constants() -> None:
    checked = check_text('let key = secret("KEY")\nservice s "/" {\nrequire request.method != key\nrespond 200\n}',
                         environ={"KEY": "s3cr3t"})  # fmt: skip
    assert checked.program is not None
    text = describe(compile_program(checked.program))
    assert "s3cr3t" not in text and "[private]" in text
