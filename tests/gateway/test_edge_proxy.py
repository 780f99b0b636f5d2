"""Listeners that want a PROXY header first: who the client is then, and what becomes of connections without one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from policylang.sdk import Exchange, Response
from runtime.edge.networks import Networks
from runtime.edge.proxy import ProxyListener
from runtime.edge.settings import EdgeSettings
from runtime.tls import ServerTls
from runtime.workers.settings import ListenerSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Wire, bench, both_loops, request, say

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
TEXT = b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\n"
SIX = struct.pack("!16s16sHH", socket.inet_pton(socket.AF_INET6, "2001:db8::7"), bytes(16), 6000, 443)
BINARY = SIGNATURE + struct.pack("!BBH", 0x21, 0x21, len(SIX) + 7) + SIX + b"\x04\x00\x04pads"
LOCAL = SIGNATURE + struct.pack("!BBH", 0x20, 0, 0)


async def tell(exchange: Exchange) -> Response:
    client = exchange.client
    return say(200, f"{client.ip} {client.port} {exchange.request.scheme}".encode())


@contextlib.asynccontextmanager
async def behind(made: Bench, tls: ServerTls | None = None) -> AsyncIterator[tuple[ProxyListener, int, list[str]]]:
    listening = socket.create_server(("127.0.0.1", 0))
    told: list[str] = []
    listener = ProxyListener(made.edge, listening, tls, 10.0, told.append)
    try:
        yield listener, listening.getsockname()[1], told
    finally:
        listener.close()


async def connect(made: Bench, port: int) -> Wire:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    made.wires.append(wire)
    return wire


async def closed(wire: Wire) -> None:
    """What it has sent was not read, so this may be a reset."""
    with contextlib.suppress(ConnectionResetError):
        assert await wire.rest() == b""


@both_loops
async def test_the_header_says_who_the_client_is() -> None:
    async with bench(tell) as made, behind(made) as (_, port, told):
        for header, expected in ((TEXT, b"192.0.2.1 5000 http"), (BINARY, b"2001:db8::7 6000 http")):
            wire = await connect(made, port)
            wire.send(header + request("GET /"))
            assert (await wire.answer()).body == expected
            assert (await wire.ask("GET /again")).body == expected
            # byte by byte: nothing of the request is taken, and nothing is waited for in vain
            wire = await connect(made, port)
            for byte in header:
                wire.send(bytes([byte]))
                await asyncio.sleep(0)
            wire.send(request("GET /"))
            assert (await wire.answer()).body == expected
        for header in (b"PROXY UNKNOWN\r\n", LOCAL):
            wire = await connect(made, port)
            wire.send(header + request("GET /"))
            ip, own, _ = (await wire.answer()).body.decode().split()
            assert (ip, int(own)) == ("127.0.0.1", wire.writer.get_extra_info("sockname")[1])
        assert told == []


@both_loops
async def test_its_source_may_be_a_trusted_proxy_too() -> None:
    settings = EdgeSettings(trusted=Networks(["192.0.2.0/24"]))
    async with bench(tell, settings=settings) as made, behind(made) as (_, port, _told):
        wire = await connect(made, port)
        wire.send(TEXT + request("GET /\nX-Forwarded-For: 198.51.100.4\nX-Forwarded-Proto: https"))
        assert (await wire.answer()).body == b"198.51.100.4 0 https"
        wire = await connect(made, port)
        wire.send(BINARY + request("GET /\nX-Forwarded-For: 198.51.100.4"))
        assert (await wire.answer()).body == b"2001:db8::7 6000 http"


@both_loops
async def test_who_comes_without_one_is_closed_and_nobody_else() -> None:
    async with bench(tell) as made, behind(made) as (listener, port, told):
        for wrong in (request("GET /"), b"\x16\x03\x01\x02\x00", b"PROXY TCP4 nobody\r\n", SIGNATURE + b"\x21\x12\0\0"):
            wire = await connect(made, port)
            wire.send(wrong)
            await closed(wire)
        wire = await connect(made, port)
        wire.send(TEXT[:20])
        wire.writer.write_eof()
        assert await wire.rest() == b""
        assert listener.refused == 5
        assert len(told) == 1 and told[0].endswith("must come first: from `127.0.0.1` came no PROXY header")
        made.advance(61)
        wire = await connect(made, port)
        wire.send(b"x")
        await closed(wire)
        assert told[1].startswith("5 connections were closed as")
        wire = await connect(made, port)
        wire.send(TEXT + request("GET /"))
        assert (await wire.answer()).status == 200
        assert made.done and made.refused == [("127.0.0.1", 400, "bad-proxy-header")] * 6


@both_loops
async def test_it_has_a_deadline_and_does_not_spin() -> None:
    async with bench(tell) as made, behind(made) as (_, port, told):
        slow, silent = await connect(made, port), await connect(made, port)
        slow.send(TEXT[:-1])
        await made.until(lambda: len(made.edge.handshakes) == 2)
        await asyncio.sleep(0.02)
        before = time.process_time()
        await asyncio.sleep(0.3)
        assert time.process_time() - before < 0.15
        made.advance(9.9)
        assert len(made.edge.handshakes) == 2
        made.advance(0.4)
        assert await slow.rest() == b"" and await silent.rest() == b""
        assert not made.edge.handshakes
        assert len(told) == 1 and "in time" in told[0]


@both_loops
async def test_those_whose_header_is_awaited_are_counted_as_connections() -> None:
    async with bench(tell, settings=EdgeSettings(connections=2)) as made, behind(made) as (_, port, _told):
        waiting = [await connect(made, port) for _ in range(2)]
        await made.until(lambda: len(made.edge.handshakes) == 2)
        third = await connect(made, port)
        assert await third.rest() == b""
        waiting[0].send(TEXT + request("GET /"))
        assert (await waiting[0].answer()).status == 200
        made.edge.drain()
        assert await waiting[1].rest() == b""


@both_loops
async def test_a_listener_that_closes_serves_whom_it_has_accepted_and_who_is_in_the_queue() -> None:
    async with bench(tell) as made, behind(made) as (listener, port, _):
        wire = await connect(made, port)
        wire.send(TEXT[:10])
        await made.until(lambda: made.edge.handshakes)
        queued = socket.create_connection(("127.0.0.1", port))
        listener.close()
        queued.sendall(BINARY + request("GET /"))
        wire.send(TEXT[10:] + request("GET /"))
        assert (await wire.answer()).body.startswith(b"192.0.2.1 5000")
        late = Wire(*await asyncio.open_connection(sock=queued))
        made.wires.append(late)
        assert (await late.answer()).body.startswith(b"2001:db8::7 6000")
        with pytest.raises(OSError):
            await connect(made, port)


@both_loops
async def test_tls_begins_behind_the_header(tmp_path_factory: None = None) -> None:
    import tempfile

    authority = trustme.CA()
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "gate.pem"
        authority.issue_cert("gate.example").private_key_and_cert_chain_pem.write_to_path(str(pem))
        tls = ServerTls(ListenerSettings("127.0.0.1:0", cert=(str(pem),), key=(), proxy_protocol=True), print)
        context = ssl.create_default_context()
        authority.configure_trust(context)
        async with bench(tell) as made, behind(made, tls) as (_, port, _told):
            plain = socket.create_connection(("127.0.0.1", port))
            plain.sendall(TEXT)
            plain.setblocking(False)
            wire = Wire(*await asyncio.open_connection(sock=plain, ssl=context, server_hostname="gate.example"))
            made.wires.append(wire)
            assert (await wire.ask("GET /")).body == b"192.0.2.1 5000 https"
            # the handshake has what is left of the same time
            slow = await connect(made, port)
            await made.until(lambda: made.edge.handshakes)
            made.advance(8)
            slow.send(TEXT)
            await asyncio.sleep(0.02)
            made.advance(2.3)
            assert await slow.rest() == b""


@both_loops
async def test_no_descriptors_left_is_no_busy_loop() -> None:
    async with bench(tell) as made, behind(made) as (_, port, _told):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        probe = socket.socket()
        wire = socket.socket()
        wire.setblocking(False)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wire.fileno() + 1, hard))
            with pytest.raises(OSError) as none_left:
                while True:
                    made.wires.append(socket.socket())  # type: ignore[arg-type]
            assert none_left.value.errno == errno.EMFILE
            await asyncio.get_running_loop().sock_connect(wire, ("127.0.0.1", port))
            before = time.process_time()
            await asyncio.sleep(0.3)
            assert time.process_time() - before < 0.15
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in made.wires:
                each.close()
            made.wires.clear()
            probe.close()
        one = Wire(*await asyncio.open_connection(sock=wire))
        made.wires.append(one)
        one.send(TEXT + request("GET /"))
        assert (await asyncio.wait_for(one.answer(), 5)).status == 200
