"""How connections over TLS go on and end: back pressure, damage, departures, deadlines, half-close."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from certificates import Told, authority
from edges import Bench, Wire, bench, both_loops, request, run, say

from policylang.sdk import Exchange, Response
from runtime.edge.settings import EdgeSettings


def gate() -> tuple[str, str]:
    return authority().issue("gate.example", file="gate")


async def closed(wire: Wire) -> bool:
    """Whether the gateway closes without a word."""
    try:
        return await wire.rest() == b""
    except ConnectionError:
        return True


async def by_hand(made: Bench) -> tuple[Wire, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """A connection whose handshake is done, in the test's hands."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority().client().wrap_bio(incoming, outgoing, server_hostname="gate.example")
    wire = await made.connect()
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            wire.send(outgoing.read())
            incoming.write(await wire.reader.read(1 << 16))
    return wire, client, incoming, outgoing


@both_loops
async def test_a_handshake_has_a_deadline_and_counts_as_a_connection() -> None:
    settings = EdgeSettings(connections=2)
    async with bench(settings=settings, tls=Told().server(gate())) as made:
        silent, slow = await made.connect(), await made.connect()
        await made.until(lambda: len(made.edge.handshakes) == 2)
        third = await made.connect()
        assert await closed(third)
        made.advance(5)
        slow.send(b"\x16\x03\x01")
        await asyncio.sleep(0.05)
        assert len(made.edge.handshakes) == 2
        made.advance(6)
        for wire in (silent, slow):
            assert await closed(wire)
        assert not made.edge.handshakes
        assert (await (await made.connect(tls=authority().client())).ask("GET /")).status == 200


@both_loops
async def test_the_end_is_announced_and_a_cut_is_not() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await wire.head()

    async def rest(wire: Wire, client: ssl.SSLObject, incoming: ssl.MemoryBIO) -> tuple[bytes, bool]:
        """What still comes, and whether `close_notify` ends it."""
        said = b""
        while True:
            try:
                data = client.read(1 << 16)
            except ssl.SSLWantReadError:
                with contextlib.suppress(ConnectionError):
                    if data := await wire.reader.read(1 << 16):
                        incoming.write(data)
                        continue
                return said, False
            if not data:
                return said, True
            said += data

    async with bench(up=script, tls=Told().server(gate())) as made:
        wire, client, incoming, outgoing = await by_hand(made)
        client.write(request("GET /\nHost: a b"))
        wire.send(outgoing.read())
        said, announced = await rest(wire, client, incoming)
        assert said.startswith(b"HTTP/1.1 400 ")
        assert announced
        wire, client, incoming, outgoing = await by_hand(made)
        client.write(request("GET /"))
        wire.send(outgoing.read())
        await made.until(lambda: any(one.download is not None for one in made.edge.connections))
        made.advance(31)
        said, announced = await rest(wire, client, incoming)
        assert not said.endswith(b"x" * 100)
        assert not announced


@both_loops
async def test_an_early_refusal_is_read_by_who_still_sends() -> None:
    """The answer survives though the client has sent far more than was read (half-close under TLS)."""

    async def handle(exchange: Exchange) -> Response:
        return say(403, b"no" * 1000)

    async with bench(handle, tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client())
        wire.send(request("POST /\nContent-Length: 3000000"))
        wire.send(b"x" * 1_000_000)
        answer = await wire.answer()
        assert (answer.status, len(answer.body)) == (403, 2000)
        made.advance(1.5)
        assert await wire.rest() == b""
        made.advance(3)


@both_loops
async def test_a_client_that_leaves_without_a_word_has_left() -> None:
    async with bench(tls=Told().server(gate()), up=_silent) as made:
        wire = await made.connect(tls=authority().client())
        wire.send(request("GET /"))
        await made.until(lambda: made.origins["up"].wires)
        one = wire.writer.get_extra_info("socket")
        os.dup2(os.open(os.devnull, os.O_RDWR), one.fileno())  # its end comes without `close_notify`
        await made.until(lambda: made.done)
        assert made.done[0][1] == 499
        wire.abort()


async def _silent(wire: Wire) -> None:
    await wire.head()
    await wire.rest()


@both_loops
async def test_large_bodies_both_ways() -> None:
    size = 3 << 20

    async def script(wire: Wire) -> None:
        await wire.head()
        body = await wire.exactly(size)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for start in range(0, size, 1 << 18):
            wire.send(body[start : start + (1 << 18)])
            await wire.writer.drain()

    async with bench(up=script, tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client(), receive_buffer=1 << 16)
        body = os.urandom(size)
        wire.send(request(f"POST /\nContent-Length: {size}"))
        for start in range(0, size, 1 << 18):
            wire.send(body[start : start + (1 << 18)])
            await wire.writer.drain()
        answer = await wire.answer()
        assert answer.body == body


@both_loops
async def test_a_slow_reader_holds_the_upstream_back() -> None:
    sent = 0

    async def script(wire: Wire) -> None:
        nonlocal sent
        await wire.head()
        wire.writer.transport.set_write_buffer_limits(high=1 << 16)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(256):
            wire.send(b"x" * (1 << 18))
            sent += 1 << 18
            await wire.writer.drain()

    async with bench(up=script, tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client(), receive_buffer=1 << 14)
        wire.send(request("GET /"))
        await wire.head()
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.3)
        assert 0 < sent < 32 << 20
        (connection,) = made.edge.connections
        transport: Any = connection.transport
        assert connection.congested
        assert 0 < transport.unsent < 1 << 20
        read = 0
        while read < 16 << 20:
            read += len(await wire.reader.read(1 << 16))
        assert sent > before


@both_loops
async def test_messages_in_any_pieces() -> None:
    """Records that come byte by byte, and many requests within one read."""
    async with bench(tls=Told().server(gate())) as made:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority().client().wrap_bio(incoming, outgoing, server_hostname="gate.example")
        wire = await made.connect()

        async def until(step: Any) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        wire.send(bytes([byte]))
                        if byte % 16 == 0:
                            await asyncio.sleep(0)
                    incoming.write(await wire.reader.read(1 << 16))

        await until(client.do_handshake)
        client.write(request("GET /1"))
        assert b"GET /1" in await until(lambda: client.read(65536))
        for number in range(30):
            client.write(request(f"GET /{number}", b"b" * 20_000))
        wire.send(outgoing.read())
        said = b""
        while said.count(b"\r\n\r\n" + b"b" * 20_000) < 30:
            said += await until(lambda: client.read(65536))
        assert said.count(b"HTTP/1.1 200 OK") == 30


@both_loops
async def test_damage_ends_the_connection() -> None:
    async with bench(tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client())
        assert (await wire.ask("GET /")).status == 200
        raw = wire.writer.get_extra_info("socket")
        os.write(raw.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await wire.exactly(1)
        await made.until(lambda: not made.edge.connections)


@both_loops
async def test_what_comes_behind_the_end_is_not_kept() -> None:
    async with bench(tls=Told().server(gate()), up=_silent) as made:
        wire, client, _, outgoing = await by_hand(made)
        client.write(request("POST /\nContent-Length: 1000000000"))
        wire.send(outgoing.read())
        await made.until(lambda: made.edge.connections)
        (connection,) = made.edge.connections
        transport: Any = connection.transport
        with contextlib.suppress(ssl.SSLError):
            client.unwrap()
        wire.send(outgoing.read())
        await made.until(lambda: made.done)
        for _ in range(20):
            wire.send(b"\x17\x03\x03\x40\x00" + b"x" * 0x4000)
        await asyncio.sleep(0.05)
        assert transport._incoming.pending == 0


@pytest.mark.parametrize("seed", range(8))
def test_mutated_records_do_no_harm(seed: int) -> None:
    """Handshakes and requests with bytes changed, left out, doubled or cut: each connection serves or ends."""
    draw = random.Random(seed)
    told = Told()
    tls = told.server(gate(), client_ca=authority().file, client_cert="optional")

    def mutated(data: bytes) -> bytes:
        at = draw.randrange(len(data)) if data else 0
        kind = draw.randrange(5)
        if kind == 0:
            return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]
        if kind == 1:
            return data[:at] + data[at + draw.randrange(1, 20) :]
        if kind == 2:
            return data[:at] + data[max(0, at - 20) :]
        return data[:at] + draw.randbytes(30) if kind == 3 else data

    async def attack(made: Bench) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority().client().wrap_bio(incoming, outgoing, server_hostname="gate.example")
        wire = await made.connect()
        done = False
        with contextlib.suppress(ssl.SSLError, ConnectionError, TimeoutError):
            for _ in range(12):
                try:
                    if not done:
                        client.do_handshake()
                        done = True
                    client.write(request("GET /", b"abc"))
                    client.read(1 << 16)
                except ssl.SSLWantReadError:
                    pass
                wire.send(mutated(outgoing.read()) if draw.random() < 0.4 else outgoing.read())
                async with asyncio.timeout(0.02):
                    data = await wire.reader.read(1 << 16)
                if not data:
                    break
                incoming.write(data)
        wire.abort()

    async def test() -> None:
        loop = asyncio.get_running_loop()
        errors: list[Any] = []
        loop.set_exception_handler(lambda _, context: errors.append(context))
        async with bench(tls=tls) as made:
            for _ in range(25):
                await attack(made)
            await made.until(lambda: not made.edge.handshakes)
            assert (await (await made.connect(tls=authority().client())).ask("GET /")).status == 200
            assert made.defects == []
        assert errors == []

    run(test, fast=seed % 2 == 0)


@both_loops
async def test_drain_does_not_wait_for_handshakes() -> None:
    async with bench(tls=Told().server(gate())) as made:
        wire = await made.connect()
        idle = await made.connect(tls=authority().client())
        await made.until(lambda: made.edge.handshakes and made.edge.connections)
        made.edge.drain()
        assert await idle.rest() == b""
        await made.edge.emptied()
        assert await closed(wire)
        assert not made.edge.handshakes
