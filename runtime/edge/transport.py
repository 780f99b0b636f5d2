# ruff: noqa: N802 - the names are those of Twisted's interfaces
"""Twisted protocols over the transports of uvloop or asyncio.

Twisted's own transports cost twice the processor time of uvloop's, so the traffic sockets are made by the loop
(`create_server`, `create_connection`) and this adapter stands between: the loop's side sees an asyncio protocol, the
Twisted protocol sees an `ITransport` that is a producer and takes one. Bytes pass through no method of the adapter:
`data_received` is the protocol's `dataReceived`, and `write` the loop transport's own.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any, cast
from weakref import WeakKeyDictionary

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

DONE = Failure(ConnectionDone())  # type: ignore[no-untyped-call]
"""Why a connection ended that ended well; made once, as a Failure is expensive."""

HIGH_WATER = 64 * 1024
"""Bytes; the loops' own default: above it they call `pause_writing`."""


class Outbox:
    """What was posted in this turn of a loop, written when all that had come has been looked at.

    A write wakes whoever reads at the other end; written one behind the other, a dozen messages wake it once, where
    between them it would have time to fall asleep again. That is most of what a write costs (measured: a third of a
    routed request).
    """

    __slots__ = ("_call_soon", "_size", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._size = 0
        self._waiting: list[tuple[LoopTransport, bytes]] = []

    def post(self, transport: LoopTransport, data: bytes) -> None:
        if not self._waiting:
            self._call_soon(self.flush)
        self._waiting.append((transport, data))
        self._size += len(data)
        if self._size > HIGH_WATER:
            # libuv reads up to 32 times from one socket in a turn, 256 KiB each: only what is written says to whoever
            # reads it that it is enough.
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._size = 0
        for transport, data in waiting:
            transport.write(data)


_OUTBOXES: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = WeakKeyDictionary()


def outbox_of(loop: asyncio.AbstractEventLoop) -> Outbox:
    """The one of a loop: order among its transports is that of their posts."""
    outbox = _OUTBOXES.get(loop)
    if outbox is None:
        outbox = _OUTBOXES[loop] = Outbox(loop)
    return outbox


@implementer(ITCPTransport, IConsumer, IPushProducer)
class LoopTransport(asyncio.BaseProtocol):
    """Give it to the loop as the protocol. It makes the connection for one Twisted protocol and dies with it."""

    # No name `get_buffer` here: by it the loop would take this for a BufferedProtocol.
    __slots__ = (
        "_half_closed", "_loop_transport", "_producer", "_pull", "data_received", "disconnecting", "outbox", "protocol",
        "write", "writeSequence",
    )  # fmt: skip

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._loop_transport: asyncio.Transport = cast(Any, None)
        self._producer: Any = None
        self._pull = False
        self._half_closed = False
        self.disconnecting = False
        # The loop keeps this bound method from now on, so no call of ours stands between it and the protocol.
        self.data_received: Callable[[bytes], None] = protocol.dataReceived
        self.write: Callable[[bytes], None] = _unconnected
        self.writeSequence: Callable[[Iterable[bytes]], None] = _unconnected

    def post(self, data: bytes) -> None:
        """Write at the end of this turn of the loop. Whoever posts does not write: that would come first."""
        self.outbox.post(self, data)

    # --- the loop's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop_transport = loop_transport = cast(asyncio.Transport, transport)
        self.write = loop_transport.write
        self.outbox = outbox_of(asyncio.get_running_loop())
        self.writeSequence = loop_transport.writelines
        self.protocol.makeConnection(self)  # type: ignore[no-untyped-call]

    def eof_received(self) -> bool:
        """The peer sends no more. False lets the loop close when what was written is sent."""
        protocol: Any = self.protocol
        if not IHalfCloseableProtocol.providedBy(protocol):
            return False
        protocol.readConnectionLost()
        return True

    def connection_lost(self, reason: Exception | None) -> None:
        producer, self._producer = self._producer, None
        self.disconnecting = True
        self.write = self.writeSequence = _drop
        if producer is not None:
            producer.stopProducing()
        protocol = self.protocol
        # It refers to this transport: without these both are freed at once.
        del self.protocol, self.data_received
        if reason is None:
            protocol.connectionLost(DONE)
        else:
            protocol.connectionLost(Failure(ConnectionLost(str(reason))))  # type: ignore[no-untyped-call]

    def pause_writing(self) -> None:
        if self._producer is not None and not self._pull:
            self._producer.pauseProducing()

    def resume_writing(self) -> None:
        if self._producer is not None:
            if self._pull:
                self._ask()
            else:
                self._producer.resumeProducing()

    def _ask(self) -> None:
        """Have a pull producer write once more, and again until it unregisters or the peer is too slow."""
        if self._producer is not None and self._loop_transport.get_write_buffer_size() <= HIGH_WATER:
            self._producer.resumeProducing()
            asyncio.get_running_loop().call_soon(self._ask)

    # --- ITransport ---

    def loseConnection(self) -> None:
        """Close when everything written is sent."""
        self.outbox.flush()
        self.disconnecting = True
        self._loop_transport.close()

    def abortConnection(self) -> None:
        """Close at once; what was written and is not sent yet is lost."""
        self.outbox.flush()
        self.disconnecting = True
        self._loop_transport.abort()

    @property
    def closing(self) -> bool:
        """Also where the connection was lost and the protocol has not been told yet."""
        return self._loop_transport.is_closing()

    @property
    def unsent(self) -> int:
        """Bytes that were written and that the kernel has not taken yet."""
        return self._loop_transport.get_write_buffer_size()

    @property
    def outstanding(self) -> int:
        """Bytes that were written and that the peer has not taken yet, those in the kernel among them.

        The kernel makes room in large steps: by `unsent` alone a slow reader seems to stand still for minutes.
        """
        return self.unsent + queued(self.getHandle())

    def loseWriteConnection(self) -> None:
        self.outbox.flush()
        if not self._half_closed and not self.disconnecting:
            self._half_closed = True
            self.write = self.writeSequence = _drop
            self._loop_transport.write_eof()

    def getPeer(self) -> IPv4Address | IPv6Address | UNIXAddress:
        return _address(self._loop_transport.get_extra_info("peername"))

    def getHost(self) -> IPv4Address | IPv6Address | UNIXAddress:
        return _address(self._loop_transport.get_extra_info("sockname"))

    def detail(self, name: str) -> Any:
        """What the loop knows of the connection by this name (`peername`, `ssl_object`), or None."""
        return self._loop_transport.get_extra_info(name)

    def getHandle(self) -> Any:
        return self._loop_transport.get_extra_info("socket")

    # The two options have names of their own in Twisted's interface; both loops set TCP_NODELAY by themselves.

    def getTcpNoDelay(self) -> bool:
        return bool(self.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.getHandle().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(enabled))

    def getTcpKeepAlive(self) -> bool:
        return bool(self.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(enabled))

    # --- a producer of what the peer sends ---

    def pauseProducing(self) -> None:
        self._loop_transport.pause_reading()

    def resumeProducing(self) -> None:
        if not self._loop_transport.is_closing():
            self._loop_transport.resume_reading()

    def stopProducing(self) -> None:
        self.loseConnection()

    # --- a consumer of what is sent to the peer ---

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """A push producer is paused while more than 64 KiB wait to be sent; a pull producer is asked for more."""
        if self._producer is not None:
            raise RuntimeError("there is a producer already")
        if self.disconnecting:
            producer.stopProducing()
            return
        self._producer = producer
        self._pull = not streaming
        if not streaming:
            self._ask()
        elif self._loop_transport.get_write_buffer_size() > HIGH_WATER:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        self._producer = None


def queued(one: Any) -> int:
    """Bytes that the kernel holds for the peer of a socket; 0 where it does not say."""
    try:
        return int.from_bytes(ioctl(one.fileno(), TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
    except (OSError, AttributeError):
        return 0


def _address(name: Any) -> IPv4Address | IPv6Address | UNIXAddress:
    if isinstance(name, tuple) and len(name) == 2:
        return IPv4Address("TCP", name[0], name[1])
    if isinstance(name, tuple):
        return IPv6Address("TCP", *name)
    return UNIXAddress(name or None)


def _unconnected(_: Any) -> None:
    raise RuntimeError("there is no connection yet")


def _drop(_: Any) -> None:
    """Written after the end: Twisted's transports ignore it, so protocols do not check."""


