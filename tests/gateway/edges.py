"""An edge in the test's own loop, with real sockets on both sides and a clock that only the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from policylang.sdk import BodyLimits, Exchange, Response, UpstreamCall, Waiter
from runtime.edge.edge import Edge, Handler
from runtime.edge.environment import GatewayEnvironment
from runtime.edge.loop import new_loop
from runtime.edge.settings import EdgeSettings
from runtime.edge.wheel import Wheel
from runtime.tls import ServerTls
from runtime.upstream.pool import UpstreamPool
from runtime.upstream.settings import UpstreamSettings, server_address

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENCE = 20.0
"""Seconds after which a test that hangs fails."""


class ManualClock:
    def __init__(self) -> None:
        self.ns = 1_000_000_000_000
        self.sleepers: list[tuple[int, Waiter[None]]] = []

    def monotonic(self) -> int:
        return self.ns

    def wall(self) -> float:
        return 1_800_000_000 + self.ns / 1e9

    def sleep(self, seconds: float) -> Waiter[None]:
        waiter: Waiter[None] = Waiter()
        self.sleepers.append((self.ns + int(seconds * 1e9), waiter))
        return waiter


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        found = [value for each, value in self.headers if each.lower() == name.lower()]
        return ", ".join(found) if found else None


class Wire:
    """One side of a connection, in the test's hands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *data: bytes) -> None:
        for piece in data:
            self.writer.write(piece)

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def exactly(self, size: int) -> bytes:
        return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """Everything until the other side ends; raises ConnectionResetError where it cuts."""
        return await self.reader.read()

    async def answer(self, method: str = "GET") -> Answer:
        lines = (await self.head()).decode("latin-1").split("\r\n")
        assert lines[0].startswith("HTTP/1.1 "), lines[0]
        status = int(lines[0][9:12])
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines[1:-2])]
        answer = Answer(status, headers, b"")
        if method == "HEAD" or status in (204, 304) or status < 200:
            return answer
        if answer["transfer-encoding"] == "chunked":
            answer.body = await self.chunked()
        elif answer["content-length"] is not None:
            answer.body = await self.exactly(int(answer["content-length"]))
        else:
            answer.body = await self.rest()
        return answer

    async def chunked(self) -> bytes:
        body = b""
        while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await self.exactly(size + 2))[:-2]
        assert await self.exactly(2) == b"\r\n"
        return body

    async def ask(self, text: str, body: bytes = b"", method: str = "GET") -> Answer:
        """`text`: the lines of a request, separated by newlines."""
        self.send(request(text, body))
        return await self.answer(method)

    def close(self) -> None:
        self.writer.close()

    def abort(self) -> None:
        self.writer.transport.abort()


def request(text: str, body: bytes = b"") -> bytes:
    lines = [line.strip() for line in text.strip().splitlines()]
    if "HTTP/" not in lines[0]:
        lines[0] += " HTTP/1.1"
    if not any(line.lower().startswith("host:") for line in lines):
        lines.insert(1, "Host: gate.example")
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


Script = Callable[[Wire], Awaitable[None]]


class Origin:
    """An upstream server. `script` serves one connection; each is kept in `wires`."""

    def __init__(self, script: Script | None = None) -> None:
        self.script: Script = script or self.echo
        self.wires: list[Wire] = []
        self.seen: list[bytes] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self) -> Origin:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self.wires.append(wire)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await self.script(wire)
        self._tasks.discard(task)
        writer.close()

    async def echo(self, wire: Wire) -> None:
        """Answers each request with its own head and body."""
        while True:
            head = await wire.head()
            body = b""
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    body = await wire.exactly(int(line[15:]))
                elif line == b"transfer-encoding: chunked":
                    body = await wire.chunked()
            self.seen.append(head)
            said = head + body
            if head.startswith(b"HEAD "):
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said))
            else:
                wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for wire in self.wires:
            wire.abort()


def replying(*answers: bytes) -> Script:
    """A script that reads heads (no bodies) and gives these answers, one each, then waits for the end."""

    async def script(wire: Wire) -> None:
        for answer in answers:
            await wire.head()
            wire.send(answer)
        await wire.rest()

    return script


@dataclass
class Bench:
    """`done` and `refused` are what the hooks were told; `defects` and `logged` what the environment was."""

    edge: Edge
    clock: ManualClock
    port: int
    pools: dict[str, UpstreamPool]
    origins: dict[str, Origin]
    done: list[tuple[Exchange, int, int, int]] = field(default_factory=list)
    refused: list[tuple[str, int, str]] = field(default_factory=list)
    defects: list[BaseException] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)

    async def connect(
        self, receive_buffer: int = 0, tls: ssl.SSLContext | None = None, server_name: str = "gate.example"
    ) -> Wire:
        one = socket.socket()
        one.setblocking(False)
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", self.port))
        limit = receive_buffer or 1 << 16
        secure = {} if tls is None else {"ssl": tls, "server_hostname": server_name}
        wire = Wire(*await asyncio.open_connection(sock=one, limit=limit, **secure))
        self.wires.append(wire)
        return wire

    def advance(self, seconds: float) -> None:
        self.clock.ns += int(seconds * 1e9)
        self.edge.wheel.turn()
        ready = [waiter for due, waiter in self.clock.sleepers if due <= self.clock.ns]
        self.clock.sleepers = [(due, waiter) for due, waiter in self.clock.sleepers if due > self.clock.ns]
        for waiter in ready:
            waiter.fire(None)

    async def until(self, true: Callable[[], Any]) -> None:
        """Let the loop turn until it is true; the sockets are real, so how many turns it takes is theirs to say."""
        while not true():
            await asyncio.sleep(0.001)


async def forward(exchange: Exchange) -> Response:
    """The simplest policy: `route up`."""
    exchange.response = await exchange.environment.upstreams["up"].send(exchange, UpstreamCall())
    return exchange.response


def say(status: int, body: bytes = b"", *fields: tuple[bytes, bytes]) -> Response:
    return Response(status, [(name.lower(), name, value) for name, value in fields], body, made_here=True)


def policy(handle: Callable[[Exchange], Coroutine[Any, Any, Response]]) -> Handler:
    """As a tree does it: failures become answers."""
    from policylang.sdk import Failed
    from policylang.tree.problem import problem

    async def guarded(exchange: Exchange) -> Response:
        try:
            return await handle(exchange)
        except Failed as failed:
            exchange.failure = failed.failure
            return problem(failed.failure, exchange.request)

    return guarded


@contextlib.asynccontextmanager
async def bench(
    handle: Callable[[Exchange], Coroutine[Any, Any, Response]] = forward,
    *,
    settings: EdgeSettings | None = None,
    bodies: BodyLimits | None = None,
    hooks: bool = True,
    real_time: bool = False,
    tls: ServerTls | None = None,
    **origins: Origin | Script | UpstreamSettings,
) -> AsyncIterator[Bench]:
    """Origins by upstream name: a server to start, a script for one, or whole settings. Without any, `up` echoes."""
    loop = asyncio.get_running_loop()
    clock = ManualClock()
    wheel = Wheel(clock)
    edge = Edge(settings or EdgeSettings(), loop, clock, wheel)
    pools: dict[str, UpstreamPool] = {}
    started: dict[str, Origin] = {}
    for name, given in (origins or {"up": Origin()}).items():
        if isinstance(given, UpstreamSettings):
            pools[name] = UpstreamPool(name, given, loop, wheel, clock)
            continue
        origin = given if isinstance(given, Origin) else Origin(given)
        if not origin.port:
            await origin.start()
        started[name] = origin
        pools[name] = UpstreamPool(name, to(origin), loop, wheel, clock)
    listening = socket.create_server(("127.0.0.1", 0))
    made = Bench(edge, clock, listening.getsockname()[1], pools, started)

    def defect(error: BaseException, exchange: Exchange) -> str:
        made.defects.append(error)
        return "d1"

    environment: Any = GatewayEnvironment(
        name="test", version="0", node="n", clock=clock, upstreams=pools, bodies=bodies or BodyLimits(),
        store=None, entries=None, machine=None,  # type: ignore[arg-type]
        write_log=lambda *_: None, write_defect=defect,
    )  # fmt: skip

    def on_done(exchange: Exchange, status: int, received: int, sent: int, *rest: Any) -> None:
        made.done.append((exchange, status, received, sent))

    edge.use(policy(handle), environment, on_done if hooks else None)
    edge.on_refused = lambda client, error: made.refused.append((client, error.status, error.name))
    await edge.listen(listening, tls)
    try:
        yield made
    finally:
        edge.stop_listening()
        for wire in made.wires:
            wire.abort()
        edge.abort()
        for pool in pools.values():
            pool.close()
        for origin in started.values():
            await origin.stop()
        await asyncio.sleep(0.01)
    assert not made.edge.connections


def to(*origins: Origin, **settings: Any) -> UpstreamSettings:
    return UpstreamSettings(
        tuple(server_address(f"http://127.0.0.1:{origin.port}") for origin in origins), **settings
    )


def failure(made: Bench) -> tuple[str, int]:
    """Of the last exchange: its name and status."""
    found = made.done[-1][0].failure
    assert found is not None
    return found.name, found.status


def unused_port() -> int:
    """Nobody listens there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


Test = Callable[[], Coroutine[Any, Any, None]]


def both_loops(test: Test) -> Callable[[bool], None]:
    @pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
    @functools.wraps(test)
    def on_a_loop(fast: bool) -> None:
        run(test, fast)

    del on_a_loop.__wrapped__  # type: ignore[attr-defined]
    return on_a_loop


def run(test: Callable[[], Coroutine[Any, Any, None]], fast: bool = True, patience: float = PATIENCE) -> None:
    """Run a test in a loop of its own."""
    loop = new_loop(fast)
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.wait_for(test(), patience))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
