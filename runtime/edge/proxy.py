"""Listeners whose connections begin with a PROXY header.

The header is read from the accepted socket before the loop gets it, and not a byte more: what follows may be TLS. So
this accepts by itself. Nobody is believed who comes without a right header: such a listener is for proxies only.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from runtime.edge.connection import ServerConnection
from runtime.edge.transport import LoopTransport
from runtime.edge.wheel import NEVER, ticks
from runtime.wire.limits import WireError
from runtime.wire.proxy_header import BadProxyHeader, header_size, read_source

if TYPE_CHECKING:
    from runtime.edge.edge import Edge
    from runtime.tls import ServerTls

PAUSE: Final = 0.5
"""Seconds without accepting once there are no descriptors: the socket stays readable, and would wake us for ever."""
TELL: Final = 60.0
"""Seconds between two lines about connections without a right header."""
_PEEKED: Final = 4096 + 16
_QUEUED: Final = 4096
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class ProxyListener:
    """Accepts from a socket that listens, which it closes in the end. `refused`: connections without a right header.

    `handshake`: seconds for the header and the TLS handshake together. `on_error` is told what an operator should know.
    """

    def __init__(
        self, edge: Edge, listening: socket.socket, tls: ServerTls | None = None, handshake: float = 10.0,
        on_error: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.edge = edge
        self.refused = 0
        self._tls = tls
        self._ticks = ticks(handshake)
        self._on_error = on_error
        self._told = (-NEVER, 0)  # when, and how many had been refused then
        self._listening = listening
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        listening.setblocking(False)
        self._watch()

    def _watch(self) -> None:
        if not self._closed:
            # One in a turn of the loop: workers that share the socket get their share of what comes at once.
            self.edge.loop.add_reader(self._listening, self._accept)

    def _accept(self) -> bool:
        try:
            accepted, peer = self._listening.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED and not self._closed:
                self.edge.loop.remove_reader(self._listening)
                self.edge.loop.call_later(PAUSE, self._watch)
            return False  # else another worker was faster, or the client has left already
        if self.edge.crowded:
            accepted.close()
        else:
            accepted.setblocking(False)
            Arrival(self, accepted, peer[0], self.edge.wheel.now + self._ticks).look()
        return True

    def close(self) -> None:
        """Accept no more but what has come by now. Connections go on."""
        if not self._closed:
            self._closed = True
            self.edge.loop.remove_reader(self._listening)
            for _ in range(_QUEUED):
                if not self._accept():
                    break
            self._listening.close()

    # --- what arrivals report ---

    def arrived(self, accepted: socket.socket, source: tuple[str, int] | None, due: int) -> None:
        """The header has been read."""
        task = self.edge.loop.create_task(self._connect(accepted, source, due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket, source: tuple[str, int] | None, due: int) -> None:
        edge, tls = self.edge, self._tls

        def connection() -> ServerConnection:
            return ServerConnection(edge, source)

        def make() -> LoopTransport:
            return LoopTransport(connection()) if tls is None else tls.transport(connection, edge, due)

        try:
            await edge.loop.connect_accepted_socket(make, accepted)
        except OSError:
            accepted.close()  # the proxy has left

    def refuse(self, peer: str, why: str) -> None:
        self.refused += 1
        self.edge.refused(peer, WireError(400, "bad-proxy-header", why))
        now = self.edge.monotonic()
        since, before = self._told
        if self._on_error is not None and now - since >= TELL * 1e9:
            self._told = now, self.refused
            count = self.refused - before
            many = "a connection was" if count == 1 else f"{count} connections were"
            self._on_error(f"{many} closed as a PROXY header must come first: from `{peer}` came {why}")


class Arrival:
    """An accepted connection whose header has not come. It counts as one, among the edge's handshakes."""

    __slots__ = ("_got", "_listener", "_peer", "_socket", "_watching", "due", "seen")

    def __init__(self, listener: ProxyListener, accepted: socket.socket, peer: str, due: int) -> None:
        self.due = due
        self.seen = NEVER
        self._listener = listener
        self._socket = accepted
        self._peer = peer
        self._got = b""
        self._watching = False

    def look(self) -> None:
        """Read what has come of the header."""
        try:
            data = self._socket.recv(_PEEKED, socket.MSG_PEEK)
        except BlockingIOError:
            self._wait()
            return
        except OSError:
            self._end()
            return
        if not data:
            self._refuse("nothing" if not self._got else "a part of one")
            return
        try:
            size = header_size(self._got + data)
            # What is peeked at stays readable and would wake us for ever. As long as the header is not complete all of
            # it is the header's.
            taken = self._socket.recv(len(data) if size is None else size - len(self._got))
            self._got += taken
            if size is None or len(self._got) < size:
                self._wait()
                return
            source = read_source(self._got)
        except BadProxyHeader as error:
            self._refuse(str(error))
            return
        except OSError:
            self._end()
            return
        due = self.due
        self._leave()
        self._listener.arrived(self._socket, source, due)

    def _wait(self) -> None:
        if not self._watching:
            self._watching = True
            edge: Any = self._listener.edge
            edge.handshakes.add(self)
            edge.wheel.hasten(self)
            edge.loop.add_reader(self._socket, self.look)

    def _leave(self) -> None:
        if self._watching:
            self._watching = False
            edge: Any = self._listener.edge
            edge.handshakes.discard(self)
            edge.wheel.forget(self)
            edge.loop.remove_reader(self._socket)

    def _refuse(self, why: str) -> None:
        self._listener.refuse(self._peer, why)
        self._end()

    def _end(self) -> None:
        self._leave()
        self._socket.close()

    def expired(self) -> None:
        self._refuse("none in time" if not self._got else "a part of one in time")

    def abortConnection(self) -> None:  # noqa: N802 - the name is that of Twisted's interface
        self._end()
