# ruff: noqa: N802 - the names are those of Twisted's interfaces
"""A client's connection: each request is evaluated by the policy and answered, one after the other."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from zope.interface import implementer  # type: ignore[import-untyped]

from policylang.sdk import Exchange, Failure, Kind, Response, Waiter
from runtime.edge.answer import BODILESS, answer_head, problem
from runtime.edge.entry import Entry
from runtime.edge.farewell import Farewell
from runtime.edge.incoming import Incoming
from runtime.edge.request import ReceivedRequest
from runtime.edge.stream import BodyStream
from runtime.edge.wheel import NEVER
from runtime.wire.limits import WireError
from runtime.wire.request import RequestHead
from runtime.wire.write import LAST_CHUNK, chunk

if TYPE_CHECKING:
    from runtime.edge.edge import Edge

RATE_WINDOW: Final = 100
"""Ticks over which a body's rate is measured: a client that stutters is not a slow one."""
CLIENT_LEFT: Final = 499
"""The status in the log of an answer that nobody waited for."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class ServerConnection(Incoming):
    """`exchange` is set from an evaluation's start to the last byte of its answer; `download` while that streams."""

    def __init__(self, edge: Edge) -> None:
        super().__init__(edge)
        self.exchange: Exchange | None = None
        self.download: BodyStream | None = None
        self._coroutine: Coroutine[Waiter[Any], None, Response] | None = None
        self._waiter: Waiter[Any] | None = None
        self._resume = self._advance  # bound once
        self._deadline = NEVER
        self._received = 0
        self._status = 0
        self._sent = 0
        self._chunked = False
        self._serving = False
        self._congested = False
        self._unsent = 0

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        self._write = transport.write
        transport.registerProducer(self, True)
        peer = transport.getPeer()
        self._entry = Entry(self.edge, getattr(peer, "host", ""), getattr(peer, "port", 0))
        if self.edge.opened(self):
            self._rest()

    # --- an evaluation ---

    def serve(self) -> None:
        if self.exchange is not None or self._serving:
            return
        self._serving = True
        budget = self.edge.settings.pipelined
        while self.exchange is None and self.farewell is None and not self._congested:
            if self.head is not None:
                if budget == 0:
                    self.edge.loop.call_soon(self.serve)
                    break
                budget -= 1
                try:
                    self._begin(self.head)
                except WireError as error:
                    self.refuse(error)
            elif self.error is not None:
                self.refuse(self.error)
            else:
                self._rest()
                break
        self._serving = False

    def _begin(self, head: RequestHead) -> None:
        body: bytes | None = None
        if self.complete:
            body, self.body = self.body, b""
        else:
            self.open_upload(head)
            self._received = 0
        exchange = self.exchange = self._entry.exchange(head, body, self.upload)
        edge, now = self.edge, self._wheel.now
        self.close_after = not head.keep_alive
        self._deadline = now + edge.request_ticks
        self.due = self._deadline if self.complete else now + RATE_WINDOW
        if self.due < self.seen:
            self._wheel.hasten(self)
        self._coroutine = edge.handle(exchange)
        self._advance()

    def _advance(self) -> None:
        """Let the evaluation run until it waits or ends."""
        try:
            waiter = self._coroutine.send(None)  # type: ignore[union-attr]
        except StopIteration as stop:
            response = stop.value
        except Exception as error:
            response = self._defect(error)
        else:
            self._waiter = waiter
            waiter.callback = self._resume
            return
        self._coroutine = self._waiter = None
        self._answer(response)
        self.serve()

    def _defect(self, error: BaseException) -> Response:
        exchange = cast(Exchange, self.exchange)
        id = exchange.environment.defect(error, exchange)
        detail = f"an error of the gateway's own, logged as {id}"
        exchange.failure = Failure("internal-error", 500, detail, kind=Kind.DEFECT)
        return problem(500, "internal-error", detail)

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

    # --- its answer ---

    def _answer(self, response: Response) -> None:
        head = cast(RequestHead, self.head)
        request = cast(ReceivedRequest, cast(Exchange, self.exchange).request)
        if request.streams is not None:
            self._release_streams(request, response)
        self._status = response.status
        bodiless = head.method == "HEAD" or response.status in BODILESS
        body = response.body
        if not self.complete or self.edge.draining:
            self.close_after = True
        if body is not None:
            length: int | None = len(body)
        else:
            length = cast(BodyStream, response.source).length
            if length is None and request.version != "1.1":
                self.close_after = True
        data, self._chunked = answer_head(
            response, length, bodiless, self.close_after, request.version, self.edge.dates
        )
        if body is None:
            stream = cast(BodyStream, response.source)
            self._write(data)
            if not bodiless:
                self.download = stream
                self.due = self._wheel.now + self.edge.idle_ticks
                stream.pipe(self, response.limit)
                return
            stream.refuse()
        elif bodiless:
            self._write(data)
        else:
            self._sent = len(body)
            self._write(data + body)
        self._finish()

    def _release_streams(self, request: ReceivedRequest, response: Response | None) -> None:
        kept = None if response is None else response.source
        for stream in request.streams or ():
            if stream is not kept:
                stream.refuse()
        request.streams = None

    def body_data(self, data: bytes) -> None:
        self._sent += len(data)
        self._write(chunk(data) if self._chunked else data)
        self.due = self._wheel.now + self.edge.idle_ticks

    def body_end(self) -> None:
        self.download = None
        if self._chunked:
            self._write(LAST_CHUNK)
        self._finish()
        self.serve()

    def body_failed(self, failure: Failure) -> None:
        """The head has gone out: only a cut shows that the rest is missing."""
        self.download = None
        exchange = cast(Exchange, self.exchange)
        if exchange.failure is None:
            exchange.failure = failure
        self._cut()

    def _finish(self) -> None:
        """The answer is written."""
        self._part()
        if self.close_after:
            self._end(asked=self.complete and not self.edge.draining)
        else:
            self.promote()

    def _part(self) -> None:
        """The exchange is over, however it ended."""
        if self.edge.on_done is not None:
            self._report()
        if self.upload is not None:
            self.close_upload()
        self.exchange = self.head = None
        self._sent = 0
        self._deadline = NEVER

    def _report(self) -> None:
        exchange = cast(Exchange, self.exchange)
        received = self.upload.received if self.upload is not None else len(exchange.request.received or b"")
        self.edge.report(exchange, self._status, received, self._sent, cast(RequestHead, self.head), self._entry.host)

    # --- no ---

    def refuse(self, error: WireError) -> None:
        """Answer what is no acceptable request, and close."""
        response = problem(error.status, error.name, error.detail)
        data, _ = answer_head(response, len(response.body or b""), False, True, "1.1", self.edge.dates)
        self._write(data + (response.body or b""))
        self.edge.refused(self._entry.client.ip, error)
        self.head = self.error = None
        self.complete = False
        self._end(asked=False)

    # --- as the producer of what it sends ---

    def pauseProducing(self) -> None:
        self._congested = True
        if self.download is not None:
            self.download.pause()

    def resumeProducing(self) -> None:
        self._congested = False
        if self.download is not None:
            self.due = self._wheel.now + self.edge.idle_ticks
            self.download.resume()
        else:
            self.serve()

    def stopProducing(self) -> None:
        """The connection is lost; `connectionLost` says so too."""

    # --- time ---

    def _rest(self) -> None:
        """Nothing is being served: wait for a request, or for the rest of its head."""
        in_head = self._reader.in_head
        if in_head and self._deadline != NEVER:
            return  # bytes of a head that trickle in do not put off its deadline
        wheel, edge = self._wheel, self.edge
        if in_head:
            self.due = self._deadline = wheel.now + edge.header_ticks
        else:
            self._deadline = NEVER
            self.due = wheel.now + edge.idle_ticks
            if edge.draining:
                self._end(asked=True)
                return
        if self.due < self.seen:
            wheel.hasten(self)

    def upload_ended(self) -> None:
        # A long upload has a rate to keep instead of the deadline of a whole request, which begins when it is here.
        if cast(BodyStream, self.upload).piped:
            self._deadline = self.due = self._wheel.now + self.edge.request_ticks
        super().upload_ended()

    def expired(self) -> None:
        if self.exchange is None:
            if self._reader.in_head:
                self.refuse(WireError(408, "header-timeout", "the head of the request took too long"))
            elif self._moved():
                self._wait(self.edge.idle_ticks)
            else:
                self._end(asked=True)
        elif self._coroutine is None:
            # An answer streams. Its upstream has a deadline of its own, so this one is for the client.
            if not self._congested or self._moved():
                self._wait(self.edge.idle_ticks)
            else:
                self._give_up("response-timeout", "the client stopped reading")
        else:
            self._check_evaluation()

    def _check_evaluation(self) -> None:
        now = self._wheel.now
        upload = self.upload
        if upload is None or self.complete:
            if now >= self._deadline:
                self._time_out(504, "request-timeout", "the request took too long")
            else:
                self._wait(self._deadline - now)
            return
        received, self._received = self._received, upload.received
        if upload.wanted and not upload.paused and upload.received - received < self.edge.rate_in_window:
            self._time_out(408, "body-timeout", "the body of the request came too slowly")
            return
        if now >= self._deadline and not upload.piped:
            self._time_out(408, "request-timeout", "the request took too long")
            return
        self._wait(RATE_WINDOW)

    def _time_out(self, status: int, name: str, detail: str) -> None:
        self._cancel()
        cast(Exchange, self.exchange).failure = Failure(name, status, detail, kind=Kind.ERROR)
        self.close_after = True
        self._answer(problem(status, name, detail))

    def _moved(self) -> bool:
        """Whether the client has taken something of what waits for it since this was last asked."""
        unsent: int = cast(Any, self.transport).unsent
        before, self._unsent = self._unsent, unsent
        return unsent != 0 and unsent != before

    def _wait(self, count: int) -> None:
        self.due = self._wheel.now + count
        if self.due < self.seen:
            self._wheel.hasten(self)

    # --- the end ---

    def readConnectionLost(self) -> None:
        """The client sends no more: it has left (an answer that is written already still goes out)."""
        if self.farewell is not None:
            self.farewell.eof()
        elif self.exchange is not None:
            self._depart()
            self._cut()
        else:
            self._end(asked=True)

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Any = None) -> None:
        if self.exchange is not None:
            self._depart()
            self._part()
        if self.farewell is not None:
            self.farewell.gone()
        self._wheel.forget(self)
        self.edge.closed(self)

    def _depart(self) -> None:
        exchange = cast(Exchange, self.exchange)
        if exchange.failure is None:
            exchange.failure = Failure("client-left", CLIENT_LEFT, "the client closed the connection", kind=Kind.ERROR)
        if self._coroutine is not None:
            self._status = CLIENT_LEFT
            self._cancel()
            self._release_streams(cast(ReceivedRequest, exchange.request), None)
        elif self.download is not None:
            download, self.download = self.download, None
            download.refuse()

    def _give_up(self, name: str, detail: str) -> None:
        cast(Exchange, self.exchange).failure = Failure(name, CLIENT_LEFT, detail, kind=Kind.ERROR)
        self._depart()
        self._cut()

    def _cut(self) -> None:
        self._part()
        self._wheel.forget(self)
        cast(Any, self.transport).abortConnection()

    def _end(self, asked: bool) -> None:
        self._wheel.forget(self)
        self.farewell = Farewell(self, asked)

    def drain(self) -> None:
        """Close now if nothing is being served, else after the answer."""
        if self.exchange is None and self.head is None and self.farewell is None and not self._reader.in_head:
            self._end(asked=True)
