# ruff: noqa: N802 - the names are those of Twisted's interfaces
"""The receiving half of a client's connection: bytes to requests, one at a time, and where their bodies go.

While a request is being served, reading goes on, since a departure is invisible otherwise: one request is read ahead,
what comes behind it stays bytes, and with 64 KiB of them reading stops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.protocol import Protocol

from policylang.sdk import Exchange, Failure, Kind
from runtime.edge.farewell import Farewell
from runtime.edge.stream import WINDOW, BodyStream
from runtime.edge.tunnel import Tunnel
from runtime.edge.wheel import NEVER
from runtime.wire.limits import WireError
from runtime.wire.request import RequestHead, RequestReader
from runtime.wire.write import CONTINUE

if TYPE_CHECKING:
    from runtime.edge.edge import Edge


class Incoming(Protocol):
    """`head` is the request that is next or being served; `complete`: its last byte has come.

    `exchange` is set from its evaluation's start to the last byte of its answer. `upload` is its body where that was
    not complete when it began. `error` is what is wrong with the bytes behind it; it is told when everything before is
    answered. `behind`: something came while it was being served. `deadline`: the tick at which it, or its head, must be
    there. `discarding`: its answer was given before its last byte came, and that is near. `tunnel`: the connection has
    changed to another protocol, and `exchange` is over when it ends.
    """

    # Slots are read and written faster than a dictionary of so many names, and these are on every request's way.
    __slots__ = (
        "_ahead", "_ahead_complete", "_continue_due", "_feed", "_full", "_paused", "_reader", "_stopped", "_wheel",
        "behind", "body", "close_after", "complete", "deadline", "discarding", "due", "edge", "error", "exchange",
        "farewell", "head", "seen", "tunnel", "upload",
    )  # fmt: skip

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.due = self.seen = self.deadline = NEVER
        self.head: RequestHead | None = None
        self.complete = False
        self.body = b""
        self.exchange: Exchange | None = None
        self.upload: BodyStream | None = None
        self.error: WireError | None = None
        self.behind = False
        self.close_after = False
        self.discarding = False
        self.farewell: Farewell | None = None
        self._wheel = edge.wheel
        self._reader = RequestReader(self, edge.settings.wire, self)
        self._feed = self._reader.feed
        self._ahead: RequestHead | None = None
        self._ahead_complete = False
        self._stopped = False  # the reader: what comes stays bytes
        self.tunnel: Tunnel | None = None
        self._full = False
        self._paused = False
        self._continue_due = False

    def serve(self) -> None:
        """Begin what has come, unless something is being served."""
        raise RuntimeError("nobody serves this connection")

    def expired(self) -> None:
        """The wheel says that `due` has come."""
        raise RuntimeError("nobody watches the time of this connection")

    # --- bytes ---

    def dataReceived(self, data: bytes) -> None:
        if self.exchange is not None:
            if self.tunnel is not None:
                self.tunnel.from_client(data)
                return
            self.behind = True
            self._feed(data)
            if self._stopped:
                self._check_room()
        elif self.farewell is None:
            self._feed(data)
            self.serve()
            if self._stopped:  # the client takes no answers, or asks for more than its turn has room for
                self._check_room()
        else:
            self.farewell.received(len(data))

    def _check_room(self) -> None:
        if self._reader.pending >= WINDOW and not self._full and self.farewell is None:
            self._full = True
            self._switch_reading()

    def _switch_reading(self) -> None:
        transport = cast(Any, self.transport)
        if self._full or self._paused:
            transport.pauseProducing()
        else:
            transport.resumeProducing()

    # --- the reader's calls ---

    def request_head(self, head: RequestHead) -> None:
        if self.head is None:
            self.head = head
            self.complete = False
        else:
            self._ahead = head
            self._ahead_complete = False
            self._stopped = True
            self._reader.pause()

    def request_offers(self, head: RequestHead) -> None:
        self.request_head(head)
        self._stopped = True

    def request_body(self, data: bytes) -> None:
        if self.upload is not None:
            self.upload.data(data)
        elif not self.discarding:
            self.body = self.body + data if self.body else data

    def request_end(self) -> None:
        if self._ahead is not None:
            self._ahead_complete = True
            return
        self.complete = True
        self.discarding = False
        if self.upload is not None:
            self.upload_ended()

    def upload_ended(self) -> None:
        cast(BodyStream, self.upload).end()

    def request_error(self, error: WireError) -> None:
        if self.head is None or self.complete:
            self.error = error
            self.discarding = False
        elif self.upload is not None:
            # What was read of it is at work already: the policy learns of it where it needs the rest.
            self.close_after = True
            self.upload.fail(Failure(error.name, error.status, error.detail, kind=Kind.ERROR))
        else:
            self.head = None
            self.error = error

    def promote(self) -> None:
        """The request that was read ahead is next."""
        self.head, self._ahead = self._ahead, None
        self.complete = self._ahead_complete
        if self.head is None or not self.head.offered:
            self.read_on()

    def read_on(self) -> None:
        """Have the reader go on with what has stayed bytes."""
        self._stopped = False
        self._reader.resume()
        if self._full and self._reader.pending < WINDOW:
            self._full = False
            self._switch_reading()

    # --- as the origin of the body ---

    def open_upload(self, head: RequestHead) -> None:
        upload = self.upload = BodyStream(self, head.content_length, 413)
        self._continue_due = head.expect_continue and not self.body
        if self.body:
            data, self.body = self.body, b""
            upload.data(data)

    def rest_is_small(self) -> bool:
        """Whether what is still to come of the body may be read away, and the connection kept."""
        upload, head = self.upload, self.head
        if upload is None or upload.length is None or head is None or (head.expect_continue and not upload.received):
            return False
        return upload.length - upload.received <= self.edge.settings.discard

    def close_upload(self) -> None:
        """What is still to come of the body concerns nobody any more."""
        upload = self.upload
        if upload is not None:
            self.upload = None
            self._continue_due = False
            if not self.complete:
                upload.refuse()
            if self._paused:
                self._paused = False
                self._switch_reading()

    def body_wanted(self) -> None:
        # RFC 9110 10.1.1: the client waits for this, or for a final answer, before it sends the body.
        if self._continue_due:
            self._continue_due = False
            if self.upload is not None and self.upload.received == 0:
                cast(Any, self.transport).post(CONTINUE)

    def pause_body(self) -> None:
        self._paused = True
        self._switch_reading()

    def resume_body(self) -> None:
        self._paused = False
        self._switch_reading()

    def body_refused(self) -> None:
        """The rest is dropped as it comes."""
        self._continue_due = False
        self.resume_body()
