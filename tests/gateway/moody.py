"""Upstream servers that behave as a test tells them to, and can be killed and come back at the same address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from runtime.upstream.settings import UpstreamSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Origin, Wire, to


class Moody(Origin):
    """Answers each request with its name. `mood` is `well`, a status, `reset` (before a byte), `half` (a part of the
    head), `cut` (a part of the body) or `silent`; `checks` the same for what asks after its health."""

    def __init__(self, name: str, mood: str = "well", checks: str = "well") -> None:
        super().__init__(self.moods)
        self.name = name
        self.mood = mood
        self.checks = checks
        self.asked: Counter[str] = Counter()  # by method
        self.checked = 0

    async def moods(self, wire: Wire) -> None:
        while True:
            head = await wire.head()
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await wire.exactly(int(line[15:]))
            method = head.partition(b" ")[0].decode()
            if b"X-Request-ID: health-check" in head:
                self.checked += 1
                mood = self.checks
            else:
                self.asked[method] += 1
                self.seen.append(head)
                mood = self.mood
            body = self.name.encode()
            if mood == "reset":
                return wire.abort()
            if mood == "silent":
                await wire.rest()
                return None
            if mood == "half":
                wire.send(b"HTTP/1.1 2")
                await wire.writer.drain()
                return None
            if mood == "cut":
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + body)
                await wire.writer.drain()
                return None
            status = 200 if mood == "well" else int(mood)
            wire.send(b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    async def kill(self) -> None:
        """As when its process is killed: nobody listens, and every connection is gone."""
        await self.stop()
        self.wires.clear()

    async def revive(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while True:
            try:
                listening.bind(("127.0.0.1", self.port))
                break
            except OSError:  # somebody's outgoing connection has got this port meanwhile
                await asyncio.sleep(0.01)
        listening.listen()
        self._server = await asyncio.start_server(self._serve, sock=listening)


@contextlib.asynccontextmanager
async def moody(*names: str) -> Any:
    """So many servers, listening."""
    servers = [Moody(name) for name in names]
    for server in servers:
        await server.start()
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


def of(*servers: Origin, **settings: Any) -> UpstreamSettings:
    return to(*servers, **settings)


async def names(made: Bench, count: int, ask: str = "GET /") -> Counter[str]:
    """Who has answered `count` requests, one after the other; statuses above 299 instead of names."""
    wire = await made.connect()
    said: Counter[str] = Counter()
    for _ in range(count):
        answer = await wire.ask(ask)
        said[answer.body.decode() if answer.status < 300 else str(answer.status)] += 1
    return said
