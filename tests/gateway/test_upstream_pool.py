"""Connections to upstreams: kept, shared out, repeated where that is safe, given up in time."""

from __future__ import annotations

import asyncio
import functools
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policylang.sdk import Exchange, Response, UpstreamCall
from runtime.edge.wheel import Wheel
from runtime.upstream.pool import UpstreamPool
from runtime.upstream.settings import ServerAddress, UpstreamSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, ManualClock, Origin, Wire, bench, forward, replying, request, run, say, to

Test = Callable[[], Coroutine[Any, Any, None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def both_loops(test: Test) -> Callable[[bool], None]:
    @pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
    @functools.wraps(test)
    def on_a_loop(fast: bool) -> None:
        run(test, fast)

    del on_a_loop.__wrapped__  # type: ignore[attr-defined]
    return on_a_loop


def failure(made: Bench) -> tuple[str, int]:
    found = made.done[-1][0].failure
    assert found is not None
    return found.name, found.status


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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

    async with bench(up=script) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /")).body == b"ok"
        assert (await wire.ask("GET /")).status == 502
        assert count == 2


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
            await response.load(10)
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
        await exchange.request.load(100)
        await forward(exchange)
        return await exchange.environment.upstreams["other"].send(exchange, UpstreamCall())

    async with bench(handle, up=Origin(), other=Origin()) as made:
        wire = await made.connect()
        assert (await wire.ask("POST /", b"abc")).body.endswith(b"\r\n\r\nabc")
        assert made.origins["up"].seen and made.origins["other"].seen


# --- servers that are not there ---


@both_loops
async def test_a_server_that_refuses_is_502() -> None:
    async with bench(up=UpstreamSettings((ServerAddress("127.0.0.1", free_port()),))) as made:
        answer = await (await made.connect()).ask("GET /")
        assert answer.status == 502
        assert failure(made) == ("upstream-unreachable", 502)
        assert made.pools["up"].open == 0


@both_loops
async def test_the_next_server_is_asked_where_one_refuses() -> None:
    origin = await Origin().start()
    settings = to(origin)
    settings = replace(settings, servers=(ServerAddress("127.0.0.1", free_port()), *settings.servers))
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

        async def never(*_: Any, **__: Any) -> list[Any]:
            asked.set()
            await asyncio.sleep(3600)
            return []

        loop.getaddrinfo = never  # type: ignore[method-assign]
        async with bench(up=UpstreamSettings((ServerAddress("slow.example", 80),))) as made:
            wire = await made.connect()
            wire.send(request("GET /"))
            await asked.wait()
            made.advance(5.3)
            assert (await wire.answer()).status == 504
            assert failure(made) == ("upstream-timeout", 504)
            assert made.pools["up"].open == 0

    run(test, fast=False)


# --- deadlines ---


@both_loops
async def test_an_answer_s_head_has_a_deadline() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.rest()

    async def handle(exchange: Exchange) -> Response:
        timeout = 1.5 if exchange.request.path == "/short" else None
        call = UpstreamCall(None, timeout)
        return await exchange.environment.upstreams["up"].send(exchange, call)

    async with bench(handle, up=script) as made:
        wire = await made.connect()
        for path, soon, late in (("/", 29.5, 1), ("/short", 1.4, 0.3)):
            wire.send(request(f"GET {path}"))
            await made.until(lambda: made.pools["up"].open == 1 and made.origins["up"].wires)
            await asyncio.sleep(0.02)
            made.advance(soon)
            assert made.pools["up"].open == 1
            made.advance(late)
            assert (await wire.answer()).status == 504
            assert failure(made) == ("upstream-timeout", 504)
            assert made.pools["up"].open == 0


@both_loops
async def test_an_answer_s_body_has_a_deadline_between_its_bytes() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await wire.rest()

    async with bench(up=script) as made:
        wire = await made.connect()
        wire.send(request("GET /"))
        await wire.head()
        made.advance(20)
        made.origins["up"].wires[0].send(b"d")
        await wire.exactly(4)
        made.advance(20)
        assert made.pools["up"].open == 1
        made.advance(11)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await wire.exactly(1)
        assert failure(made) == ("upstream-timeout", 504)


@both_loops
async def test_a_slow_client_is_not_the_upstream_s_fault() -> None:
    async with bench() as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 100000"))
        await made.until(lambda: made.origins["up"].wires)
        for _ in range(10):
            wire.send(b"x" * 10_000)
            await asyncio.sleep(0.01)
            made.advance(9)
        assert (await wire.answer()).status == 200


# --- as many as may be ---


@both_loops
async def test_requests_wait_for_a_connection_in_turn() -> None:
    release = asyncio.Event()

    async def script(wire: Wire) -> None:
        while True:
            head = await wire.head()
            await release.wait()
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + head[5:7])

    origin = await Origin(script).start()
    async with bench(up=to(origin, connections=2)) as made:
        wires = [await made.connect() for _ in range(6)]
        for number, wire in enumerate(wires):
            wire.send(request(f"GET /{number}0"))
            await made.until(lambda count=number: sum(1 for one in made.edge.connections if one.exchange) > count)
        wires[5].abort()
        await made.until(lambda: len(made.edge.connections) == 5)
        await made.until(lambda: len(origin.wires) == 2)
        assert made.pools["up"].open == 2
        release.set()
        for number, wire in enumerate(wires[:5]):
            assert (await wire.answer()).body == b"%d0" % number
        assert len(origin.wires) == 2
        assert not made.pools["up"].queue
    await origin.stop()


@both_loops
async def test_waiting_for_a_connection_has_a_deadline() -> None:
    async def script(wire: Wire) -> None:
        await wire.rest()

    origin = await Origin(script).start()
    async with bench(up=to(origin, connections=1)) as made:
        first, second = await made.connect(), await made.connect()
        first.send(request("GET /1"))
        await made.until(lambda: origin.wires)
        second.send(request("GET /2"))
        await made.until(lambda: made.pools["up"].queue)
        made.advance(5.3)
        assert (await second.answer()).status == 504
        assert not made.pools["up"].queue
    await origin.stop()


@both_loops
async def test_a_lost_connection_makes_room_for_who_waits() -> None:
    async def script(wire: Wire) -> None:
        head = await wire.head()
        await asyncio.sleep(0.02)
        if not head.startswith(b"GET /1 "):
            wire.send(OK)

    origin = await Origin(script).start()
    async with bench(up=to(origin, connections=1)) as made:
        first, second = await made.connect(), await made.connect()
        first.send(request("GET /1"))
        await made.until(lambda: origin.wires)
        second.send(request("GET /2"))
        await made.until(lambda: made.pools["up"].queue)
        assert (await first.answer()).status == 502
        assert (await second.answer()).body == b"ok"
    await origin.stop()


@both_loops
async def test_idle_connections_to_one_server_make_room_for_another() -> None:
    origins = [await Origin().start() for _ in range(2)]
    async with bench(up=to(*origins, connections=1)) as made:
        wire = await made.connect()
        for _ in range(4):
            assert (await wire.ask("GET /")).status == 200
        assert made.pools["up"].open == 1
        assert all(origin.seen for origin in origins)
    for origin in origins:
        await origin.stop()


@both_loops
async def test_servers_are_asked_by_weight() -> None:
    origins = [await Origin().start() for _ in range(2)]
    settings = to(*origins)
    settings = replace(settings, servers=(replace(settings.servers[0], weight=3), settings.servers[1]))
    async with bench(up=settings) as made:
        wire = await made.connect()
        for _ in range(8):
            assert (await wire.ask("GET /")).status == 200
        assert [len(origin.seen) for origin in origins] == [6, 2]
    for origin in origins:
        await origin.stop()


def test_a_connection_that_comes_too_late_is_kept_for_others() -> None:
    """The client leaves while the connection is being opened."""

    async def test() -> None:
        loop = asyncio.get_running_loop()
        resolve, gate = loop.getaddrinfo, asyncio.Event()

        async def gated(*args: Any, **options: Any) -> Any:
            await gate.wait()
            return await resolve(*args, **options)

        loop.getaddrinfo = gated  # type: ignore[method-assign]
        async with bench() as made:
            wire = await made.connect()
            wire.send(request("GET /"))
            await made.until(lambda: made.pools["up"].open == 1)
            wire.abort()
            await made.until(lambda: not made.edge.connections)
            gate.set()
            await made.until(lambda: made.pools["up"].servers[0].idle)
            assert made.pools["up"].open == 1
            assert (await (await made.connect()).ask("GET /")).status == 200
            assert len(made.origins["up"].wires) == 1

    run(test, fast=False)


@both_loops
async def test_a_closed_pool_lets_go() -> None:
    async with bench() as made:
        wire = await made.connect()
        await wire.ask("GET /")
        made.pools["up"].close()
        assert made.pools["up"].open == 0
        # whoever still has the old policy gets its answer
        assert (await wire.ask("GET /")).status == 200
        assert made.pools["up"].open == 0


def test_a_pool_needs_no_running_loop_to_be_made() -> None:
    loop = asyncio.new_event_loop()
    try:
        clock = ManualClock()
        pool = UpstreamPool("up", UpstreamSettings((ServerAddress("h", 1),)), loop, Wheel(clock), clock)
        assert pool.open == 0
    finally:
        loop.close()
