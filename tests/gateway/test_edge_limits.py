"""Every limit of a client is a setting: what the policy says is what the edge holds to, and each wait has its end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from policylang.check import check_text
from policylang.check.gateway_cards import Limits, Timeouts
from policylang.sdk import Exchange, Response, Waiter
from policylang.sdk.assertion import card_of
from runtime.edge.settings import EdgeSettings, edge_settings
from runtime.workers.settings import gateway_settings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Wire, bench, both_loops, request, run, say

TINY = {
    "limits": {
        "body": "10B", "decoded": "11B", "header": "300B", "request_line": "40B", "fields": "5",
        "chunk_extensions": "20B", "pipelined": "3", "connections": "2", "body_rate": "100B", "json_depth": "2",
        "xml_depth": "3", "xml_text": "12B",
    },
    "timeouts": {
        "header": "2s", "handshake": "3s", "idle": "4s", "request": "5s", "upgrade_idle": "6s", "upgrade_life": "7s",
        "drain": "8s", "drain_delay": "9s",
    },
}  # fmt: skip


def settings_of(**written: dict[str, str]) -> tuple[EdgeSettings, object]:
    lines = [f"{name} " + ", ".join(f"{key}: {text}" for key, text in keys.items()) for name, keys in written.items()]
    checked = check_text("\n".join(["gateway {", *lines, "}", 'service s "/" { respond 200 }']))
    assert checked.program is not None, checked
    return edge_settings(checked.program.gateway), gateway_settings(checked.program.gateway)


def tiny() -> EdgeSettings:
    return settings_of(**TINY)[0]


def test_each_limit_and_timeout_of_the_language_is_one_of_the_edge() -> None:
    for setting in (Limits, Timeouts):
        given = TINY[setting.name]
        assert set(given) == {param.name for param in card_of(setting).params}
        for name, text in given.items():
            assert settings_of(**{setting.name: {name: text}}) != settings_of(), name


def test_the_defaults_are_those_of_a_careful_edge() -> None:
    made = settings_of()[0]
    assert made == EdgeSettings() == edge_settings(())
    wire = made.wire
    assert (wire.header_bytes, wire.request_line, wire.fields, wire.chunk_extensions) == (32768, 8192, 100, 16384)
    assert (made.header, made.idle, made.request, made.handshake, made.body_rate) == (10, 60, 60, 10, 500)
    assert (made.pipelined, made.connections, made.bodies.body) == (16, 10_000, 10 << 20)
    assert (made.bodies.decoded, made.bodies.json_depth, made.bodies.xml_depth) == (10 << 20, 128, 128)
    assert (made.bodies.xml_text, made.upgrade_idle, made.upgrade_life) == (10 << 20, 300, 86_400)


# --- sizes ---


async def read(exchange: Exchange) -> Response:
    await exchange.request.load(exchange.environment.bodies)
    return say(200, exchange.request.body or b"")


REFUSED = [
    ("request_line", request("GET /" + "x" * 30), 414, "request-line-too-long"),
    ("header", request("GET /\nX: " + "x" * 280), 431, "head-too-large"),
    ("fields", request("GET /\n" + "\n".join(f"X: {number}" for number in range(5))), 431, "too-many-fields"),
    (
        "chunk_extensions",
        request("POST /\nTransfer-Encoding: chunked") + b"1;" + b"x" * 60 + b"\r\na\r\n0\r\n\r\n", 400,
        "chunk-extensions-too-long",
    ),
    ("body", request("POST /\nContent-Length: 11"), 413, "body-too-large"),
    ("body", request("POST /\nTransfer-Encoding: chunked") + b"b\r\n0123456789a\r\n", 413, "body-too-large"),
]  # fmt: skip


@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("name, data, status, failure", REFUSED, ids=[f"{row[0]}-{row[2]}" for row in REFUSED])
def test_what_is_larger_is_refused(name: str, data: bytes, status: int, failure: str, fast: bool) -> None:
    async def test() -> None:
        async with bench(read, settings=tiny(), bodies=tiny().bodies) as made:
            wire = await made.connect()
            assert (await wire.ask("POST /x\nA: 1\nB: 2", b"0123456789")).status == 200
            wire.send(data)
            answer = await wire.answer()
            assert answer.status == status and f"urn:polgate:{failure}".encode() in answer.body

    run(test, fast)


@both_loops
async def test_so_many_connections_and_no_more() -> None:
    async with bench(read, settings=tiny()) as made:
        held = [await made.connect() for _ in range(2)]
        await made.until(lambda: len(made.edge.connections) == 2)
        third = await made.connect()
        assert (await third.answer()).status == 503
        assert (await held[0].ask("GET /")).status == 200


# --- times: each wait has its end, and a byte now and then does not put it off ---


async def never(exchange: Exchange) -> Response:
    await Waiter()
    raise AssertionError("nobody fires it")


async def head(made: Bench, wire: Wire, step: int) -> None:
    wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " if step == 0 else b"x")


async def body(made: Bench, wire: Wire, step: int) -> None:
    wire.send(request("POST /\nContent-Length: 1000000") if step == 0 else b"x")


async def nothing(made: Bench, wire: Wire, step: int) -> None:
    pass


async def evaluation(made: Bench, wire: Wire, step: int) -> None:
    wire.send(request("GET /") if step == 0 else b"\r\n")


Step = Callable[[Bench, Wire, int], Coroutine[Any, Any, None]]
Handle = Callable[[Exchange], Coroutine[Any, Any, Response]]
WAITS: list[tuple[str, Handle, Step, int, bytes]] = [
    ("header", read, head, 2, b" 408 "),
    ("idle", read, nothing, 4, b""),
    ("request, while it is read", read, body, 5, b" 408 "),
    ("request, while it is decided", never, evaluation, 5, b" 504 "),
]


@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("name, handle, step, limit, said", WAITS, ids=[row[0] for row in WAITS])
def test_a_byte_now_and_then_puts_nothing_off(
    name: str, handle: Handle, step: Step, limit: int, said: bytes, fast: bool
) -> None:
    async def test() -> None:
        async with bench(handle, settings=tiny()) as made:
            wire = await made.connect()
            await made.until(lambda: made.edge.connections)
            for number in range(limit * 2 - 1):
                await step(made, wire, number)
                await asyncio.sleep(0.005)
                made.advance(0.5)
                assert not wire.reader.at_eof() and not wire.reader._buffer  # type: ignore[attr-defined]
            made.advance(1.0)
            if said:
                assert said in await wire.head()
            made.advance(2.2)
            made.advance(2.2)
            await made.until(lambda: not made.edge.connections)

    run(test, fast)


@both_loops
async def test_an_upload_that_is_passed_on_has_a_rate_and_no_end() -> None:
    async def take(wire: Wire) -> None:
        await wire.head()
        await wire.exactly(3000)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    settings = settings_of(limits={"body_rate": "10B"}, timeouts={"request": "5s"})[0]
    async with bench(up=take, settings=settings) as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 3000"))
        for _ in range(30):
            wire.send(b"x" * 100)
            await asyncio.sleep(0.005)
            made.advance(9)
        assert (await wire.answer()).status == 200
        wire.send(request("POST /\nContent-Length: 3000"))
        for _ in range(3):
            wire.send(b"x" * 60)
            await asyncio.sleep(0.005)
            made.advance(9)
        assert (await wire.answer()).status == 408


# --- the last answer ---


@both_loops
async def test_whoever_has_asked_for_more_before_the_gateway_parts_is_answered() -> None:
    asked: list[Waiter[None]] = []

    async def handle(exchange: Exchange) -> Response:
        waiter: Waiter[None] = Waiter()
        asked.append(waiter)
        await waiter
        return say(200, exchange.request.path.encode())

    async with bench(handle) as made:
        wire = await made.connect()
        wire.send(request("GET /1") + request("GET /2"))
        await made.until(lambda: asked)
        made.edge.parting = True
        wire.send(request("GET /3"))
        await asyncio.sleep(0.02)
        for number in range(3):
            while len(asked) <= number:
                await asyncio.sleep(0.001)
            asked[number].fire(None)
            answer = await wire.answer()
            assert answer.body == b"/%d" % (number + 1)
            assert answer["connection"] == ("close" if number == 2 else None)
        assert await wire.rest() == b""
        # who connects now is served, once
        wire = await made.connect()
        wire.send(request("GET /4"))
        await made.until(lambda: len(asked) == 4)
        asked[3].fire(None)
        assert (await wire.answer())["connection"] == "close"
        # what comes behind it does not destroy it: the connection ends gently
        wire.send(request("GET /5"))
        assert await wire.rest() == b""
