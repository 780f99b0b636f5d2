"""`polgate run` behind a proxy: PROXY header, TLS, trusted addresses and WebSockets, over a reload and a drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets

sys.path.insert(0, str(Path(__file__).parent))
from certificates import authority
from daemons import Daemon, daemon, eventually

POLICY = """
gateway {{
    listen "127.0.0.1:0", cert: "gate.pem", key: "gate.key", proxy_protocol: true
    trusted_proxies ["192.0.2.0/24"]
    server_timing ["198.51.100.0/24"]
    access_log "stdout"
    timeouts drain: 2s
}}

upstream chat {{ server "http://127.0.0.1:{port}" }}

service chat "/chat" {{
    require request.scheme == "https" and request.header["Upgrade"] == "websocket"
    require client.ip in ["198.51.100.0/24"]
    route chat
}}

service who "/who" {{ respond 200, body: "{word} ${{client.ip}} ${{request.scheme}}" }}
"""
HEADER = b"PROXY TCP4 192.0.2.7 10.0.0.1 5000 443\r\n"
CLIENT = "198.51.100.9"
TRACE = "0af7651916cd43dd8448eb211c80319c"
FIELDS = {"X-Forwarded-For": f"203.0.113.6, {CLIENT}", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


def behind(port: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), timeout=20)
    one.sendall(HEADER)
    one.setblocking(False)
    return one


@contextlib.asynccontextmanager
async def chat(port: int, **fields: str) -> AsyncIterator[Any]:
    context = authority().client()
    async with websockets.connect(
        "wss://gate.example/chat", sock=behind(port), ssl=context, server_hostname="gate.example", proxy=None,
        compression=None, additional_headers={**FIELDS, **fields},
    ) as client:  # fmt: skip
        yield client


async def get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection(
        sock=behind(port), ssl=authority().client(), server_hostname="gate.example"
    )
    lines = "".join(f"{name}: {value}\r\n" for name, value in FIELDS.items())
    writer.write(f"GET {path} HTTP/1.1\r\nHost: gate.example\r\n{lines}Connection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer.decode()


def logged(started: Daemon, status: int) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in list(started.output)]
    return [record for record in records if record.get("status") == status]


def test_all_of_it_together(tmp_path: Path) -> None:
    async def echo(one: websockets.ServerConnection) -> None:
        assert one.request is not None
        await one.send(one.request.headers["X-Forwarded-For"])
        async for message in one:
            await one.send(message)

    async def test() -> None:
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            policy = tmp_path / "policy.pol"
            policy.write_text(POLICY.format(port=port, word="one"))
            cert, key = authority().issue("gate.example", "gate.example", file="edge")
            (tmp_path / "gate.pem").write_bytes(Path(cert).read_bytes())
            (tmp_path / "gate.key").write_bytes(Path(key).read_bytes())
            with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as started:
                await serve(started, started.ready(), policy, port)

    async def serve(started: Daemon, gate: int, policy: Path, port: int) -> None:
        said = await get(gate, "/who")
        assert said.endswith(f"one {CLIENT} https") and "\r\nServer-Timing: polgate;dur=" in said
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with chat(gate, **{"X-Forwarded-For": "203.0.113.6"}):
                pass
        assert refused.value.response.status_code == 403
        async with chat(gate) as first, chat(gate) as second:
            assert await first.recv() == f"{CLIENT}, 192.0.2.7"
            policy.write_text(POLICY.format(port=port, word="two"))
            before = len(started.lines)
            started.send(signal.SIGHUP)
            await asyncio.to_thread(started.await_line, "the policy was reloaded", before)
            assert (await get(gate, "/who")).endswith(f"two {CLIENT} https")
            await first.send("x" * 100_000)
            assert await first.recv() == "x" * 100_000
            await first.close()
            assert first.close_code == 1000
            await asyncio.to_thread(eventually, lambda: logged(started, 101), "no line for the tunnel")
            record = logged(started, 101)[0]
            assert (record["client"], record["trace"], record["service"]) == (CLIENT, TRACE, "chat")
            assert record["received"] > 100_000 < record["sent"]
            # the drain waits for the other one, and ends it
            assert await second.recv() == f"{CLIENT}, 192.0.2.7"
            started.send(signal.SIGTERM)
            await second.send("still there")
            assert await second.recv() == "still there"
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(second.recv(), 20)
        assert await asyncio.to_thread(started.process.wait, 20) == 0
        assert len(logged(started, 101)) == 2

    asyncio.run(test())
