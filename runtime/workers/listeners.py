"""A worker's listeners: each socket with the options that the policy gives its address, which a reload may change."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from runtime.edge.connection import ServerConnection
from runtime.edge.edge import Edge
from runtime.edge.transport import LoopTransport
from runtime.workers.settings import ListenerSettings
from runtime.workers.sockets import BACKLOG

if TYPE_CHECKING:
    from runtime.tls import ServerTls

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE = 0.5
"""Seconds without accepting once there are no descriptors: the socket stays readable, and would wake us for ever."""

Tls = dict[ListenerSettings, "ServerTls"]
Make = Callable[[], LoopTransport]


class Accepting(Protocol):
    def close(self) -> None: ...


@dataclass(slots=True)
class Listener:
    """`held` is the socket once more: it outlives the server that accepts from it, so options change without a gap."""

    settings: ListenerSettings
    held: socket.socket
    server: Accepting
    shared: bool


class OneByOne:
    """Accepts one connection in a turn of the loop, from a socket that other workers accept from too.

    Of 64 connections that came at once, the loop's own server gave 64 to one worker and none to the other; this one 28
    and 36. Who is busy turns less often, and so gets less.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, listening: socket.socket, make: Make) -> None:
        self._loop = loop
        self._listening = listening
        self._make = make
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        loop.add_reader(listening, self._accept)

    def _accept(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:
                self._loop.remove_reader(self._listening)
                self._loop.call_later(PAUSE, self._go_on)
            return  # else: another worker was faster, or the client has left already
        accepted.setblocking(False)
        task = self._loop.create_task(self._connect(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, accepted)
        except OSError:
            accepted.close()  # the client has left

    def _go_on(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        self._closed = True
        self._loop.remove_reader(self._listening)
        self._listening.close()


class Listeners:
    """`prepare` what may be refused, `install` it, `change` what is open; `listen` opens, `keep` closes the others."""

    def __init__(self, edge: Edge, loop: asyncio.AbstractEventLoop, on_error: Callable[[str], None]) -> None:
        self._edge = edge
        self._loop = loop
        self._on_error = on_error
        self._open: dict[str, Listener] = {}
        self._settings: dict[str, ListenerSettings] = {}
        self.tls: Tls = {}

    def prepare(self, settings: Iterable[ListenerSettings]) -> Tls:
        """The TLS of these listeners: what there is stays. Raises ValueError with one sentence."""
        tls: Tls = {}
        for one in settings:
            if one.cert:
                from runtime.tls import server_contexts

                tls[one] = self.tls.get(one) or server_contexts(one, self._on_error)
        return tls

    def install(self, settings: Iterable[ListenerSettings], tls: Tls) -> None:
        self._settings = {one.address: one for one in settings}
        self.tls = tls

    async def change(self) -> None:
        """Give the open ones the options that were installed. No socket is closed, connections go on as they began."""
        for name, listener in self._open.items():
            wanted = self._settings.get(name, listener.settings)
            if wanted != listener.settings:
                before = listener.server
                listener.server = await self._accept(wanted, listener.held, listener.shared)
                listener.settings = wanted
                before.close()

    async def listen(self, name: str, listening: socket.socket, shared: bool = False) -> None:
        """Accept the connections of a listening socket under the name that the policy gives its address."""
        listening.setblocking(False)
        settings = self._settings[name]
        server = await self._accept(settings, listening, shared)
        self._open[name] = Listener(settings, listening, server, shared)

    async def _accept(self, settings: ListenerSettings, held: socket.socket, shared: bool) -> Accepting:
        edge, loop = self._edge, self._loop
        tls = self.tls.get(settings)
        one = held.dup()
        one.setblocking(False)
        if settings.proxy_protocol:
            from runtime.edge.proxy import ProxyListener

            return ProxyListener(edge, one, tls, settings.handshake, self._on_error)

        def connection() -> ServerConnection:
            return ServerConnection(edge)

        def make() -> LoopTransport:
            return LoopTransport(ServerConnection(edge)) if tls is None else tls.transport(connection, edge)

        if shared:
            return OneByOne(loop, one, make)
        return await loop.create_server(make, sock=one, backlog=BACKLOG)

    def keep(self, names: Collection[str]) -> None:
        """Close those that are not named; their connections go on."""
        for name in [name for name in self._open if name not in names]:
            listener = self._open.pop(name)
            listener.server.close()
            listener.held.close()
