"""Upstreams that die and come back, and upstreams that lie: no idempotent request fails, and no answer is another's."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from runtime.upstream.settings import RetrySettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Origin, Wire, bench, request, run, to
from moody import Moody, moody, of

SOAK = bool(os.environ.get("POLGATE_SOAK"))
SECONDS = 60.0 if SOAK else 1.0
ROUNDS = 10_000 if SOAK else 500
CLIENTS = 6


# --- one of three dies ---


async def passing(made: Bench, speed: float) -> None:
    """The clock goes, so many times as fast as outside."""
    while True:
        await asyncio.sleep(0.02)
        made.advance(0.02 * speed)


async def asking(made: Bench, ended: asyncio.Event, statuses: list[int]) -> None:
    wire = await made.connect()
    number = 0
    while not ended.is_set():
        number += 1
        answer = await (wire.ask("PUT /", b"x") if number % 4 == 0 else wire.ask("GET /"))
        statuses.append(answer.status)
        if answer["connection"] == "close":
            wire = await made.connect()
        await asyncio.sleep(0.001)


async def killing(servers: list[Moody], luck: random.Random, seconds: float) -> int:
    end = asyncio.get_running_loop().time() + seconds
    killed = 0
    while asyncio.get_running_loop().time() < end:
        one = luck.choice(servers)
        await one.kill()
        killed += 1
        await asyncio.sleep(0.1 + luck.random() * 0.4)
        await one.revive()
        await asyncio.sleep(0.1 + luck.random() * 0.3)
    return killed


@pytest.mark.parametrize("how", ["round_robin", "least_connections", "latency"])
def test_of_three_servers_one_may_die_at_any_time(how: str) -> None:
    async def test() -> None:
        luck = random.Random(how)
        async with moody("a", "b", "c") as servers, bench(up=of(*servers, balance=how)) as made:
            ended = asyncio.Event()
            statuses: list[int] = []
            clock = asyncio.ensure_future(passing(made, 5.0))
            clients = [asyncio.ensure_future(asking(made, ended, statuses)) for _ in range(CLIENTS)]
            await asyncio.sleep(0.3)
            killed = await killing(servers, luck, SECONDS)
            ended.set()
            await asyncio.gather(*clients)
            clock.cancel()
            assert killed >= 2 and len(statuses) > 200
            assert set(statuses) == {200}, [status for status in statuses if status != 200]
            assert any(done[0].request.trace.attempts > 1 for done in made.done)
            assert all(server.seen for server in servers)
            assert not made.defects
            pool = made.pools["up"]
            await made.until(lambda: pool.open == sum(len(server.idle) for server in pool.servers))
            assert all(server.active == 0 and server.open == len(server.idle) for server in pool.servers)

    run(test, patience=SECONDS + 60)


# --- one that lies ---


def lying(luck: random.Random) -> object:
    """Answers with the path that it was asked for, or in one of the ways in which an answer goes wrong."""

    async def script(wire: Wire) -> None:
        while True:
            head = await wire.head()
            path = head.split(b" ")[1]
            whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)
            longer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path) + 9, path)
            what = luck.randrange(16)
            if what < 4:
                wire.send(whole)
            elif what == 4:  # reset in mid-body
                wire.send(longer)
                await wire.writer.drain()
                await asyncio.sleep(luck.choice([0, 0.002]))
                return wire.abort()
            elif what == 5:  # half-closed in mid-body
                wire.send(longer)
                wire.writer.write_eof()
                await wire.rest()
                return None
            elif what == 6:  # half-closed behind an answer that says it is kept
                wire.send(whole)
                wire.writer.write_eof()
                await wire.rest()
                return None
            elif what == 7:  # in mid-chunk
                wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b" % (len(path) + 9, path))
                return wire.close()
            elif what == 8:
                chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                wire.send(chunked + b"%x\r\n%b\r\nzz\r\n" % (len(path), path))
            elif what == 9:
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nevil")
            elif what == 10:
                wire.send(b"\x00\x01nonsense\r\n\r\n")
            elif what == 11:  # more than was asked for
                wire.send(whole + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            elif what == 12:  # an interim answer too many, and the head of the next one
                wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + whole + b"HTTP/1.1 2")
            elif what == 13:  # nothing at all
                return wire.abort()
            elif what == 14:  # a head that does not end
                wire.send(whole[: luck.randrange(1, 30)])
                return wire.close()
            else:  # an end that only the connection's end tells
                wire.send(b"HTTP/1.1 200 OK\r\n\r\n" + path)
                return wire.close()

    return script


async def believing(made: Bench, name: int, count: int, luck: random.Random) -> list[str]:
    """What came of so many requests; an answer that is whole has to be the request's own."""
    came = []
    wire = await made.connect()
    for number in range(count):
        path = f"/{name}/{number}/" + "x" * luck.randrange(30)
        wire.send(request(f"GET {path}"))
        try:
            answer = await wire.answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            came.append("cut")
            wire = await made.connect()
            continue
        assert answer.status in (200, 502), answer
        if answer.status == 200:
            assert answer.body == path.encode(), "another's answer, or a part of one that claims to be whole"
        came.append(str(answer.status))
        if answer["connection"] == "close":
            wire.close()
            wire = await made.connect()
    wire.close()
    return came


@pytest.mark.parametrize("retries", [0, 1])
def test_no_connection_is_poisoned(retries: int) -> None:
    async def test() -> None:
        luck = random.Random(retries)
        origin = await Origin(lying(luck)).start()  # type: ignore[arg-type]
        async with bench(up=to(origin, retries=RetrySettings(retries))) as made:
            came = await asyncio.gather(
                *(believing(made, name, ROUNDS // CLIENTS + 1, luck) for name in range(CLIENTS))
            )
            kinds = {kind for each in came for kind in each}
            assert kinds == {"200", "502", "cut"}
            pool = made.pools["up"]
            await made.until(lambda: pool.open == sum(len(server.idle) for server in pool.servers))
            assert not pool.queue and not made.defects
            made.advance(10)
            await made.until(lambda: pool.open == 0)
        await origin.stop()

    run(test, patience=300 if SOAK else 60)
