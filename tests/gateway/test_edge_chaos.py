"""Clients, upstreams and policies that misbehave at random: nothing may leak, hang, or reach the wrong client."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from policylang.sdk import BodyLimits, Exchange, Response

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Origin, Wire, bench, forward, request, run, say, to

CLIENTS = 120


def misbehaving(luck: random.Random) -> Any:
    """An upstream that mostly answers with the path that it was asked for, in one of many ways, or fails."""

    async def script(wire: Wire) -> None:
        while True:
            head = await wire.head()
            path = head.split(b" ")[1]
            what = luck.random()
            if b"\r\nTransfer-Encoding: chunked\r\n" in head and what > 0.3:
                await wire.chunked()
            elif b"\r\nContent-Length: " in head and what > 0.3:
                await wire.exactly(int(head.split(b"\r\nContent-Length: ")[1].split(b"\r\n")[0]))
            if luck.random() < 0.3:
                await asyncio.sleep(luck.random() * 0.01)
            if what < 0.05:
                return wire.abort()
            if what < 0.1:
                return wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + path)
            if what < 0.15:
                return wire.send(b"nonsense\r\n\r\n")
            if what < 0.3:
                return wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + path)
            if what < 0.6:
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))
            elif what < 0.8:
                wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for byte in path:
                    wire.send(b"1\r\n%c\r\n" % byte)
                    if luck.random() < 0.2:
                        await asyncio.sleep(0)
                wire.send(b"0\r\n\r\n")
            elif what < 0.95:
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(path))
                await asyncio.sleep(0.001)
                wire.send(path)
            else:
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%bHTTP/1.1 200 OK\r\n" % (len(path), path))

    return script


async def client(made: Bench, luck: random.Random, number: int) -> None:
    wire = await made.connect()
    for turn in range(luck.randint(1, 8)):
        path = f"/{luck.choice(['load', 'route', 'route', 'say', 'twice'])}/{number}-{turn}"
        kind = luck.random()
        if kind < 0.5:
            message = request(f"GET {path}")
        elif kind < 0.75:
            message = request(f"POST {path}", b"x" * luck.choice([1, 100, 70_000]))
        else:
            message = request(f"PUT {path}\nTransfer-Encoding: chunked") + b"4\r\nabcd\r\n" * 5 + b"0\r\n\r\n"
        if luck.random() < 0.3:
            cut = luck.randint(1, len(message) - 1)
            wire.send(message[:cut])
            await asyncio.sleep(luck.random() * 0.005)
            if luck.random() < 0.15:
                return luck.choice([wire.close, wire.abort])()
            wire.send(message[cut:])
        else:
            wire.send(message)
        if luck.random() < 0.08:
            return luck.choice([wire.close, wire.abort])()
        try:
            answer = await wire.answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        assert answer.status in (200, 502, 504), answer
        if answer.status == 200:
            assert answer.body == path.encode()
        if answer["connection"] == "close":
            return wire.close()
    wire.close()


@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("seed", range(3))
def test_chaos(seed: int, fast: bool) -> None:
    luck = random.Random(seed)

    async def handle(exchange: Exchange) -> Response:
        kind = exchange.request.path.split("/")[1]
        if kind == "say":
            return say(200, exchange.request.path.encode())
        if kind == "load":
            await exchange.request.load(BodyLimits())
            response = await forward(exchange)
            await response.load(BodyLimits())
            return response
        if kind == "twice":
            await exchange.request.load(BodyLimits())
            await forward(exchange)
        return await forward(exchange)

    async def test() -> None:
        origins = [await Origin(misbehaving(luck)).start() for _ in range(2)]
        async with bench(handle, up=to(*origins, connections=20)) as made:
            await asyncio.gather(*(client(made, luck, number) for number in range(CLIENTS)))
            for wire in made.wires:
                wire.abort()
            await made.until(lambda: not made.edge.connections)
            pool = made.pools["up"]
            await made.until(lambda: pool.open == sum(len(server.idle) for server in pool.servers))
            assert not pool.queue and not made.defects
            made.advance(10)
            await made.until(lambda: pool.open == 0)
            for _ in range(20):  # a server that failed too often comes back in its time, which sets no further alarm
                made.advance(60)
            assert not made.edge.wheel._slots
            assert all(status in (200, 400, 499, 502, 504) for _, status, _, _ in made.done)
            assert sum(status == 200 for _, status, _, _ in made.done) > CLIENTS
        for origin in origins:
            await origin.stop()

    run(test, fast)
