"""One byte every half second holds nothing for ever: every part of a message has a deadline or a rate to keep."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from policylang.sdk import Exchange, Response
from policylang.sdk.limits import BodyLimits

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Wire, bench, forward, run, say

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PARTS = {
    "method": (b"P", 11),
    "target": (b"POST /", 11),
    "field": (HEAD + b"X: ", 11),
    "body": (HEAD + b"Content-Length: 100000\r\n\r\n", 21),
    "chunk": (CHUNKED + b"ffff\r\n", 21),
    "chunk size": (CHUNKED + b"1\r\na\r\n0", 21),
    "chunk extension": (CHUNKED + b"5;a=", 21),
    "trailer": (CHUNKED + b"1\r\na\r\n0\r\nX-Last: ", 21),
}
"""What stands before the trickle, and the seconds in which it is over: a head's deadline, or two windows of a rate."""


async def held(exchange: Exchange) -> Response:
    await exchange.request.load(BodyLimits())
    return say(200)


async def trickle(made: Bench, start: bytes, byte: bytes) -> float:
    """Seconds until the gateway has closed."""
    wire = await made.connect()
    wire.send(start)
    seconds = 0.0
    over = asyncio.ensure_future(wire.rest())
    while not over.done() and seconds < 100:
        await asyncio.sleep(0.003)
        made.advance(0.5)
        seconds += 0.5
        wire.send(byte)
    assert seconds < 100, "held for ever"
    over.cancel()
    return seconds


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("handle", [held, forward], ids=["held", "piped"])
def test_a_byte_every_half_second(handle: object, part: str) -> None:
    start, most = PARTS[part]

    async def test() -> None:
        async with bench(handle) as made:  # type: ignore[arg-type]
            # The farewell reads on for a second, and lingers for two.
            assert await trickle(made, start, b"0") <= most + 4
            await asyncio.sleep(0.01)
            made.advance(4)
            await made.until(lambda: not made.edge.connections)
            assert not made.defects

    run(test)


async def endless(wire: Wire) -> None:
    wire.writer.transport.set_write_buffer_limits(high=1 << 16)
    await wire.head()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        wire.send(b"x" * 10_000)
        await wire.writer.drain()


@pytest.mark.parametrize(("size", "stays"), [(100, False), (20_000, True)], ids=["too slow", "slow"])
def test_an_answer_is_taken_at_a_rate(size: int, stays: bool) -> None:
    """A client that takes a byte now and then would hold an upstream's connection for as long as it likes."""

    async def test() -> None:
        async with bench(up=endless) as made:
            wire = await made.connect(receive_buffer=4096)
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await wire.head()
            await made.until(lambda: any(one.congested for one in made.edge.connections))
            try:
                for _ in range(25):
                    await wire.exactly(size)
                    await asyncio.sleep(0.01)
                    made.advance(10)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(0.01)
            assert bool(made.edge.connections) == stays
            if not stays:
                assert made.done[0][0].failure.name == "response-timeout"  # type: ignore[union-attr]
                await made.until(lambda: made.pools["up"].open == 0)

    run(test)


@pytest.mark.parametrize(("size", "stays"), [(100, False), (40_000, True)], ids=["too slow", "slow"])
def test_a_last_answer_is_taken_at_a_rate(size: int, stays: bool) -> None:
    async def handle(exchange: Exchange) -> Response:
        return say(200, b"x" * 8_000_000)

    async def test() -> None:
        async with bench(handle) as made:
            wire = await made.connect(receive_buffer=4096)
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await wire.head()
            try:
                for _ in range(15):
                    await wire.exactly(size)
                    await asyncio.sleep(0.01)
                    made.advance(10)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            await asyncio.sleep(0.01)
            assert bool(made.edge.connections) == stays

    run(test)
