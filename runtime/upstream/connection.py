# ruff: noqa: N802 - the names are those of Twisted's interfaces
"""One connection to a server of an upstream: one request at a time, kept for the next where that is safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from policylang.sdk import Failed, Failure, Field, Response, UpstreamCall, Waiter
from policylang.sdk.departure import BODY_EXPECTED
from runtime.edge.request import ReceivedRequest, ReceivedResponse
from runtime.edge.stream import BodyStream
from runtime.edge.transport import DONE
from runtime.edge.tunnel import ChangedProtocol, Tunnel
from runtime.edge.wheel import NEVER, ticks
from runtime.upstream.failures import Stale, Unanswered, broken, malformed, timeout
from runtime.upstream.heads import METHODS, lines_of, method_start, opening_for, target_of
from runtime.wire.limits import WireError
from runtime.wire.response import ResponseHead, ResponseReader
from runtime.wire.upgrade import agreed
from runtime.wire.write import CHUNKED, LAST_CHUNK, chunk, content_length

if TYPE_CHECKING:
    from runtime.upstream.pool import UpstreamPool
    from runtime.upstream.server import Server

FULL_READ: Final = 256 * 1024
"""Bytes: as much as uvloop reads at a time, so that there is more."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class UpstreamConnection(Protocol):
    """`waiter` is set from a request's start to its answer's head, `answer` while the answer's body streams.

    `used`: a whole exchange has gone over it. `counted`: it is among the pool's open connections. `charged`: what is
    under way on it is among the requests that its server works on. `vouched`: when the answer's body is complete, its
    server has answered well.
    """

    __slots__ = (
        "_body", "_chunked", "_congested", "_ended", "_error", "_expect", "_feed", "_head", "_head_due", "_offer",
        "_reader", "_upload", "_wheel", "_write", "answer", "charged", "closed", "counted", "due", "pool", "seen",
        "server", "tunnel", "used", "vouched", "waiter",
    )  # fmt: skip

    def __init__(self, pool: UpstreamPool, server: Server) -> None:
        self.pool = pool
        self.server = server
        self.due = self.seen = NEVER
        self.waiter: Waiter[Response] | None = None
        self.answer: BodyStream | None = None
        self.used = False
        self.closed = False
        self.counted = False
        self.charged = False
        self.vouched = False
        self._wheel = pool.wheel
        self._reader = ResponseReader(self, pool.settings.limits)
        self._feed = self._reader.feed
        self._expect = self._reader.expect
        self._head: ResponseHead | None = None
        self._body = b""
        self._ended = False
        self._error: WireError | None = None
        self._upload: BodyStream | None = None  # while the request's body is still on its way
        self._chunked = False
        self._congested = False
        self._offer: ReceivedRequest | None = None  # one that has offered another protocol
        self.tunnel: Tunnel | None = None
        self._head_due = 0  # of a call with a timeout of its own, else 0

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        self._write = transport.post
        transport.registerProducer(self, True)

    # --- a request goes out ---

    def start(
        self, request: ReceivedRequest, call: UpstreamCall, method: str, limit: int = 0
    ) -> Waiter[Response]:
        """Send the request. The waiter gets the answer; it fails with Failed, Unanswered or Stale.

        `limit`: the tick by which the answer's head has to be here, 0 for what call and upstream say, from now on.

        Raises Failed when the policy has made a target or method that cannot be sent.
        """
        if call.target is None and request.path is request.received_path and (
            request.query_string is request.received_query
        ):
            target = request.received_target
        else:
            target = target_of(request, call)
        lines = lines_of(request)
        body = request.body
        framing = b"\r\n"
        if body is None:
            self._upload = upload = cast(BodyStream, request.source)
            self._chunked = upload.length is None
            framing = (CHUNKED if upload.length is None else content_length(upload.length)) + b"\r\n"
        elif body or method in BODY_EXPECTED:
            framing = b"%b\r\n%b" % (content_length(len(body)), body)
        opening = request.opening if call.host is None else opening_for(request, call.host)
        head = (METHODS.get(method) or method_start(method), target, opening, request.id.encode(), lines, framing)
        if request.upgrade and request.header(b"upgrade") is not None:
            self._offer = request
            head = (*head[:-1], b"Connection: Upgrade\r\nUpgrade: %b\r\n%b" % (request.upgrade, framing))
            self._expect(method, True)
        else:
            self._expect(method)
        waiter: Waiter[Response] = Waiter()
        self.waiter = waiter
        wheel = self._wheel
        if limit:
            self._head_due = self.due = limit
        elif call.timeout is None:
            self._head_due = 0
            self.due = wheel.now + self.pool.head_ticks
        else:
            self._head_due = self.due = wheel.now + ticks(call.timeout)
        if self.due < self.seen:
            wheel.hasten(self)
        self._write(b"".join(head))
        if body is None:
            upload.pipe(self, request.limit)
        return waiter

    def body_data(self, data: bytes) -> None:
        self._write(chunk(data) if self._chunked else data)
        self._progress()

    def body_end(self) -> None:
        self._upload = None
        if self._chunked:
            self._write(LAST_CHUNK)
        self._progress()

    def body_failed(self, failure: Failure) -> None:
        self._upload = None
        self._cut(Failed(failure), failure)

    def _progress(self) -> None:
        if self.waiter is not None and not self._head_due:
            self.due = self._wheel.now + self.pool.head_ticks

    # --- an answer comes in ---

    def dataReceived(self, data: bytes) -> None:
        waiter = self.waiter
        if waiter is None and self.answer is None:
            if self.tunnel is not None:
                self.tunnel.from_server(data)
                return
            # Nobody has asked: whatever it is, the next request would take it for its answer.
            self._close()
            return
        self._feed(data)
        head = self._head
        if waiter is None:
            self._go_on()
            if len(data) >= FULL_READ and not self.closed:
                self._let_others_in()
        elif self._error is not None:
            self._cut(malformed(self._error))
        elif head is None:
            pass
        elif self._ended and self._upload is None and not head.connection and self._reader.reusable:
            # The usual case: the whole answer was in one read. The connection is free before the policy goes on.
            self.waiter = self._head = None
            self._ended = False
            self.used = True
            body, self._body = self._body, b""
            self.pool.release(self)
            response = ReceivedResponse(head.status, head.headers, body)
            response.head = head
            response.late = None
            waiter.fire(response)
        else:
            self._answered(waiter, head)

    def _let_others_in(self) -> None:
        """Read on in the next turn of the loop: libuv would read 32 times as much before it looks at anybody else."""
        cast(Any, self.transport).pauseProducing()
        self.pool.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self.closed and (self.answer is None or not self.answer.paused):
            cast(Any, self.transport).resumeProducing()

    def _answered(self, waiter: Waiter[Response], head: ResponseHead) -> None:
        self.waiter = self._head = None
        headers: list[Field] = head.headers
        if head.connection:
            headers = [field for field in headers if field[0] not in head.connection]
        if head.status == 101:
            self._change_protocol(waiter, headers)
            return
        body = self._body
        if body:
            self._body = b""
        if self._ended:
            self._finish()
            waiter.fire(Response(head.status, headers, body))
            return
        answer = self.answer = BodyStream(self, head.content_length, 502)
        self.due = self._wheel.now + self.pool.between_ticks
        if body:
            answer.data(body)
        waiter.fire(Response(head.status, headers, None, answer))

    def _change_protocol(self, waiter: Waiter[Response], headers: list[Field]) -> None:
        """From now on the connection is the client's. The pool counts it until it is closed."""
        request, self._offer = cast(ReceivedRequest, self._offer), None
        protocol = agreed(request.upgrade, b",".join(value for lower, _, value in headers if lower == b"upgrade"))
        if not protocol:
            self.waiter = waiter
            said = "the server changes to a protocol that was not offered"
            self._cut(broken(said, "http_protocol_error"))
            return
        self._wheel.forget(self)
        self.tunnel = tunnel = Tunnel(self, protocol, self._reader.rest)
        self._reader.rest = b""
        if request.streams is None:
            request.streams = []
        request.streams.append(tunnel)
        waiter.fire(ChangedProtocol(headers, tunnel))

    def _go_on(self) -> None:
        answer = self.answer
        if answer is None:
            return
        self.due = self._wheel.now + self.pool.between_ticks
        if self._body:
            body, self._body = self._body, b""
            answer.data(body)
        if self._error is not None:
            self._cut(malformed(self._error))
        elif self._ended:
            self.answer = None
            if self.vouched and self.server.failures:
                self.server.failures = 0
            self._finish()
            answer.end()

    def response_head(self, head: ResponseHead) -> None:
        self._head = head

    def response_body(self, data: bytes) -> None:
        self._body = self._body + data if self._body else data

    def response_end(self) -> None:
        self._ended = True

    def response_error(self, error: WireError) -> None:
        self._error = error

    def informational(self, status: int, headers: list[Field]) -> None:
        """Dropped: the policy may still refuse what they announce, and `100` was answered by the gateway itself."""

    def _finish(self) -> None:
        """The answer is complete."""
        self._ended = False
        self.used = True
        if self._upload is not None:
            # An answer before the request's end: what the server makes of the rest, nobody knows.
            upload, self._upload = self._upload, None
            upload.refuse()
            self._close()
        elif self._reader.reusable and not self.closed:
            self.pool.release(self)
        else:
            self._close()

    # --- as the origin of the answer's body ---

    def body_wanted(self) -> None:
        pass

    def pause_body(self) -> None:
        cast(Any, self.transport).pauseProducing()

    def resume_body(self) -> None:
        if not self.closed:
            self.due = self._wheel.now + self.pool.between_ticks
            if self.due < self.seen:
                self._wheel.hasten(self)
            cast(Any, self.transport).resumeProducing()

    def body_refused(self) -> None:
        self.answer = None
        self._close()

    # --- as the producer of its own transport: the request's body ---

    def pauseProducing(self) -> None:
        self._congested = True
        if self._upload is not None:
            self._upload.pause()
        elif self.tunnel is not None:
            self.tunnel.pause_client()

    def resumeProducing(self) -> None:
        self._congested = False
        if self._upload is not None:
            self._progress()
            self._upload.resume()
        elif self.tunnel is not None:
            self.tunnel.resume_client()

    def stopProducing(self) -> None:
        pass

    # --- ends ---

    def retire(self) -> None:
        """Take no further request: what is under way is its last."""
        if self.waiter is not None or self.answer is not None:
            self._reader.spend()
        elif self.tunnel is None:
            self._close()

    @property
    def sending(self) -> bool:
        """The server has not been sent the whole request."""
        return self._upload is not None

    def abandon(self, waiter: Waiter[Response]) -> None:
        """Who waits for the answer has gone."""
        if self.waiter is waiter:
            self.waiter = None
            if self._upload is not None:
                upload, self._upload = self._upload, None
                upload.refuse()
            self._close()

    def expired(self) -> None:
        now = self._wheel.now
        if self.waiter is not None:
            if self._upload is not None and not self._congested and not self._head_due:
                # The request is not complete because its client is slow, and that has a deadline of its own.
                self.due = now + self.pool.head_ticks
                self._wheel.hasten(self)
            else:
                self.due = now  # the wheel has let go of it; it says that no time is left for another try
                self._give_up(timeout("no answer from the server in time"))
        elif self.answer is not None:
            if self.answer.paused:
                self.due = now + self.pool.between_ticks
                self._wheel.hasten(self)
            else:
                self._cut(timeout("the server stopped within its answer"))
        else:
            self._close()

    def readConnectionLost(self) -> None:
        if self.tunnel is not None:
            self.tunnel.server_done()
            return
        self._reader.eof()
        self._lost()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Any = None) -> None:
        if self.tunnel is not None:
            tunnel, self.tunnel = self.tunnel, None
            tunnel.server_lost()
        if not self.closed:
            # A reset, or TLS without its end, ends nothing properly (RFC 9112 8).
            self._reader.eof(clean=reason is DONE)
            self._lost()
        self._wheel.forget(self)
        # The reader refers to this connection: without it this is freed at once.
        del self._feed, self._expect, self._reader

    def _lost(self) -> None:
        """The server has closed; the reader knows what that means for the answer."""
        waiter = self.waiter
        if waiter is None and self.answer is not None:
            self._go_on()
        elif waiter is not None:
            if self._head is not None and self._error is None:
                self._answered(waiter, self._head)
            elif self.used and not self._reader.started:
                self._cut(Stale(self._limit()))
            else:
                self._give_up(broken("the connection was lost") if self._error is None else malformed(self._error))
        self._close()

    def _give_up(self, failed: Failed) -> None:
        self._cut(failed if self._reader.started else Unanswered(failed, self._limit()))

    def _limit(self) -> int:
        """The tick by which the head of the answer has to be here."""
        return self._head_due or self.due

    def move(self, pool: UpstreamPool, server: Server) -> None:
        """It is idle, and another pool's from now on."""
        self.pool = pool
        self.server = server

    def _cut(self, error: Exception, failure: Failure | None = None) -> None:
        """End the connection and tell whoever depends on it."""
        waiter, self.waiter = self.waiter, None
        answer, self.answer = self.answer, None
        upload, self._upload = self._upload, None
        self._close()
        if upload is not None:
            upload.refuse()
        if answer is not None:
            if failure is None:
                self.pool.broke(self.server)
            answer.fail(failure or (error.failure if isinstance(error, Failed) else _CUT))
        if waiter is not None:
            waiter.fail(error)

    def _close(self) -> None:
        if not self.closed:
            self.closed = True
            self.pool.lost(self)
            self._wheel.forget(self)
            if self.transport is not None:
                cast(Any, self.transport).abortConnection()


_CUT: Final = broken("the connection was lost").failure
