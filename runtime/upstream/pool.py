"""The connections of a worker to one upstream, and how a request gets its answer over them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from policylang.sdk import Clock, Exchange, Failed, Response, UpstreamCall, Waiter
from runtime.edge.request import ReceivedRequest
from runtime.edge.stream import BodyStream
from runtime.edge.transport import LoopTransport
from runtime.edge.wheel import NEVER, Wheel, ticks
from runtime.upstream.alone import Alone
from runtime.upstream.balance import Candidate, RoundRobin
from runtime.upstream.connection import UpstreamConnection
from runtime.upstream.dial import Dial
from runtime.upstream.failures import Stale, broken, timeout
from runtime.upstream.mirror import copy_of, send_copy
from runtime.upstream.settings import ServerAddress, UpstreamSettings

# RFC 9110 9.2.2: only these may be sent again when nobody knows what became of the first time.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class Server(Candidate):
    """One server of an upstream, with its connections that are kept for the next request, the last used one last."""

    __slots__ = ("address", "idle")

    def __init__(self, address: ServerAddress) -> None:
        super().__init__(address.text, address.weight)
        self.address = address
        self.idle: list[UpstreamConnection] = []


class Turn:
    """A request that waits until one of all the upstream's connections is free."""

    __slots__ = ("dial", "due", "pool", "seen", "server", "waiter")

    def __init__(self, pool: UpstreamPool, server: Server, waiter: Waiter[UpstreamConnection]) -> None:
        self.due = self.seen = NEVER
        self.pool = pool
        self.server = server
        self.waiter = waiter
        self.dial: Dial | None = None  # once a connection is opened for it

    def expired(self) -> None:
        self.pool.queue.remove(self)
        limit = self.pool.settings.connections
        self.waiter.fail(timeout(f"all {limit} connections to `{self.pool.name}` are in use"))


class UpstreamPool:
    """An `UpstreamClient`. `open`: connections that are open or being opened, to all servers."""

    def __init__(
        self, name: str, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop, wheel: Wheel, clock: Clock
    ) -> None:
        self.name = name
        self.settings = settings
        self.wheel = wheel
        self.head_ticks = ticks(settings.head)
        self.between_ticks = ticks(settings.between)
        self.idle_ticks = ticks(settings.idle)
        self.servers = [Server(address) for address in settings.servers]
        self._only = self.servers[0] if len(self.servers) == 1 else None
        self.queue: deque[Turn] = deque()
        self.open = 0
        self.copies = 0
        self.closing = False
        self._balance = RoundRobin(self.servers)
        self._loop = loop
        self._monotonic = clock.monotonic

    def _send(self, exchange: Exchange, call: UpstreamCall) -> Generator[Waiter[Any], None, Response]:
        """The answer's head; its body is held if it came with it, else it streams. Raises Failed."""
        request: ReceivedRequest = exchange.request  # type: ignore[assignment]  # a cast would be a call
        trace = request.trace
        started = 0 if trace is None else self._monotonic()
        former = exchange.response
        if former is not None and former.body is None:
            cast(BodyStream, former.source).refuse()
        method = call.method or request.method
        refused = 0
        repeated = False
        try:
            while True:
                server = self._only or self._next()
                if trace is not None:
                    trace.attempts += 1
                    trace.pool = self.name
                    trace.server = server.address.text
                if server.idle and not repeated:
                    connection = server.idle.pop()
                else:
                    # After a stale connection its neighbours are suspect too: the repetition gets a new one.
                    try:
                        connection = yield from self._acquire(server)
                    except Failed:
                        refused += 1
                        if refused < len(self.servers):
                            continue
                        raise
                if method not in _IDEMPOTENT and cast(LoopTransport, connection.transport).closing:
                    repeated = True
                    continue  # nothing was sent
                try:
                    waiter = connection.start(request, call, method)
                except Failed:
                    self.release(connection)
                    raise
                try:
                    if waiter.error is None:
                        yield waiter
                    if waiter.error is not None:
                        raise waiter.error
                except Stale:
                    if repeated or method not in _IDEMPOTENT or request.body is None:
                        raise broken(f"{server.address.text} closed the connection without an answer") from None
                    repeated = True
                    continue
                except GeneratorExit:
                    connection.abandon(waiter)
                    raise
                response = waiter.value
                if trace is not None:
                    trace.status = response.status
                if response.body is None:
                    if request.streams is None:
                        request.streams = []
                    request.streams.append(cast(BodyStream, response.source))
                return response
        finally:
            if trace is not None:
                trace.upstream += self._monotonic() - started

    if TYPE_CHECKING:

        async def send(self, exchange: Exchange, call: UpstreamCall) -> Response: ...
    else:
        # A generator may give its waiter away by itself; a coroutine would need another generator for that.
        send = coroutine(_send)

    def mirror(self, exchange: Exchange, call: UpstreamCall) -> None:
        """Send a copy of the request, unless too many are under way. Not tried again: a copy is not worth it."""
        copied = copy_of(exchange) if self.copies < self.settings.mirrored else None
        if copied is None:
            return

        def ended(error: Exception | None) -> None:
            self.copies -= 1
            if error is not None:
                exchange.environment.defect(error, exchange)

        self.copies += 1
        once = UpstreamCall(call.target, call.timeout, method=call.method, host=call.host, retries=0)
        Alone(send_copy(self.send, copied, once, self.wheel, self.head_ticks), ended).advance()

    def _next(self) -> Server:
        return cast(Server, self._balance.choose("", 0))

    def _acquire(self, server: Server) -> Generator[Waiter[Any], None, UpstreamConnection]:
        waiter: Waiter[UpstreamConnection] = Waiter()
        if self.open < self.settings.connections:
            self.open += 1
            dial = Dial(self, server, waiter, self._loop)
            try:
                return (yield from waiter.__await__())
            except GeneratorExit:
                dial.waiter = None  # the connection is kept for others
                raise
        for other in self.servers:
            if other.idle:  # another server's, or not to be trusted: it makes room
                other.idle[0].expired()
                return (yield from self._acquire(server))
        turn = Turn(self, server, waiter)
        turn.due = self.wheel.now + ticks(self.settings.connect)
        self.wheel.hasten(turn)
        self.queue.append(turn)
        try:
            return (yield from waiter.__await__())
        except GeneratorExit:
            if turn.dial is None:
                self.queue.remove(turn)
            else:
                turn.dial.waiter = None
            raise
        finally:
            self.wheel.forget(turn)

    # --- what connections and dials report ---

    def release(self, connection: UpstreamConnection) -> None:
        """It has nothing to do and may be used again."""
        if self.queue:
            self.queue.popleft().waiter.fire(connection)
        elif self.closing:
            connection.expired()
        else:
            connection.due = self.wheel.now + self.idle_ticks
            if connection.due < connection.seen:
                self.wheel.hasten(connection)
            connection.server.idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """It is closed, or about to be."""
        idle = connection.server.idle
        if connection in idle:
            idle.remove(connection)
        if connection.counted:
            connection.counted = False
            self._freed()

    def dialled(self, dial: Dial, connection: UpstreamConnection) -> None:
        if connection.closed:
            self.dial_failed(dial, broken(f"{connection.server.address.text} closed the connection at once"))
            return
        connection.counted = True
        if dial.waiter is not None:
            dial.waiter.fire(connection)
        else:
            self.release(connection)

    def dial_failed(self, dial: Dial, failure: Failed) -> None:
        self._freed()
        if dial.waiter is not None:
            dial.waiter.fail(failure)

    def _freed(self) -> None:
        self.open -= 1
        if self.queue and self.open < self.settings.connections:
            turn = self.queue.popleft()
            self.open += 1
            self.wheel.forget(turn)
            turn.dial = Dial(self, turn.server, turn.waiter, self._loop)

    def close(self) -> None:
        """Close what is idle now, and everything else when its answer is complete."""
        self.closing = True
        for server in self.servers:
            for connection in list(server.idle):
                connection.expired()
