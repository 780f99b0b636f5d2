# ruff: noqa: N802 - the names are those of Twisted's interfaces
"""TLS between a loop's plain transport and a Twisted protocol.

The loops have TLS transports of their own, which cost as much. This one is alike on both and knows what they do not: a
handshake that is not done counts as a connection and has its deadline in the wheel; `close_notify` and the end of the
bytes beneath it are two things; a connection is half-closed for writing as a plain one is; and what stalls in its
handshake takes 40 KB, where each connection of asyncio's begins with a buffer of 256.

A protocol is made when the handshake is done: until then there is nothing that it could do.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, cast

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol as Connection
from twisted.python.failure import Failure

from runtime.edge.transport import DONE, LoopTransport, _drop, _unconnected, outbox_of
from runtime.edge.wheel import NEVER, Wheel
from runtime.tls.files import reason_of

RECORD: Final = 16 * 1024
"""Bytes; the most that one record carries (RFC 8446 5.1)."""
_SHAKING, _OPEN, _NO_MORE, _DEAD = range(4)


class Accepting(Protocol):
    """What the handshakes of a worker's clients share."""

    wheel: Wheel
    handshakes: set[ServerTransport]

    @property
    def crowded(self) -> bool:
        """Whether there are as many connections as there may be, those in their handshake among them."""
        ...


class TlsTransport(LoopTransport):
    """One side of a connection. What differs between the sides: when its handshake ends, and what a cut means."""

    __slots__ = ("_incoming", "_make", "_outgoing", "_state", "_why", "ssl_object")

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make: Callable[[], Connection] | None = make
        self._loop_transport: asyncio.Transport = cast(Any, None)
        self._producer: Any = None
        self._pull = False
        self._half_closed = False
        self.disconnecting = False
        self.data_received = self._received
        self.write = _unconnected
        self.writeSequence = _unconnected
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._state = _SHAKING
        self._why = ""
        self.ssl_object: ssl.SSLObject = cast(Any, None)

    # --- the handshake ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop_transport = cast(asyncio.Transport, transport)
        self.outbox = outbox_of(asyncio.get_running_loop())

    def _shake(self) -> None:
        """Take the handshake as far as it goes with what has come."""
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
        except ssl.SSLError as error:
            self._send()  # the alert
            self._broken(error)
        else:
            # Not before what the handshake has left to say: a client that is refused now learns so from its alert.
            self._send()
            self._state = _OPEN
            self.write = self._write
            self.writeSequence = self._write_all
            self.protocol = cast(Callable[[], Connection], self._make)()
            self._make = None
            self._shaken()
            if self._incoming.pending and not self.disconnecting:
                self._received(b"")

    def _shaken(self) -> None:
        self.protocol.makeConnection(self)  # type: ignore[no-untyped-call]

    def _broken(self, error: ssl.SSLError) -> None:
        """The handshake has failed."""
        self._state = _DEAD
        self._loop_transport.close()

    # --- the loop's side ---

    def _received(self, data: bytes) -> None:
        incoming = self._incoming
        if self._state != _OPEN:
            if self._state == _SHAKING:
                incoming.write(data)
                self._shake()
            return  # behind `close_notify` nothing counts (RFC 8446 6.1)
        incoming.write(data)
        read = self.ssl_object.read
        try:
            plain = read(RECORD)
            if incoming.pending:
                # Several records at once. All of them are read before the protocol sees any, as it may pause: then
                # nothing but a part of a record is left here.
                pieces = [plain]
                try:
                    while plain and incoming.pending:
                        plain = read(RECORD)
                        pieces.append(plain)
                except ssl.SSLWantReadError:
                    pass
                data = b"".join(pieces)
            else:
                data = plain
        except ssl.SSLWantReadError:
            if self._outgoing.pending:
                self._send()
            return
        except ssl.SSLError as error:
            self._send()  # the alert
            self._damaged(error)
            return
        if self._outgoing.pending:
            self._send()  # the answer to a new key, for example
        if data:
            self.protocol.dataReceived(data)
        if not plain and self._state == _OPEN:
            self._finished()

    def _damaged(self, error: ssl.SSLError) -> None:
        """What comes is no TLS, or the peer's alert."""
        self._fail(f"TLS was broken off: {reason_of(error)}")

    def _finished(self) -> None:
        """`close_notify` has come."""
        self._state = _NO_MORE
        self._peer_ended()

    def _peer_ended(self) -> None:
        protocol: Any = self.protocol
        if IHalfCloseableProtocol.providedBy(protocol):
            protocol.readConnectionLost()
        else:
            self.loseConnection()

    def eof_received(self) -> bool:
        state = self._state
        if state == _OPEN:
            self._state = _NO_MORE
            self._truncated()
        return state in (_OPEN, _NO_MORE) and not self.disconnecting

    def _truncated(self) -> None:
        """The bytes have ended without `close_notify`."""
        self._peer_ended()

    def _fail(self, reason: str) -> None:
        """The connection is of no use any more; the protocol hears so from `connection_lost`."""
        self._state = _DEAD
        self._why = reason
        self.abortConnection()

    def connection_lost(self, reason: Exception | None) -> None:
        producer, self._producer = self._producer, None
        self.disconnecting = True
        made = self._make is None
        self._state = _DEAD
        # These refer to this transport: without them it is freed at once.
        self.write = self.writeSequence = _drop
        self._make = None
        del self.data_received
        if not made:
            self._never_made(reason)
            return
        if producer is not None:
            producer.stopProducing()
        protocol = self.protocol
        del self.protocol
        if reason is None and not self._why:
            protocol.connectionLost(DONE)
        else:
            protocol.connectionLost(Failure(ConnectionLost(self._why or str(reason))))  # type: ignore[no-untyped-call]

    def _never_made(self, reason: Exception | None) -> None:
        """The connection has ended within its handshake."""

    # --- ITransport ---

    def _write(self, data: bytes) -> None:
        try:
            sent = self.ssl_object.write(data)
            if sent < len(data):
                rest = memoryview(data)
                while sent < len(data):
                    sent += self.ssl_object.write(rest[sent:])
        except ssl.SSLError:
            self._fail("TLS takes nothing more")
            return
        self._loop_transport.write(self._outgoing.read())

    def _write_all(self, pieces: Iterable[bytes]) -> None:
        self._write(b"".join(pieces))

    def _send(self) -> None:
        if self._outgoing.pending:
            self._loop_transport.write(self._outgoing.read())

    def _say_goodbye(self) -> None:
        """Send `close_notify`, once (RFC 8446 6.1: nothing may be written after it)."""
        if self.write == self._write:
            self.write = self.writeSequence = _drop
            try:
                self.ssl_object.unwrap()
            except ssl.SSLError:
                pass  # it wants the peer's, which is no reason to wait
            self._send()

    def loseConnection(self) -> None:
        self.outbox.flush()
        self._say_goodbye()
        self.disconnecting = True
        self._loop_transport.close()

    def loseWriteConnection(self) -> None:
        self.outbox.flush()
        if not self._half_closed and not self.disconnecting:
            self._half_closed = True
            self._say_goodbye()
            self._loop_transport.write_eof()

    def detail(self, name: str) -> Any:
        return self.ssl_object if name == "ssl_object" else self._loop_transport.get_extra_info(name)


class ServerTransport(TlsTransport):
    """A client's connection. `due` is the tick at which its handshake must be done; it keeps its place among
    `accepting.handshakes` until then."""

    __slots__ = ("_accepting", "_context", "_refused", "due", "seen")

    def __init__(
        self, make: Callable[[], Connection], context: ssl.SSLContext, accepting: Accepting, due: int,
        refused: Callable[[ssl.SSLError, str], None],
    ) -> None:  # fmt: skip
        super().__init__(make)
        self._refused = refused
        self._context = context
        self._accepting = accepting
        self.due = due
        self.seen = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        accepting = self._accepting
        if accepting.crowded:
            # An answer would have to wait for a handshake, which is what there is no room for.
            self._state = _DEAD
            self._loop_transport.abort()
            return
        accepting.handshakes.add(self)
        accepting.wheel.hasten(self)
        self.ssl_object = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def expired(self) -> None:
        self._state = _DEAD
        self._loop_transport.abort()

    def _left(self) -> None:
        self._accepting.handshakes.discard(self)
        self._accepting.wheel.forget(self)

    def _shaken(self) -> None:
        self._left()
        super()._shaken()

    def _broken(self, error: ssl.SSLError) -> None:
        self._left()
        super()._broken(error)
        peer = self._loop_transport.get_extra_info("peername")
        self._refused(error, str(peer[0]) if isinstance(peer, tuple) else "")

    def _never_made(self, reason: Exception | None) -> None:
        self._left()


class ClientTransport(TlsTransport):
    """A connection to a server. `shaken` is done when its handshake is, or raises why that failed: OSError.

    Whoever waits for it and leaves aborts the connection. `tell` hears what ends it later: in TLS 1.3 a server says
    only then that it wants a certificate, or another one.
    """

    __slots__ = ("_name", "_setup", "_tell", "shaken")

    def __init__(
        self, make: Callable[[], Connection], context: ssl.SSLContext, server_name: str,
        shaken: asyncio.Future[None], tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        super().__init__(make)
        self._tell = tell
        self.shaken = shaken
        self._setup: ssl.SSLContext = context
        self._name = server_name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.ssl_object = self._setup.wrap_bio(self._incoming, self._outgoing, server_hostname=self._name)
        self._shake()

    def _shaken(self) -> None:
        super()._shaken()
        if not self.shaken.done():
            self.shaken.set_result(None)

    def _broken(self, error: ssl.SSLError) -> None:
        if not self.shaken.done():
            self.shaken.set_exception(error)
        super()._broken(error)

    def _damaged(self, error: ssl.SSLError) -> None:
        super()._damaged(error)
        self._tell(reason_of(error))

    def _truncated(self) -> None:
        # RFC 9112 9.8: a body that ends with the connection is incomplete without `close_notify`.
        self._fail("the server closed without `close_notify`")

    def _never_made(self, reason: Exception | None) -> None:
        if not self.shaken.done():
            why = f"the server left within the TLS handshake: {reason or 'closed'}"
            self.shaken.set_exception(ssl.SSLError(ssl.SSL_ERROR_EOF, why))
