"""What a shared cache must do, by the tests of others: an origin and a client of ours, the gateway between them.

The clocks are the gateway's, so that a pause takes no time.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from policylang.check import check_text
from policylang.sdk.memory import MemoryEntries, MemoryStore
from policylang.tree import compile_program

sys.path.insert(0, str(Path(__file__).parents[1] / "gateway"))
from edges import Answer, Bench, Wire, bench, run

from runtime.caches.worker_caches import WorkerCaches

SUITES = Path(os.environ.get("POLGATE_SUITES", Path(__file__).parents[3] / "shared/suites"))
TESTS = SUITES / "cache-tests" / "tests.json"
pytestmark = pytest.mark.skipif(not TESTS.exists(), reason=f"no conformance suites at {SUITES}: set POLGATE_SUITES")

POLICY = """
upstream up { server "http://127.0.0.1:9" }
service s "/**" {
    cache ttl: 1d, statuses: 200..599 { route up }
}
"""
PAUSE = 3.0
"""Seconds of the clock; what the tests take a pause for."""

NOT_YET = {
    "conditional-inm": "a stored answer is not compared with If-None-Match: the request gets it whole",
    "update304": "nothing that is stored is validated",
    "partial": "a part of a stored answer is not given: the request gets it whole",
    "cdn-cache-control": "CDN-Cache-Control (RFC 9213) is not read",
}
"""Groups whose tests are about what this cache does not do."""

OTHERWISE = {
    "headers-store-Set-Cookie": "an answer with Set-Cookie is never kept: it is for one",
    "headers-store-Transfer-Encoding": "an answer with that is refused by the rules of the wire",
    "heuristic-201-not_cached": "how long is the policy's word, not a guess: it says what statuses are kept",
    "heuristic-202-not_cached": "the same",
    "heuristic-403-not_cached": "the same",
    "heuristic-502-not_cached": "the same",
    "heuristic-503-not_cached": "the same",
    "heuristic-504-not_cached": "the same",
    "heuristic-599-not_cached": "the same",
    "stale-while-revalidate-window": "nothing stale is given, whatever the upstream would let pass (RFC 5861)",
}
"""Tests that we mean to fail, and why."""

BROWSERS = "browser_only"
VALIDATING = {"etag_validated", "lm_validated"}


def groups() -> list[Any]:
    return json.loads(TESTS.read_text()) if TESTS.exists() else []


def applicable() -> list[Any]:
    found = []
    for group in groups():
        for test in group["tests"]:
            if test.get("kind", "required") != "required" or test.get(BROWSERS) or group["id"] in NOT_YET:
                continue
            if any(one.get("expected_type") in VALIDATING for one in test["requests"]):
                continue  # of other groups, too
            found.append(pytest.param(test, id=test["id"]))
    return found


class Origin:
    """Answers the request of a number as its test says; numbers that it has seen, by the test's number."""

    def __init__(self, test: Any, made: list[Bench]) -> None:
        self.test = test
        self.made = made
        self.count = 0

    async def __call__(self, wire: Wire) -> None:
        while True:
            head = await wire.head()
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if length:
                await wire.exactly(int(length[0][15:]))
            self.count += 1
            number = int(head.lower().split(b"\r\nreq-num: ")[1].split(b"\r\n")[0])
            said = self.test["requests"][number]
            if said.get("disconnect"):
                wire.abort()
                return
            status, reason = said.get("response_status", [200, "OK"])
            body = said.get("response_body", f"body of {self.count}") or ""
            lines = [f"HTTP/1.1 {status} {reason}", f"Server-Request-Count: {self.count}"]
            for name, value, *_ in said.get("response_headers", []):
                lines.append(f"{name}: {self.value(value)}")
            names = {line.partition(":")[0].lower() for line in lines}
            if "transfer-encoding" in names:
                body = ""
            elif "content-length" in names:
                body = body[:10].ljust(10, "x")
            elif status not in (204, 304):
                lines.append(f"Content-Length: {len(body)}")
            wire.send(("\r\n".join(lines) + "\r\n\r\n" + ("" if status in (204, 304) else body)).encode("latin-1"))

    def value(self, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return formatdate(self.made[0].clock.wall() + value, usegmt=True)
        return str(value)


async def judged(test: Any) -> None:
    made: list[Bench] = []
    origin = Origin(test, made)
    checked = check_text(POLICY)
    assert checked.program is not None
    async with bench(compile_program(checked.program).handle, up=origin) as gate:
        made.append(gate)
        environment: Any = gate.edge.environment
        clock: Any = gate.clock
        environment.caches = WorkerCaches(MemoryEntries(clock, MemoryStore()), clock, True, print, gate.defects.append)
        wire = await gate.connect()
        for number, said in enumerate(test["requests"]):
            method = said.get("request_method", "GET")
            target = f"/{test['id']}" + (f"?{said['query_arg']}" if "query_arg" in said else "")
            lines = [f"{method} {target}", f"Req-Num: {number}"]
            lines += [f"{name}: {origin.value(value)}" for name, value, *_ in said.get("request_headers", [])]
            before = origin.count
            answer = await wire.ask("\n".join(lines), said.get("request_body", "").encode(), method)
            judge(said, answer, origin.count - before, number)
            if said.get("pause_after"):
                gate.advance(PAUSE)
                await asyncio.sleep(0)


def judge(said: Any, answer: Answer, asked: int, number: int) -> None:
    expected = said.get("expected_type")
    if expected == "cached":
        assert asked == 0, f"request {number} went to the origin"
    elif expected == "not_cached":
        assert asked == 1, f"request {number} was answered from the cache"
    if said.get("expected_status"):
        assert answer.status == said["expected_status"]
    for one in said.get("expected_response_headers", []):
        got = answer[one[0]]
        if len(one) == 3:
            assert got is not None and int(got) > one[2], one
        elif not isinstance(one[1], int):
            assert got == one[1], one
    for gone in said.get("expected_response_headers_missing", []):
        if isinstance(gone, str):
            assert answer[gone] is None, gone
        else:
            assert gone[1] not in (answer[gone[0]] or ""), gone


@pytest.mark.parametrize("test", applicable())
def test_a_required_test(test: Any) -> None:
    if test["id"] not in OTHERWISE:
        run(lambda: judged(test))
        return
    with pytest.raises((AssertionError, asyncio.IncompleteReadError)):
        run(lambda: judged(test))


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    assert set(NOT_YET) <= {group["id"] for group in groups()}
    assert set(OTHERWISE) <= {parameter.values[0]["id"] for parameter in applicable()}
    assert len(applicable()) > 110
