"""Connections to upstreams: how long they are waited for, and how many may be open."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policylang.sdk import Exchange, Response, UpstreamCall
from runtime.edge.transport import LoopTransport
from runtime.edge.wheel import Wheel
from runtime.upstream.pool import UpstreamPool
from runtime.upstream.settings import ServerAddress, UpstreamSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import OK, ManualClock, Origin, Wire, bench, both_loops, failure, request, run, to

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
        connect, gate = loop.create_connection, asyncio.Event()

        async def gated(*args: Any, **options: Any) -> Any:
            if isinstance(args[0](), LoopTransport):  # and not the test's own
                await gate.wait()
            return await connect(*args, **options)

        loop.create_connection = gated  # type: ignore[method-assign]
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
