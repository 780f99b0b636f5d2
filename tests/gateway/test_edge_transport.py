# ruff: noqa: N802 - the names are those of Twisted's interfaces
"""Any Twisted protocol runs over the loops' transports, and Twisted's own reactor beside them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer
from zope.interface.verify import verifyObject

from runtime.edge.transport import HIGH_WATER, LoopTransport

sys.path.insert(0, str(Path(__file__).parent))
from edges import run

ROOT = Path(__file__).resolve().parent.parent.parent


async def serve(make: Callable[[], Protocol]) -> tuple[asyncio.Server, int]:
    server = await asyncio.get_running_loop().create_server(lambda: LoopTransport(make()), "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


def on(test: Callable[[], Awaitable[None]], fast: bool) -> None:
    run(test, fast)  # type: ignore[arg-type]


LOOPS = pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])


@LOOPS
def test_a_protocol_of_twisted_itself(fast: bool) -> None:
    lost: list[Any] = []

    class Upper(LineReceiver):
        def lineReceived(self, line: bytes) -> None:
            self.sendLine(line.upper())
            if line == b"end":
                self.transport.loseConnection()

        def connectionLost(self, reason: Any = None) -> None:
            lost.append(reason)

    async def test() -> None:
        server, port = await serve(Upper)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"one\r\ntw")
        assert await reader.readline() == b"ONE\r\n"
        writer.write(b"o\r\nend\r\n")
        assert await reader.read() == b"TWO\r\nEND\r\n"
        writer.close()
        server.close()
        while not lost:
            await asyncio.sleep(0.001)
        assert lost[0].type.__name__ == "ConnectionDone"

    on(test, fast)


@LOOPS
def test_it_is_a_transport_a_consumer_and_a_producer(fast: bool) -> None:
    made: list[Protocol] = []

    def make() -> Protocol:
        made.append(Protocol())
        return made[-1]

    async def test() -> None:
        server, port = await serve(make)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not made or made[0].transport is None:
            await asyncio.sleep(0.001)
        transport: Any = made[0].transport
        for interface in (ITCPTransport, IConsumer, IPushProducer):
            assert verifyObject(interface, transport)
        assert (transport.getPeer().host, transport.getPeer().port) == writer.get_extra_info("sockname")
        assert transport.getHost().port == port
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        assert transport.getTcpNoDelay() and transport.getTcpKeepAlive()
        transport.writeSequence([b"a", b"b"])
        transport.write(b"c")
        assert await reader.readexactly(3) == b"abc"
        transport.loseWriteConnection()
        transport.write(b"lost")
        assert await reader.read() == b""
        transport.abortConnection()
        while made[0].connected:
            if transport.disconnecting:
                break
        await asyncio.sleep(0.01)
        transport.write(b"after the end")  # as with Twisted's own transports, nothing happens
        writer.close()
        server.close()

    on(test, fast)


@LOOPS
def test_half_closed_connections_go_to_who_wants_to_know(fast: bool) -> None:
    heard: list[str] = []

    @implementer(IHalfCloseableProtocol)
    class Half(Protocol):
        def readConnectionLost(self) -> None:
            heard.append("read")
            transport: Any = self.transport
            transport.write(b"bye")
            transport.loseConnection()

        def writeConnectionLost(self) -> None: ...

    async def test() -> None:
        server, port = await serve(Half)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write_eof()
        assert await reader.read() == b"bye"
        assert heard == ["read"]
        writer.close()
        server.close()

    on(test, fast)


@LOOPS
@pytest.mark.parametrize("streaming", [True, False], ids=["push", "pull"])
def test_producers_follow_the_reader_s_pace(fast: bool, streaming: bool) -> None:
    total, size = 200, 50_000
    most = 0

    @implementer(IPushProducer)
    class Producing(Protocol):
        left = total
        paused = False

        def connectionMade(self) -> None:
            transport: Any = self.transport
            transport.registerProducer(self, streaming)
            with pytest.raises(RuntimeError, match="a producer already"):
                transport.registerProducer(self, streaming)
            if streaming:
                self.resumeProducing()

        def resumeProducing(self) -> None:
            nonlocal most
            self.paused = False
            transport: Any = self.transport
            while self.left and not self.paused:
                self.left -= 1
                transport.write(b"x" * size)
                most = max(most, transport.unsent)
                if not streaming:
                    break
            if not self.left:
                transport.unregisterProducer()
                transport.loseConnection()

        def pauseProducing(self) -> None:
            self.paused = True

        def stopProducing(self) -> None: ...

    async def test() -> None:
        server, port = await serve(Producing)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        await asyncio.sleep(0.05)
        count = 0
        while data := await reader.read(1 << 16):
            count += len(data)
        assert count == total * size
        assert most <= HIGH_WATER + 2 * size
        writer.close()
        server.close()

    on(test, fast)


@LOOPS
def test_reading_can_be_paused(fast: bool) -> None:
    got: list[bytes] = []
    made: list[Protocol] = []

    class Reading(Protocol):
        def connectionMade(self) -> None:
            made.append(self)

        def dataReceived(self, data: bytes) -> None:
            got.append(data)
            transport: Any = self.transport
            transport.pauseProducing()

    async def test() -> None:
        server, port = await serve(Reading)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"abc")
        while not got:
            await asyncio.sleep(0.001)
        writer.write(b"def")
        await asyncio.sleep(0.05)
        assert got == [b"abc"]
        transport: Any = made[0].transport
        transport.resumeProducing()
        while len(got) < 2:
            await asyncio.sleep(0.001)
        assert got == [b"abc", b"def"]
        transport.stopProducing()
        writer.close()
        server.close()

    on(test, fast)


@pytest.mark.parametrize("fast", [True, False])
def test_twisted_s_reactor_runs_on_the_same_loop(fast: bool) -> None:
    script = textwrap.dedent(f"""
        import asyncio, sys
        from runtime.edge.loop import install
        loop = install({fast})
        from twisted.internet import reactor, defer, endpoints, protocol
        from runtime.edge.transport import LoopTransport

        class Echo(protocol.Protocol):
            def dataReceived(self, data):
                self.transport.write(data)

        class Ask(protocol.Protocol):
            def connectionMade(self):
                self.transport.write(b"hello")
            def dataReceived(self, data):
                print(type(loop).__module__.split(".")[0], data.decode(), asyncio.get_event_loop() is loop)
                reactor.stop()

        async def begin():
            server = await loop.create_server(lambda: LoopTransport(Echo()), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            # a client over Twisted's own transport, with a Deferred
            point = endpoints.clientFromString(reactor, f"tcp:127.0.0.1:{{port}}")
            await endpoints.connectProtocol(point, Ask()).asFuture(loop)

        defer.Deferred.fromFuture(asyncio.ensure_future(begin(), loop=loop))
        reactor.callLater(10, lambda: sys.exit("too slow"))
        reactor.run(installSignalHandlers=False)
        try:
            install()
        except RuntimeError as error:
            print(error)
    """)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    kind = "uvloop" if fast else "asyncio"
    assert done.stdout.splitlines() == [f"{kind} hello True", "another reactor is installed already"]
