# ruff: noqa: N802 - the names are those of Twisted's interfaces
"""A client's connection: each request is evaluated by the policy and answered, one after the other."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from zope.interface import implementer

from policylang.sdk import Exchange, Failure, Kind, Response, Waiter
from runtime.edge.answer import problem
from runtime.edge.outgoing import Outgoing
from runtime.edge.request import ReceivedRequest
from runtime.edge.stream import BodyStream
from runtime.edge.tunnel import Tunnel
from runtime.edge.wheel import NEVER
from runtime.wire.fields import HTTP_1_1
from runtime.wire.limits import WireError

if TYPE_CHECKING:
    from runtime.edge.edge import Edge

RATE_WINDOW: Final = 100
"""Ticks over which a body's rate is measured: a client that stutters is not a slow one."""
CLIENT_LEFT: Final = 499
"""The status in the log of an answer that nobody waited for."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class ServerConnection(Outgoing):
    """Drives the evaluation: until it waits, and on from there when the value is there, without a turn of the loop."""

    __slots__ = ("_advance", "_coroutine", "_rated", "_received", "_serving", "_unsent", "_waiter")

    def __init__(self, edge: Edge, source: tuple[str, int] | None = None) -> None:
        super().__init__(edge, source)
        self._coroutine: Coroutine[Waiter[Any], None, Response] | None = None
        self._waiter: Waiter[Any] | None = None
        self._advance = self.advance  # bound once
        self._received = 0
        self._rated = 0  # the tick at which the body's rate is looked at next
        self._serving = False
        self._unsent = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        if self.edge.opened(self):
            self._rest()

    # --- an evaluation ---

    def serve(self) -> None:
        if self._serving or self.exchange is not None:
            return
        self._serving = True
        edge, wheel = self.edge, self._wheel
        budget = edge.pipelined
        while not self.congested and self.farewell is None:
            head = self.head
            if head is None:
                if self.error is not None:
                    self.refuse(self.error)
                else:
                    self._rest()
                break
            if not budget:
                # Others have waited for long enough.
                edge.put_off(self)
                return  # as one that is being served: what comes meanwhile begins no second turn
            budget -= 1
            now = wheel.now
            self.deadline = now + edge.request_ticks
            try:
                if self.complete:
                    self.due = self.deadline
                    body, self.body = self.body, b""
                    self.exchange = exchange = self._entry.exchange(head, body, None)
                    keep = head.keep_alive
                    self.usual = keep and head.version is HTTP_1_1 and head.method != "HEAD"
                else:
                    self._rated = now + RATE_WINDOW
                    self.due = min(self._rated, self.deadline)
                    self.open_upload(head)
                    self._received = 0
                    self.exchange = exchange = self._entry.exchange(head, None, self.upload)
                    keep = head.keep_alive
                    self.usual = False
            except WireError as error:
                self.refuse(error)
                break
            self.close_after = not keep
            if self.due < self.seen:
                wheel.hasten(self)
            self._coroutine = edge.handle(exchange)
            self.advance()
            if self.exchange is not None:
                break
        self._serving = False

    def take_turn(self) -> None:
        """Go on where `serve` had to let the others in."""
        self._serving = False
        self.serve()

    def advance(self) -> None:
        """Let the evaluation run until it waits or ends."""
        try:
            waiter = self._coroutine.send(None)  # type: ignore[union-attr]
        except StopIteration as stop:
            self._coroutine = self._waiter = None
            self.answer(stop.value)
        except Exception as error:
            self._coroutine = self._waiter = None
            self.answer(self._defect(error))
        else:
            self._waiter = waiter
            waiter.callback = self._advance

    def _defect(self, error: BaseException) -> Response:
        exchange = cast(Exchange, self.exchange)
        id = exchange.environment.defect(error, exchange)
        detail = f"an error of the gateway's own, logged as {id}"
        exchange.failure = Failure("internal-error", 500, detail, kind=Kind.DEFECT)
        return problem(500, "internal-error", detail, "proxy_internal_error")

    def _cancel(self) -> None:
        """Stop the evaluation where it waits."""
        coroutine, self._coroutine = self._coroutine, None
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.callback = None
        if coroutine is not None:
            try:
                coroutine.close()
            except Exception as error:
                self._defect(error)

    # --- time ---

    def _rest(self) -> None:
        """Nothing is being served: wait for a request, or for the rest of its head."""
        wheel, edge = self._wheel, self.edge
        self.behind = False
        if self.discarding:
            return
        if self._reader.in_head:
            if self.deadline != NEVER:
                return  # bytes of a head that trickle in do not put off its deadline
            self.due = self.deadline = wheel.now + edge.header_ticks
        elif edge.draining and self.status:  # one that has not asked yet is left to `Edge.drain`
            self.end(asked=True)
            return
        else:
            self.deadline = NEVER
            self.due = wheel.now + edge.idle_ticks
        if self.due < self.seen:
            wheel.hasten(self)

    def upload_ended(self) -> None:
        # A long upload has a rate to keep instead of the deadline of a whole request, which begins when it is here.
        if cast(BodyStream, self.upload).piped:
            self.deadline = self.due = self._wheel.now + self.edge.request_ticks
        super().upload_ended()

    def expired(self) -> None:
        if self.exchange is None:
            if self.discarding:
                self.end(asked=False)
            elif self._reader.in_head:
                self.refuse(WireError(408, "header-timeout", "the head of the request took too long"))
            elif self._moved():
                self._wait(self.edge.idle_ticks)
            elif self.congested:
                self._wheel.forget(self)
                cast(Any, self.transport).abortConnection()
            else:
                self.end(asked=True)
        elif self._coroutine is None:
            # An answer streams. Its upstream has a deadline of its own, so this one is for the client.
            if not self.congested or self._moved():
                self._wait(self.edge.idle_ticks)
            else:
                self._leave("response-timeout", "the client stopped reading")
                self.cut()
        else:
            self._check_evaluation()

    def _check_evaluation(self) -> None:
        now = self._wheel.now
        upload = self.upload
        if upload is None or self.complete:
            if now >= self.deadline:
                self._time_out(504, "request-timeout", "the request took too long")
            else:
                self._wait(self.deadline - now)
            return
        if now >= self._rated:
            self._rated = now + RATE_WINDOW
            received, self._received = self._received, upload.received
            if upload.wanted and not upload.paused and upload.received - received < self.edge.rate_in_window:
                self._time_out(408, "body-timeout", "the body of the request came too slowly")
                return
        if upload.piped:
            self._wait(self._rated - now)
        elif now >= self.deadline:
            self._time_out(408, "request-timeout", "the request took too long")
        else:
            self._wait(min(self._rated, self.deadline) - now)

    def _time_out(self, status: int, name: str, detail: str) -> None:
        self._cancel()
        cast(Exchange, self.exchange).failure = Failure(name, status, detail, kind=Kind.ERROR)
        self.close_after = True
        self.usual = False
        self.answer(problem(status, name, detail, "http_response_timeout" if status == 504 else ""))

    def _moved(self) -> bool:
        """Whether the client has taken enough of what waits for it since this was last asked.

        It has a rate to keep as an upload has: who takes a byte a minute would hold an upstream's connection for ever.
        More than before means that the rest was taken in between, and there was room for something new.
        """
        unsent: int = cast(Any, self.transport).outstanding
        before, self._unsent = self._unsent, unsent
        return unsent > before or before - unsent >= self.edge.rate_in_idle

    def _wait(self, count: int) -> None:
        self.due = self._wheel.now + count
        if self.due < self.seen:
            self._wheel.hasten(self)

    # --- the end ---

    def readConnectionLost(self) -> None:
        """The client sends no more: it has left (an answer that is written already still goes out)."""
        if self.farewell is not None:
            self.farewell.eof()
        elif self.tunnel is not None:
            self.tunnel.client_done()
        elif self.exchange is not None:
            self._leave("client-left", "the client closed the connection")
            self.cut()
        else:
            self.end(asked=True)

    def writeConnectionLost(self) -> None:
        """Our own doing: the end of the connection is near."""

    def connectionLost(self, reason: Any = None) -> None:
        if self.tunnel is not None:
            self._leave_tunnel(self.tunnel)
        elif self.exchange is not None:
            self._leave("client-left", "the connection was lost")
            self.part()
        if self.farewell is not None:
            self.farewell.gone()
        self._wheel.forget(self)
        self.edge.closed(self)
        # A turn that `serve` has asked the loop for finds nothing to do.
        self.congested = True
        # The reader refers to this connection, and so does this method: without them it is freed at once.
        del self._advance, self._feed, self._reader

    def abort(self) -> None:
        """The gateway goes: cut an answer, so that nobody takes it for a whole one, and end a tunnel."""
        if self.tunnel is not None:
            self.tunnel.close()
        else:
            cast(Any, self.transport).abortConnection()

    def _leave_tunnel(self, tunnel: Tunnel) -> None:
        self.tunnel = None
        tunnel.client_lost()
        if self.edge.traced:
            self.tell(tunnel.received, tunnel.sent)
        if self.exchange is not None and self.exchange.ends is not None:
            self.run_ends()
        self.exchange = self.head = None

    def _leave(self, name: str, detail: str) -> None:
        """Nobody waits for the answer any more."""
        exchange = cast(Exchange, self.exchange)
        if exchange.failure is None:
            exchange.failure = Failure(name, CLIENT_LEFT, detail, kind=Kind.ERROR)
        if self._coroutine is not None:
            self.status = CLIENT_LEFT
            self._cancel()
            self.refuse_streams(cast(ReceivedRequest, exchange.request), None)
        elif self.download is not None:
            download, self.download = self.download, None
            self.leave_body(download)

    def give_up(self, name: str, detail: str) -> None:
        """Cut the exchange that is being served: it must not go on."""
        if self.tunnel is not None:
            self.tunnel.close()
            return
        self._leave(name, detail)
        self.cut()

    def drain(self) -> None:
        """Close now if nothing is being served, else after the answer."""
        if self.exchange is None and self.head is None and self.farewell is None and not self._reader.in_head:
            self.end(asked=True)
