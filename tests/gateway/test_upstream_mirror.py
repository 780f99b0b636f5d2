"""Copies of requests for another upstream: nobody waits for them, and they disturb nobody."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from policylang.sdk import BodyLimits, Exchange, Response, UpstreamCall

sys.path.insert(0, str(Path(__file__).parent))
from edges import Origin, Wire, bench, both_loops, forward, say, to


async def mirrored(exchange: Exchange) -> Response:
    await exchange.request.load(BodyLimits())
    exchange.environment.upstreams["shadow"].mirror(exchange, UpstreamCall())
    return await forward(exchange)


@both_loops
async def test_a_copy_has_the_head_and_the_body() -> None:
    async with bench(mirrored, up=Origin(), shadow=Origin()) as made:
        wire = await made.connect()
        answer = await wire.ask("POST /a?b=c\nX-Mine: 1", b"abc")
        assert answer.body.endswith(b"\r\n\r\nabc")
        shadow = made.pools["shadow"]
        await made.until(lambda: made.origins["shadow"].seen)
        assert made.origins["shadow"].seen == made.origins["up"].seen
        await made.until(lambda: not shadow.copies)
        # its connection is kept, for the next copy as for any request
        assert (await wire.ask("GET /again")).status == 200
        await made.until(lambda: len(made.origins["shadow"].seen) == 2)
        assert len(made.origins["shadow"].wires) == 1


@both_loops
async def test_a_copy_does_not_need_its_client() -> None:
    let_go = asyncio.Event()

    async def slow(wire: Wire) -> None:
        await wire.head()
        await let_go.wait()
        assert await wire.exactly(3) == b"abc"
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf ")
        await asyncio.sleep(0.02)
        wire.send(b"whole")
        await wire.rest()

    async def copied(exchange: Exchange) -> Response:
        await exchange.request.load(BodyLimits())
        exchange.environment.upstreams["shadow"].mirror(exchange, UpstreamCall(b"/copy", method="PUT"))
        return say(200, b"done")

    async with bench(copied, shadow=slow) as made:
        wire = await made.connect()
        assert (await wire.ask("POST /", b"abc")).body == b"done"
        wire.abort()
        await made.until(lambda: not made.edge.connections)
        shadow = made.pools["shadow"]
        assert shadow.copies == 1
        let_go.set()
        await made.until(lambda: not shadow.copies)
        assert shadow.open == len(shadow.servers[0].idle) == 1


@both_loops
async def test_too_many_copies_are_left_out() -> None:
    async def silent(wire: Wire) -> None:
        await wire.rest()

    shadow = await Origin(silent).start()
    async with bench(mirrored, up=Origin(), shadow=to(shadow, mirrored=2)) as made:
        wire = await made.connect()
        for _ in range(5):
            assert (await wire.ask("GET /")).status == 200
        assert made.pools["shadow"].copies == 2
        made.advance(5)
        made.advance(31)
        await made.until(lambda: not made.pools["shadow"].copies)
        assert (await (await made.connect()).ask("GET /")).status == 200
        assert made.pools["shadow"].copies == 1
    await shadow.stop()


@both_loops
async def test_what_becomes_of_a_copy_is_nobody_s_business() -> None:
    async def endless(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            wire.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await wire.writer.drain()

    async def broken(wire: Wire) -> None:
        await wire.head()
        wire.send(b"nonsense\r\n\r\n")

    async def dripping(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            wire.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.01)

    for script in (endless, broken, dripping):
        async with bench(mirrored, up=Origin(), shadow=script) as made:
            wire = await made.connect()
            for _ in range(3):
                assert (await wire.ask("GET /")).status == 200
            shadow = made.pools["shadow"]
            if script is dripping:
                await made.until(lambda origin=made.origins["shadow"]: len(origin.wires) == 3)
                await asyncio.sleep(0.05)
                for _ in range(4):
                    made.advance(10)
            await made.until(lambda pool=shadow: not pool.copies)
            await made.until(lambda pool=shadow: pool.open == 0)
            assert [done[1] for done in made.done] == [200] * 3
            assert not made.defects
