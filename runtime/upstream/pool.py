"""The connections of a worker to one upstream, and how a request gets its answer over them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Sequence
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from policylang.sdk import Clock, Exchange, Failed, Response, UpstreamCall, Waiter
from policylang.sdk.circuit import Circuit
from runtime.edge.linger import leave
from runtime.edge.request import ReceivedRequest
from runtime.edge.stream import BodyStream
from runtime.edge.transport import LoopTransport
from runtime.edge.wheel import Wheel, ticks
from runtime.upstream.alone import Alone
from runtime.upstream.balance import Balance, Latency, LeastConnections, RoundRobin
from runtime.upstream.budget import Budget
from runtime.upstream.checks import Check
from runtime.upstream.connection import UpstreamConnection
from runtime.upstream.dial import Dial, Routes
from runtime.upstream.failures import Busy, broken, unavailable
from runtime.upstream.mirror import copy_of, send_copy
from runtime.upstream.ring import Ring
from runtime.upstream.server import Server, ServerStatus
from runtime.upstream.settings import UpstreamSettings
from runtime.upstream.tries import IDEMPOTENT, NO_ANSWER, NOT_ASKED, Tries
from runtime.upstream.waiting import Turn
from runtime.upstream.watch import Watch

_BALANCES: Final[dict[str, type[Balance[Server]]]] = {
    "round_robin": RoundRobin, "least_connections": LeastConnections, "latency": Latency, "hash": Ring,
}  # fmt: skip
_OUTLYING: Final = frozenset({NO_ANSWER, 502, 503, 504})
_LOOK_FURTHER: Final = 8
"""Servers that are passed over for one request because they have all the connections they may have, or their circuit
has all its probes under way: it must not come to looking at a thousand of them."""


class UpstreamPool:
    """An `UpstreamClient`. `open`: connections that are open or being opened, to all servers.

    `timed`: how long answers take matters to somebody; `counted`: so does how many requests a server works on.
    `former`: the pool that had this name before a reload; what stays the same of its servers is taken over.
    """

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        loop: asyncio.AbstractEventLoop,
        wheel: Wheel,
        clock: Clock,
        former: UpstreamPool | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.wheel = wheel
        self.monotonic = clock.monotonic
        self.sleep = clock.sleep
        self.loop = loop
        self.head_ticks = ticks(settings.head)
        self.between_ticks = ticks(settings.between)
        self.idle_ticks = ticks(settings.idle)
        self.servers = [Server(address, settings.server_circuit) for address in settings.servers]
        self.queue: deque[Turn] = deque()
        self.open = 0
        self.copies = 0
        self._made_room = 0
        self._retry_in = (-1, 0.0)  # a tick, and what `_retry_after` has said in it
        self.closing = False
        self.requests = 0
        self.budget = Budget(settings.retries.budget, wheel, lambda: self.requests)
        self.circuit = None if settings.circuit is None else Circuit(settings.circuit)
        if former is not None:
            self._take_over(former)
        self._groups = self._grouped()
        self._first = self._groups[0]
        self._key: Callable[[Exchange], str] | None = None
        slow = settings.outliers.slower_than
        self._slower_than = 0 if slow is None else round(slow * 1e9)
        self.counted = self._first.counted
        self.timed = self._first.timed or bool(self._slower_than or settings.circuit or settings.server_circuit)
        self._plain = False
        self._only: Server | None = None
        self._weighing = False
        self.watch = Watch(self.servers, settings, wheel, self._changed)
        self._weigh()
        self.checks = [] if settings.health is None else [Check(self, server) for server in self.servers]

    # --- a request ---

    def _send(self, exchange: Exchange, call: UpstreamCall) -> Generator[Waiter[Any], None, Response]:
        """The answer's head; its body is held if it came with it, else it streams. Raises Failed."""
        request: ReceivedRequest = exchange.request  # type: ignore[assignment]  # a cast would be a call
        trace = request.trace
        started = 0 if trace is None else self.monotonic()
        former = exchange.response
        if former is not None and former.body is None:
            cast(BodyStream, former.source).refuse()
        method = call.method or request.method
        self.requests += 1
        server = self._only
        try:
            # The usual case, without a call that it can do without: a kept connection, an answer, nothing to note.
            if server is None and self._plain:
                server = self._first.choose("", 0)
            if server is not None and server.idle:
                connection = server.idle.pop()
                if method in IDEMPOTENT or not cast(LoopTransport, connection.transport).closing:
                    if trace is not None:
                        trace.attempts += 1
                        trace.pool = self.name
                        trace.server = server.name
                    try:
                        waiter = connection.start(request, call, method)
                    except Failed:
                        self.release(connection)
                        raise
                    if waiter.error is None:
                        try:
                            yield waiter
                        except GeneratorExit:
                            leave(connection, waiter, exchange)
                            raise
                    if waiter.error is not None:
                        self._note_failure(server, waiter.error)
                        return (yield from Tries(self, exchange, call, method).run(server, waiter.error))
                    answer: Response = waiter.value
                    if trace is not None:
                        trace.status = answer.status
                    if answer.body is None:
                        connection.vouched = answer.status < 500
                        if request.streams is None:
                            request.streams = []
                        request.streams.append(cast(BodyStream, answer.source))
                    elif server.failures and answer.status < 500:
                        server.failures = 0
                    if answer.status >= 502:
                        self._note_failure(server, None, answer.status)
                    return answer
            tries = Tries(self, exchange, call, method)
            if self.circuit is None:
                return (yield from tries.run(server))
            return (yield from self._guarded(tries, self.circuit, server))
        finally:
            if trace is not None:
                trace.upstream += self.monotonic() - started

    if TYPE_CHECKING:

        async def send(self, exchange: Exchange, call: UpstreamCall) -> Response: ...
    else:
        # A generator may give its waiter away by itself; a coroutine would need another generator for that.
        send = coroutine(_send)

    def _guarded(
        self, tries: Tries, circuit: Circuit, server: Server | None
    ) -> Generator[Waiter[Any], None, Response]:
        """All tries together, as the circuit of the upstream allows."""
        started = self.monotonic()
        if not circuit.admit(started):
            raise unavailable(f"the circuit to `{self.name}` is open", circuit.until(started) / 1e9)
        verdict = NOT_ASKED
        try:
            answer = yield from tries.run(server)
            verdict = answer.status
            return answer
        except Failed as failed:
            if not isinstance(failed, Busy) and _is_upstream_s(failed):
                verdict = NO_ANSWER
            raise
        finally:
            _tell(circuit, self.monotonic(), started, verdict)

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

    # --- which server ---

    def use_key(self, key: Callable[[Exchange], str] | None) -> None:
        """What `balance hash` looks at. It may raise Failed."""
        self._key = key
        self._weigh()

    def pick(self, exchange: Exchange, tried: Sequence[Server]) -> Server:
        """Who is to be asked; those that were tried only where nobody else is left. Raises Failed 503."""
        key = "" if self._key is None else self._key(exchange)
        now = self.monotonic() if self.timed else 0
        full: Server | None = None
        for group in self._groups:
            passed = tried
            while True:
                server = group.other(passed, key, now) if passed else group.choose(key, now)
                if server is None or len(passed) > len(tried) + _LOOK_FURTHER:
                    break
                if self._full(server) and not server.idle:
                    full = full or server
                elif server.circuit is None or server.circuit.admit(now):
                    return server
                passed = [*passed, server]
        if full is not None and (full.circuit is None or full.circuit.admit(now)):
            return full
        if tried:
            return self.pick(exchange, ())
        raise unavailable(f"no server of `{self.name}` can be asked", self._retry_after(now))

    def _grouped(self) -> list[Balance[Server]]:
        """Those that are asked, and if there are any, those that wait until the others are away."""
        kind = _BALANCES[self.settings.balance]
        parted = [[server for server in self.servers if server.address.backup is backup] for backup in (False, True)]
        groups = [kind(servers) for servers in parted if servers]
        for group in groups:
            for server in group.candidates:
                server.group = group
        return groups

    def _changed(self) -> None:
        """A server's share will be another one: once for all that happens in this turn of the loop."""
        if not self._weighing:
            self._weighing = True
            self.loop.call_soon(self._weigh)

    def _weigh(self) -> None:
        self._weighing = False
        for server in self.servers:
            server.share = server.due_share()
        for group in self._groups:
            group.changed()
        settings = self.settings
        self._plain = not (
            self.timed or self.counted or self._key or settings.retries.per_try or settings.retries.statuses
            or settings.per_server
        )
        self._only = self.servers[0] if self._plain and len(self.servers) == 1 and self.servers[0].share else None

    def _retry_after(self, now: int) -> float:
        """Seconds until somebody may be there to ask; worked out once in a tick, as all may be refused for a while."""
        tick, seconds = self._retry_in
        if tick == self.wheel.now:
            return seconds
        health = self.settings.health
        waits = [] if health is None else [health.every]
        if self.settings.server_circuit is not None:
            waits += [server.circuit.until(now) / 1e9 for server in self.servers if server.circuit and server.barred]
        self._retry_in = self.wheel.now, min(waits, default=1.0)
        return self._retry_in[1]

    # --- what has become of a request ---

    def _note_failure(self, server: Server, error: BaseException | None, status: int = NO_ANSWER) -> None:
        """In the usual case."""
        if len(self.servers) > 1 and (_is_upstream_s(error) if error is not None else status in _OUTLYING):
            self.watch.failed(server)

    def ended(self, server: Server, started: int, verdict: int, whole: bool) -> None:
        """A try is over: `verdict` is the answer's status, NO_ANSWER or NOT_ASKED; `whole`: its body has come too."""
        slow = False
        if self.timed:
            now = self.monotonic()
            circuit = server.circuit
            if circuit is not None:
                _tell(circuit, now, started, verdict)
                if circuit.state == "open":
                    self.watch.opened(server)
            if verdict != NOT_ASKED:
                took = now - started
                server.group.measured(server, now, took, verdict == NO_ANSWER or verdict >= 500)
                slow = 0 < self._slower_than < took
        if slow or verdict in _OUTLYING:
            if len(self.servers) > 1:
                self.watch.failed(server)
        elif server.failures and whole and verdict < 500:
            server.failures = 0

    def broke(self, server: Server) -> None:
        """An answer of which the head was good has broken off."""
        if len(self.servers) > 1:
            self.watch.failed(server)
        if server.circuit is not None:
            server.circuit.report(self.monotonic(), True, 0)
            if server.circuit.state == "open":
                self.watch.opened(server)

    def swapped(self, server: Server, other: Server, started: int, charged: bool) -> None:
        """A connection to another server than the one that was picked came free first."""
        if charged:
            server.group.ended(server)
            other.group.started(other)
        now = self.monotonic()
        if server.circuit is not None:
            server.circuit.abandoned(now, now - started)
        if other.circuit is not None:
            other.circuit.admit(now)

    # --- connections ---

    def acquire(self, server: Server, limit: int) -> Generator[Waiter[Any], None, UpstreamConnection]:
        """A new connection to this server, or one that comes free, by the tick `limit`. Raises Failed, Busy."""
        waiter: Waiter[UpstreamConnection] = Waiter()
        if not self._full(server) and (self.open < self.settings.connections or self._make_room()):
            dial = self.dial(server, waiter, limit)
            try:
                return (yield from waiter.__await__())
            except GeneratorExit:
                dial.waiter = None  # the connection is kept for others
                raise
        if len(self.queue) >= self.settings.queue:
            raise Busy(unavailable(f"too many requests wait for a connection to `{self.name}`").failure)
        turn = Turn(self, server, waiter)
        turn.due = min(limit, self.wheel.now + ticks(self.settings.wait))
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

    def dial(self, server: Server, waiter: Waiter[UpstreamConnection], limit: int) -> Dial:
        """Open a connection by the tick `limit`, or sooner as the settings say."""
        self.open += 1
        server.open += 1
        self.budget.watch()
        dial = Dial(self, server, waiter, self.loop)
        if limit < dial.due:
            dial.due = limit
            self.wheel.hasten(dial)
        return dial

    def _full(self, server: Server) -> bool:
        return 0 < self.settings.per_server <= server.open

    def _make_room(self) -> bool:
        """Close an idle connection: another server's, or one that is not to be trusted."""
        servers = self.servers
        for step in range(len(servers)):
            at = (self._made_room + step) % len(servers)
            if servers[at].idle:
                self._made_room = at + 1  # the next search begins behind those that have none any more
                servers[at].idle[0].expired()
                return self.open < self.settings.connections
        return False

    # --- what connections and dials report ---

    def release(self, connection: UpstreamConnection) -> None:
        """It has nothing to do and may be used again."""
        if connection.charged:
            connection.charged = False
            connection.server.group.ended(connection.server)
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
        server = connection.server
        if connection.charged:
            connection.charged = False
            server.group.ended(server)
        if connection in server.idle:
            server.idle.remove(connection)
        if connection.counted:
            connection.counted = False
            self._freed(server)

    def dialled(self, dial: Dial, connection: UpstreamConnection) -> None:
        if connection.closed:
            self.dial_failed(dial, broken("the server closed the connection at once"))
            return
        connection.counted = True
        if dial.waiter is not None:
            dial.waiter.fire(connection)
        else:
            self.release(connection)

    def dial_failed(self, dial: Dial, failure: Failed) -> None:
        self._freed(dial.server)
        if dial.waiter is not None:
            dial.waiter.fail(failure)

    def _freed(self, server: Server) -> None:
        """There is room for another connection; the one that was there went to this server."""
        self.open -= 1
        server.open -= 1
        if not self.queue or self.open >= self.settings.connections:
            return
        for turn in self.queue:
            if turn.due <= self.wheel.now:
                continue  # its time is over, in this very tick
            if self._full(turn.server) or not turn.server.share:
                # It need not be that one: the server that has lost a connection has room.
                if self._full(server) or not server.share:
                    continue
                turn.server = server
            self.queue.remove(turn)
            limit = turn.due
            self.wheel.forget(turn)
            turn.dial = self.dial(turn.server, turn.waiter, limit)
            return

    # --- the pool's life ---

    def statuses(self) -> list[ServerStatus]:
        """All servers, in the order of the policy."""
        return [server.status() for server in self.servers]

    def close(self) -> None:
        """Close what is idle now, and everything else when its answer is complete."""
        self.closing = True
        Routes.close(self)
        self.watch.close()
        for check in self.checks:
            check.stop()
        for server in self.servers:
            for connection in list(server.idle):
                connection.expired()

    def _take_over(self, former: UpstreamPool) -> None:
        """The state of the servers that stay, and their idle connections. What is under way ends with the old pool."""
        settings, old = self.settings, former.settings
        if self.circuit is not None and settings.circuit == old.circuit:
            self.circuit = former.circuit
        known = {server.address.place: server for server in former.servers}
        for server in self.servers:
            before = known.get(server.address.place)
            if before is None:
                continue
            server.take_over(before, healthy=settings.health is None)
            if (settings.limits, settings.tls) == (old.limits, old.tls):
                for connection in before.idle:
                    connection.move(self, server)
                moved = len(before.idle)
                server.idle, before.idle = before.idle, []
                server.open += moved
                before.open -= moved
                self.open += moved
                former.open -= moved
        if self.open:
            self.budget.watch()


def _tell(circuit: Circuit, now: int, started: int, verdict: int) -> None:
    if verdict == NOT_ASKED:
        circuit.abandoned(now, now - started)
    else:
        circuit.report(now, verdict == NO_ANSWER or verdict >= 500, now - started)


def _is_upstream_s(error: BaseException) -> bool:
    return isinstance(error, Failed) and error.failure.name.startswith("upstream-")
