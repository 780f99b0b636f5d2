"""Connections to upstreams: kept, shared out, repeated where that is safe, given up in time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policylang.sdk import BodyLimits, Exchange, Response, UpstreamCall
from runtime.upstream.resolve import Found, Names, use_names
from runtime.upstream.settings import RetrySettings, ServerAddress, UpstreamSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import OK, Origin, Wire, bench, both_loops, failure, forward, replying, request, run, say, to, unused_port

# --- kept connections ---


@both_loops
async def test_a_kept_connection_is_closed_after_its_time() -> None:
    async with bench() as made:
        wire = await made.connect()
        for _ in range(3):
            await wire.ask("GET /")
            made.advance(3)
        assert len(made.origins["up"].wires) == 1
        made.advance(1.3)
        assert made.pools["up"].open == 0
        assert (await wire.ask("GET /")).status == 200
        assert len(made.origins["up"].wires) == 2


@both_loops
async def test_bytes_on_an_idle_connection_close_it() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(OK)
        await asyncio.sleep(0.02)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await wire.rest()

    async with bench(up=script) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /")).body == b"ok"
        await made.until(lambda: made.pools["up"].open == 0)
        assert (await wire.ask("GET /")).body == b"ok"
        assert len(made.origins["up"].wires) == 2


@both_loops
async def test_bytes_behind_an_answer_are_nobody_s_answer() -> None:
    async with bench(up=replying(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")) as made:
        wire = await made.connect()
        for _ in range(3):
            assert (await wire.ask("GET /")).body == b"ok"
        assert len(made.origins["up"].wires) == 3


@both_loops
async def test_an_upstream_that_says_close_is_believed() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with bench(up=replying(closing)) as made:
        wire = await made.connect()
        for _ in range(2):
            answer = await wire.ask("GET /")
            assert (answer.body, answer["connection"]) == (b"ok", None)
        assert len(made.origins["up"].wires) == 2


@both_loops
async def test_an_answer_before_the_request_s_end_forbids_reuse() -> None:
    async def script(wire: Wire) -> None:
        head = await wire.head()
        if b"POST" in head:
            wire.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
            await wire.rest()
        else:
            wire.send(OK)
            await wire.rest()

    async with bench(up=script) as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 100000"), b"x" * 10)
        answer = await wire.answer()
        assert (answer.status, answer["connection"]) == (413, "close")
        await made.until(lambda: made.pools["up"].open == 0)
        wire = await made.connect()
        assert (await wire.ask("GET /")).body == b"ok"


# --- stale ones ---


def dying_after_one() -> Callable[[Wire], Coroutine[Any, Any, None]]:
    """Answers one request; the next one on the connection is read, and the connection dies without a byte."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(OK)
        await wire.head()
        wire.abort()

    return script


@both_loops
async def test_a_stale_connection_costs_nobody_an_answer() -> None:
    async with bench(up=dying_after_one()) as made:
        wire = await made.connect()
        for number in range(4):
            answer = await wire.ask("PUT /", b"x") if number % 2 else await wire.ask("GET /")
            assert answer.body == b"ok"
        assert len(made.origins["up"].wires) == 4


@both_loops
async def test_what_must_not_be_done_twice_is_not_repeated() -> None:
    async with bench(up=dying_after_one()) as made:
        wire = await made.connect()
        assert (await wire.ask("POST /", b"x")).body == b"ok"
        assert (await wire.ask("POST /", b"x")).status == 502
        assert failure(made) == ("upstream-broken", 502)
        assert len(made.origins["up"].wires) == 1


@both_loops
async def test_a_body_that_has_gone_is_not_repeated() -> None:
    async with bench(up=dying_after_one()) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /")).body == b"ok"
        wire.send(request("PUT /\nContent-Length: 5"), b"ab")
        answer = await wire.answer()
        assert answer.status == 502


@both_loops
async def test_a_repetition_is_not_repeated() -> None:
    count = 0

    async def script(wire: Wire) -> None:
        nonlocal count
        count += 1
        await wire.head()
        if count == 1:
            wire.send(OK)
            await wire.head()
        wire.abort()

    origin = await Origin(script).start()
    async with bench(up=to(origin, retries=RetrySettings(0))) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /")).body == b"ok"
        assert (await wire.ask("GET /")).status == 502
        assert count == 2
    await origin.stop()


@both_loops
async def test_half_an_answer_is_not_repeated() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(OK)
        await wire.head()
        wire.send(b"HTTP/1.1 2")
        await wire.writer.drain()
        await asyncio.sleep(0.01)

    async with bench(up=script) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /")).body == b"ok"
        assert (await wire.ask("GET /")).status == 502
        assert len(made.origins["up"].wires) == 1


# --- answers that are none ---


@both_loops
async def test_broken_answers_are_502_and_poison_nothing() -> None:
    answers = (
        b"nonsense\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"",
    )
    for answer in answers:

        async def script(wire: Wire, answer: bytes = answer) -> None:
            await wire.head()
            wire.send(answer)
            await wire.writer.drain()

        async with bench(up=script) as made:
            wire = await made.connect()
            assert (await wire.ask("GET /")).status == 502, answer[:40]
            assert failure(made) == ("upstream-broken", 502)
            await made.until(lambda pool=made.pools["up"]: pool.open == 0)
            assert (await wire.ask("GET /")).status == 502


@both_loops
async def test_an_answer_that_breaks_off_is_cut() -> None:
    for framing in ("Content-Length: 10", "Transfer-Encoding: chunked"):

        async def script(wire: Wire, framing: str = framing) -> None:
            await wire.head()
            body = b"abc" if "L" in framing else b"3\r\nabc\r\n"
            wire.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode() + body)
            await wire.writer.drain()
            await asyncio.sleep(0.02)

        async with bench(up=script) as made:
            wire = await made.connect()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await wire.ask("GET /")
            assert failure(made) == ("upstream-broken", 502)
            assert made.done[0][1] == 200


@both_loops
async def test_bad_chunks_in_a_streaming_answer_cut_it() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.02)
        wire.send(b"zz\r\n")
        await wire.rest()

    async with bench(up=script) as made:
        wire = await made.connect()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await wire.ask("GET /")
        await made.until(lambda: made.pools["up"].open == 0)


@both_loops
async def test_an_answer_over_its_limit_is_cut_or_502() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n")
        await asyncio.sleep(0.02)
        wire.send(b"6\r\nabcdef\r\n0\r\n\r\n")
        await wire.rest()

    async def held(exchange: Exchange) -> Response:
        response = await forward(exchange)
        if exchange.request.path == "/held":
            await response.load(BodyLimits(body=10))
        else:
            response.limit_body(10)
        return response

    async with bench(held, up=script) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /held")).status == 502
        assert failure(made) == ("body-too-large", 502)
        wire = await made.connect()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await wire.ask("GET /streamed")
        await made.until(lambda: made.pools["up"].open == 0)


# --- routes more than one ---


@both_loops
async def test_an_answer_that_is_not_used_is_given_up() -> None:
    async def endless(wire: Wire) -> None:
        while True:
            await wire.head()
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            await wire.rest()

    async def handle(exchange: Exchange) -> Response:
        first = await forward(exchange)
        assert first.body is None
        if exchange.request.path == "/respond":
            return say(200, b"mine")
        exchange.response = await exchange.environment.upstreams["other"].send(exchange, UpstreamCall())
        return exchange.response

    async with bench(handle, up=endless, other=Origin()) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /respond")).body == b"mine"
        await made.until(lambda: made.pools["up"].open == 0)
        assert (await wire.ask("GET /again")).body.startswith(b"GET /again")
        await made.until(lambda: made.pools["up"].open == 0)


@both_loops
async def test_a_held_body_goes_to_two_upstreams() -> None:
    async def handle(exchange: Exchange) -> Response:
        await exchange.request.load(BodyLimits())
        await forward(exchange)
        return await exchange.environment.upstreams["other"].send(exchange, UpstreamCall())

    async with bench(handle, up=Origin(), other=Origin()) as made:
        wire = await made.connect()
        assert (await wire.ask("POST /", b"abc")).body.endswith(b"\r\n\r\nabc")
        assert made.origins["up"].seen and made.origins["other"].seen


# --- servers that are not there ---


@both_loops
async def test_a_server_that_refuses_is_502() -> None:
    async with bench(up=UpstreamSettings((ServerAddress("127.0.0.1", unused_port()),))) as made:
        answer = await (await made.connect()).ask("GET /")
        assert answer.status == 502
        assert failure(made) == ("upstream-unreachable", 502)
        assert made.pools["up"].open == 0


@both_loops
async def test_the_next_server_is_asked_where_one_refuses() -> None:
    origin = await Origin().start()
    settings = to(origin)
    settings = replace(settings, servers=(ServerAddress("127.0.0.1", unused_port()), *settings.servers))
    async with bench(up=settings) as made:
        wire = await made.connect()
        for _ in range(4):
            made.advance(5)
            assert (await wire.ask("POST /", b"x")).status == 200
    await origin.stop()


@both_loops
async def test_a_name_without_an_address_is_502() -> None:
    for name in ("nowhere.invalid", "a" * 70 + ".example", "a..b"):
        async with bench(up=UpstreamSettings((ServerAddress(name, 80),))) as made:
            assert (await (await made.connect()).ask("GET /")).status == 502
            assert failure(made) == ("upstream-unreachable", 502)


@both_loops
async def test_a_name_is_resolved() -> None:
    origin = await Origin().start()
    async with bench(up=UpstreamSettings((ServerAddress("localhost", origin.port),))) as made:
        assert (await (await made.connect()).ask("GET /")).status == 200
    await origin.stop()


def test_a_resolver_that_does_not_answer_has_a_deadline() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()

        async def never(host: str) -> Found:
            asked.set()
            await asyncio.sleep(3600)
            raise AssertionError

        use_names(loop, Names(loop, never))
        async with bench(
            up=UpstreamSettings((ServerAddress("slow.example", 80),), retries=RetrySettings(0))
        ) as made:
            wire = await made.connect()
            wire.send(request("GET /"))
            await asked.wait()
            made.advance(5.3)
            assert (await wire.answer()).status == 504
            assert failure(made) == ("upstream-timeout", 504)
            assert made.pools["up"].open == 0

    run(test, fast=False)
