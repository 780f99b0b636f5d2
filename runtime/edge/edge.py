"""What the connections of a worker share, and its listeners."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from policylang.sdk import Clock, Environment, Exchange, Response, Waiter
from runtime.edge.answer import Dates
from runtime.edge.connection import RATE_WINDOW, ServerConnection
from runtime.edge.forwarded import Claims, Told
from runtime.edge.forwarding import RequestIds
from runtime.edge.networks import Networks
from runtime.edge.request import Granted
from runtime.edge.settings import EdgeSettings
from runtime.edge.transport import LoopTransport
from runtime.edge.wheel import TICK, Wheel, ticks
from runtime.wire.limits import WireError
from runtime.wire.request import RequestHead

if TYPE_CHECKING:
    from runtime.tls import ServerTls
    from runtime.tls.transport import ServerTransport

Handler: TypeAlias = Callable[[Exchange], Coroutine[Waiter[Any], None, Response]]
"""`Tree.handle`: gives the final answer, never raises except when it is closed, suspends only by yielding Waiters."""


class OnDone(Protocol):
    """Called when an answer is written or given up. `received`, `sent`: body bytes; `ended`: monotonic ns.

    `status` 499: the client left first. `head` and `host`: the request as it came, which the policy may have changed
    since; what else is known of it is on its `trace`.
    """

    def __call__(
        self, exchange: Exchange, status: int, received: int, sent: int, ended: int, head: RequestHead, host: str
    ) -> None: ...


class OnRefused(Protocol):
    """Called for a request that the wire rules refused before there was an exchange."""

    def __call__(self, client: str, error: WireError) -> None: ...


class Edge:
    """One for a worker. `use` sets the policy; requests that have begun keep theirs.

    `traced` follows `on_done`: nothing is measured that nobody asks for. `journal` makes the list that an exchange gets
    for the tree's outcomes; `grant` is asked about requests that show a token for theirs.
    """

    def __init__(
        self, settings: EdgeSettings, loop: asyncio.AbstractEventLoop, clock: Clock, wheel: Wheel | None = None
    ) -> None:
        self.loop = loop
        self.wheel = wheel or Wheel(clock)
        self.monotonic = clock.monotonic
        self.ids = RequestIds()
        self.dates = Dates(clock.wall)
        self.connections: set[ServerConnection] = set()
        self._put_off: deque[ServerConnection] = deque()
        self.handshakes: set[ServerTransport] = set()
        self.draining = False
        self.parting = False  # answers say `Connection: close`; everything else is as ever
        self.handle: Handler
        self.environment: Environment
        self.on_done: OnDone | None = None
        self.on_refused: OnRefused | None = None
        self.traced = False
        self.journal: Callable[[], list[Any]] | None = None
        self.grant: Callable[[Exchange, bytes], Granted | None] | None = None
        self.trusted = self.timed = Networks()
        self.timing = False
        self.behind_proxies: dict[tuple[str, str, str, str, bytes, Claims], tuple[Told, bytes]] = {}
        self._servers: list[asyncio.Server] = []
        self._emptied: asyncio.Future[None] | None = None
        self.configure(settings)

    def configure(self, settings: EdgeSettings) -> None:
        """Connections that are open keep the wire limits they began with."""
        self.settings = settings
        self.pipelined = settings.pipelined
        self.header_ticks = ticks(settings.header)
        self.idle_ticks = ticks(settings.idle)
        self.request_ticks = ticks(settings.request)
        self.upgrade_idle_ticks = ticks(settings.upgrade_idle)
        self.upgrade_life_ticks = ticks(settings.upgrade_life)
        self.rate_in_window = int(settings.body_rate * RATE_WINDOW * TICK)
        if settings.trusted != self.trusted or settings.timed != self.timed:
            # Whoever is not trusted any more is not believed any more, also on a connection that is open.
            self.trusted, self.timed = settings.trusted, settings.timed
            self.timing = bool(self.timed)
            self.traced = self.on_done is not None or self.timing
            self.behind_proxies.clear()
            for connection in self.connections:
                connection.trust()
        self.rate_in_idle = int(settings.body_rate * settings.idle)

    def use(
        self, handle: Handler, environment: Environment, on_done: OnDone | None = None, journal: bool = False
    ) -> None:
        self.handle = handle
        self.environment = environment
        self.on_done = on_done
        self.traced = on_done is not None or self.timing
        self.journal = list if journal else None

    def time_next(self, make: Callable[[], list[Any]]) -> None:
        """Have the next exchange's journal made so, and those after it as ever."""

        def once() -> list[Any]:
            self.journal = list
            return make()

        if self.journal is not None:
            self.journal = once

    # --- listeners ---

    def accepting(self, tls: ServerTls | None = None) -> Callable[[], LoopTransport]:
        """What makes the loop's protocol for an accepted connection, which the loop takes for a plain one."""
        if tls is None:
            return lambda: LoopTransport(ServerConnection(self))
        secure = tls
        return lambda: secure.transport(lambda: ServerConnection(self), self)

    async def listen(self, listening: socket.socket, tls: ServerTls | None = None) -> None:
        """Accept the connections of a socket that is bound and listens."""
        listening.setblocking(False)
        self._servers.append(await self.loop.create_server(self.accepting(tls), sock=listening, backlog=2048))

    def stop_listening(self) -> None:
        """Accept no more. The loop closes the sockets it was given (their duplicates elsewhere live on)."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    def drain(self, fresh: bool = True) -> None:
        """From now on answers say `Connection: close`, and connections without a request are closed.

        `fresh`: those too that have not asked for anything yet. Clients ask again when a kept connection closes, but
        take it for a failure when a new one does.
        """
        self.draining = self.parting = True
        if not fresh:
            for connection in [one for one in self.connections if one.status]:
                connection.drain()
            return
        for handshake in list(self.handshakes):
            handshake.abortConnection()
        for connection in list(self.connections):
            connection.drain()

    async def emptied(self) -> None:
        """Until no connection is left."""
        if self.connections:
            if self._emptied is None:
                self._emptied = self.loop.create_future()
            await self._emptied

    def abort(self) -> None:
        """Cut everything."""
        for handshake in list(self.handshakes):
            handshake.abortConnection()
        for connection in list(self.connections):
            connection.abort()

    def cut(self, exchange: Exchange, name: str, detail: str) -> None:
        """Give up an exchange that must not go on, wherever it is; nothing where it is over."""
        exchange = exchange.origin or exchange
        for connection in self.connections:
            if connection.exchange is exchange:
                connection.give_up(name, detail)
                return

    # --- what connections report ---

    def put_off(self, connection: ServerConnection) -> None:
        """Serve it again later: of all that have asked for more than their turn, one in each turn of the loop.

        However many they are, whoever asks for little waits for no more than one of them.
        """
        if not self._put_off:
            self.loop.call_soon(self._next_turn)
        self._put_off.append(connection)

    def _next_turn(self) -> None:
        connection = self._put_off.popleft()
        if self._put_off:
            self.loop.call_soon(self._next_turn)
        connection.take_turn()

    @property
    def crowded(self) -> bool:
        """Whether there are as many connections as there may be, those in their TLS handshake among them."""
        return len(self.connections) + len(self.handshakes) >= self.settings.connections

    def opened(self, connection: ServerConnection) -> bool:
        """False for one too many: it is answered and closed."""
        self.connections.add(connection)
        if len(self.connections) > self.settings.connections:
            connection.refuse(WireError(503, "too-many-connections", "the gateway has all the connections it may have"))
            return False
        return True

    def closed(self, connection: ServerConnection) -> None:
        self.connections.discard(connection)
        if not self.connections and self._emptied is not None:
            self._emptied.set_result(None)
            self._emptied = None

    def refused(self, client: str, error: WireError) -> None:
        if self.on_refused is not None:
            self.on_refused(client, error)
