# ruff: noqa: N802 - the names are those of Twisted's interfaces
"""The sending half of a client's connection: the answer of the request being served, and the connection's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from policylang.sdk import Exchange, Failure, Response
from policylang.sdk.coding import Encoder
from runtime.edge.answer import BODILESS, answer_head, problem, whole_answer
from runtime.edge.entry import Entry
from runtime.edge.farewell import Farewell
from runtime.edge.incoming import Incoming
from runtime.edge.linger import leave_body
from runtime.edge.peer import peer_at
from runtime.edge.request import OF_JOURNALS, ReceivedRequest, Trace
from runtime.edge.stream import WINDOW, BodyStream
from runtime.edge.tunnel import ChangedProtocol, Tunnel
from runtime.edge.wheel import NEVER, ticks
from runtime.wire.fields import HTTP_1_1
from runtime.wire.limits import WireError
from runtime.wire.request import RequestHead
from runtime.wire.write import LAST_CHUNK, chunk

if TYPE_CHECKING:
    from runtime.edge.connection import ServerConnection
    from runtime.edge.edge import Edge


_OWN_ERRORS: Final = {"loop-detected": "proxy_loop_detected", "too-many-connections": "connection_limit_reached"}
"""Of refusals those that are no mistake of the client, as Proxy-Status names them."""


class Outgoing(Incoming):
    """`download` is the answer's body while it streams. `usual`: nothing of the request asks for a special answer.

    `status` and `sent` (body bytes) are what the log will say. `congested`: the client takes less than it is sent.
    `source`: the address in a PROXY header.
    """

    __slots__ = (
        "_chunked", "_coder", "_dates", "_entry", "_write", "congested", "download", "sent", "source", "status",
        "usual",
    )  # fmt: skip

    def __init__(self, edge: Edge, source: tuple[str, int] | None) -> None:
        super().__init__(edge)
        self.source = source
        self.download: BodyStream | None = None
        self.usual = False
        self.congested = False
        self.status = 0
        self.sent = 0
        self._chunked = False
        self._coder: Encoder | None = None  # packs the body that streams
        self._dates = edge.dates

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        self._write = transport.post
        transport.registerProducer(self, True)
        self._entry = Entry(self.edge, peer_at(transport, self.source))

    def trust(self) -> None:
        """Look again whether the peer is a proxy whose word counts, or is to be told of times."""
        self._entry.look()

    # --- the answer ---

    def answer(self, response: Response) -> None:
        body = response.body
        request: ReceivedRequest = self.exchange.request  # type: ignore[union-attr, assignment]  # a cast would be a call
        self.status = response.status
        if (
            self.usual
            and body is not None
            and len(body) <= WINDOW
            and request.streams is None
            and response.status not in BODILESS
            and not self.edge.parting
        ):
            self._write(whole_answer(response, body, self._dates))
            # As `finish` does it, with what cannot be here left out.
            if self.edge.traced:
                upload = self.upload
                self.tell(upload.received if upload is not None else len(request.received or b""), len(body))
            if self.exchange.ends is not None:  # type: ignore[union-attr]
                self.run_ends()
            self.exchange = self.head = None
            self.deadline = NEVER
            wheel = self._wheel
            self.due = wheel.now + self.edge.idle_ticks
            if self.due < self.seen:
                wheel.hasten(self)
            if self.behind or self._ahead is not None or self.error is not None:
                self._go_on()
        else:
            self._answer(request, response)

    def _answer(self, request: ReceivedRequest, response: Response) -> None:
        head = cast(RequestHead, self.head)
        if request.streams is not None and request.trace is not None and request.trace.grant is not None:
            # Before the 101 too. What an upstream says of journals are not this gateway's.
            told = request.trace.grant.fields(cast(Exchange, self.exchange), response.status)
            response.headers = [field for field in response.headers if field[0] not in OF_JOURNALS] + told
        if head.offered:
            if isinstance(response, ChangedProtocol):
                self._change_protocol(request, response.tunnel, response)
                return
            head.offered = b""
            self.behind = True
            self.read_on()
        body = response.body
        http_1_1 = head.version is HTTP_1_1
        bodiless = head.method == "HEAD" or response.status in BODILESS
        source = cast("BodyStream | None", response.source)
        if request.streams is not None:
            self.refuse_streams(request, source)
        # Who has asked for more already is answered first: the last answer says that it is the last.
        if (self.edge.parting and self._ahead is None) or not (self.complete or self.rest_is_small()):
            self.close_after = True
        if body is not None:
            length: int | None = len(body)
        else:
            length = cast(BodyStream, source).length if response.coder is None else None
            if length is None and not http_1_1 and not bodiless:
                self.close_after = True
        data, self._chunked = answer_head(response, length, bodiless, self.close_after, http_1_1, self._dates)
        if request.trace is not None and request.trace.timed:
            data = data[:-2] + self._timing(request.trace)
        self._write(data)
        if body is None:
            stream = cast(BodyStream, source)
            if not bodiless:
                self.download = stream
                self._coder = None if response.coder is None else response.coder()
                self.due = self._wheel.now + self.edge.idle_ticks
                stream.pipe(self, response.limit)
                return
            stream.refuse()
        elif not bodiless:
            self.sent = len(body)
            self._write(body)
        self.finish()

    def _timing(self, trace: Trace) -> bytes:
        """The end of a head that says how long the answer took, in milliseconds (Server-Timing)."""
        took = self.edge.monotonic() - cast(Exchange, self.exchange).started
        parts = b"polgate;dur=%.2f" % ((took - trace.upstream) / 1e6)
        if trace.attempts:
            parts += b", upstream;dur=%.2f" % (trace.upstream / 1e6)
        return b"Server-Timing: %b\r\n\r\n" % parts

    def _change_protocol(self, request: ReceivedRequest, tunnel: Tunnel, response: Response) -> None:
        self.refuse_streams(request, tunnel)
        self._wheel.forget(self)
        self.tunnel = tunnel
        early = self._reader.take()
        if self._full:
            self._full = False
            self._switch_reading()
        tunnel.join(cast("ServerConnection", self), response, early)

    def refuse_streams(self, request: ReceivedRequest, kept: BodyStream | Tunnel | None) -> None:
        """The answers that the policy has asked for and not used."""
        for stream in request.streams or ():
            if stream is kept:
                pass
            elif isinstance(stream, BodyStream):
                self.leave_body(stream)
            else:
                stream.refuse()
        request.streams = None

    def leave_body(self, stream: BodyStream) -> None:
        exchange = cast(Exchange, self.exchange)
        if exchange.unanswered is None:
            stream.refuse()
        else:
            leave_body(stream, exchange, self._wheel, self.edge.request_ticks)

    def body_data(self, data: bytes) -> None:
        if self._coder is not None:
            data = self._coder.feed(data)
            if not data:
                return
        self.sent += len(data)
        self._write(chunk(data) if self._chunked else data)
        self.due = self._wheel.now + self.edge.idle_ticks

    def body_end(self) -> None:
        self.download = None
        if self._coder is not None:
            rest, self._coder = self._coder.end(), None
            if rest:
                self.body_data(rest)
        if self._chunked:
            self._write(LAST_CHUNK)
        self.finish()

    def body_failed(self, failure: Failure) -> None:
        """The head has gone out: only a cut shows that the rest is missing."""
        self.download = self._coder = None
        exchange = cast(Exchange, self.exchange)
        if exchange.failure is None:
            exchange.failure = failure
        self.cut()

    def finish(self) -> None:
        """The answer is written."""
        asked = self.complete and not cast(RequestHead, self.head).keep_alive
        self.part()
        if self.close_after:
            self.end(asked)
            return
        wheel = self._wheel
        self.due = wheel.now + self.edge.idle_ticks
        if not self.complete:
            self.discarding = True
            self.due = wheel.now + ticks(self.edge.settings.discard_time)
        if self.due < self.seen:
            wheel.hasten(self)
        if self.behind or self._ahead is not None or self.error is not None:
            self._go_on()

    def _go_on(self) -> None:
        self.behind = False
        if self._ahead is not None:
            self.promote()
        self.serve()

    def part(self) -> None:
        """The exchange is over, however it ended."""
        if self.edge.traced:
            self._report()
        if self.upload is not None:
            self.close_upload()
        if self.exchange is not None and self.exchange.ends is not None:
            self.run_ends()
        self.exchange = self.head = None
        self.sent = 0
        self.deadline = NEVER

    def run_ends(self) -> None:
        """Whoever waits for the exchange's end hears of it; one that fails keeps the others from nothing."""
        exchange = cast(Exchange, self.exchange)
        ends, exchange.ends = exchange.ends or [], None
        for call in ends:
            try:
                call()
            except Exception as error:
                exchange.environment.defect(error, exchange)

    def _report(self) -> None:
        exchange: Exchange = self.exchange  # type: ignore[assignment]  # a cast would be a call
        self.tell(
            self.upload.received if self.upload is not None else len(exchange.request.received or b""), self.sent
        )

    def tell(self, received: int, sent: int) -> None:
        """Say that the exchange is over. What goes wrong in that is our own mistake, and must not cost more."""
        exchange: Exchange = self.exchange  # type: ignore[assignment]
        head: RequestHead = self.head  # type: ignore[assignment]
        edge = self.edge
        try:
            edge.on_done(  # type: ignore[misc]  # there is one where it is `traced`
                exchange, self.status, received, sent, edge.monotonic(), head, self._entry.host
            )
        except Exception as error:
            exchange.environment.defect(error, exchange)

    # --- no ---

    def refuse(self, error: WireError) -> None:
        """Answer what is no acceptable request, and close."""
        response = problem(error.status, error.name, error.detail, _OWN_ERRORS.get(error.name, ""))
        body = response.body or b""
        data, _ = answer_head(response, len(body), False, True, True, self._dates)
        self._write(data + body)
        self.edge.refused(self._entry.client.ip, error)
        self.close_upload()
        self.complete = self.complete or self.head is None  # else its body may be on the way
        self.head = self.error = None
        self.discarding = False
        self.end(asked=False)

    # --- as the producer of what it sends ---

    def pauseProducing(self) -> None:
        self.congested = True
        if self.download is not None:
            self.download.pause()
        elif self.tunnel is not None:
            self.tunnel.pause_server()

    def resumeProducing(self) -> None:
        self.congested = False
        if self.download is not None:
            self.due = self._wheel.now + self.edge.idle_ticks
            self.download.resume()
        elif self.tunnel is not None:
            self.tunnel.resume_server()
        elif self.exchange is None:
            self.serve()

    def stopProducing(self) -> None:
        """The connection is lost; `connectionLost` says so too."""

    # --- the end ---

    def end(self, asked: bool) -> None:
        """Close when what is written has gone out. `asked`: the client closes too, and sends no more."""
        self._wheel.forget(self)
        self.farewell = Farewell(self, asked)

    def cut(self) -> None:
        """Close at once, so that the client sees that its answer is not whole."""
        self.part()
        self._wheel.forget(self)
        cast(Any, self.transport).abortConnection()
