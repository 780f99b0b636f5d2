"""Requests: the bytes of a client become messages, or are refused.

llhttp reads; what it lets in although it should not is refused when the head is complete. Input is cut behind each
empty line, because a head and a chunked message end nowhere else: so at most one message ends in one call of the
parser, the reader can stop between any two of them, and no verdict depends on how the bytes were split.
"""

from __future__ import annotations

from typing import Final, Protocol

import httptools

from runtime.wire.fields import HTTP_1_1
from runtime.wire.limits import WireError, WireLimits
from runtime.wire.memo import KnownFields, requests_known
from runtime.wire.request_head import USUAL_START, RequestHead, known_request_head, read_request_head, too_many_fields
from runtime.wire.tape import Tape
from runtime.wire.upgrade import offered

__all__ = ["RequestHead", "RequestReader", "RequestSink"]

_EMPTY_LINE: Final = b"\r\n\r\n"
# What a chunk's framing may take before it counts: a size of up to twelve digits and two line ends.
_CHUNK_FRAMING: Final = 16


class RequestSink(Protocol):
    """Who takes the requests. The calls come in order and never while the parser runs; they may pause the reader."""

    def request_head(self, head: RequestHead) -> None: ...

    def request_body(self, data: bytes) -> None: ...

    def request_end(self) -> None: ...

    def request_error(self, error: WireError) -> None: ...


class UpgradeSink(Protocol):
    """Who can change to another protocol."""

    def request_offers(self, head: RequestHead) -> None:
        """In place of `request_head` for one that offers an upgrade: what comes behind it may be no request.

        The reader is paused: `resume` reads on, `take` gives the bytes to whoever understands them.
        """
        ...


class RequestReader:
    """Reads the requests of one connection, in order.

    `request_head`, then `request_body` as often as bytes come, then `request_end`, and so on; or `request_error`, once.
    After an error, and after a request that allows no other one on its connection (`Connection: close`), input is
    ignored: `done`.
    """

    __slots__ = (
        "_busy",
        "_chunked",
        "_framing_bytes",
        "_held",
        "_keep_alive",
        "_limits",
        "_memo",
        "_parser",
        "_paused",
        "_pending",
        "_position",
        "_remaining",
        "_running",
        "_sink",
        "_tail",
        "_tape",
        "_upgrades",
        "done",
    )

    def __init__(self, sink: RequestSink, limits: WireLimits, upgrades: UpgradeSink | None = None) -> None:
        self._sink = sink
        self._upgrades = upgrades
        self._limits = limits
        self._memo = requests_known(limits)
        self._tape = Tape()
        self._parser = httptools.HttpRequestParser(self._tape)
        self._held = bytearray()  # the part of a head that has come so far
        self._tail = b""  # the end of the last piece, if it is not an empty line: one may go across
        self._remaining = 0  # bytes to come of a body with Content-Length
        self._chunked = False  # in a chunked body
        self._framing_bytes = 0  # of that body: what was not data
        self._keep_alive = True
        self._pending = b""  # what waits, from `_position` on
        self._position = 0
        self._running = self._paused = False
        self._busy = False  # running, paused or done: one test for the usual case
        self.done = False

    # -- the caller's side

    def feed(self, data: bytes) -> None:
        """Read on. What comes while the reader is paused, or out of a call of the sink, waits."""
        if self._busy:
            if not self.done:
                self._hold(data)
            return
        # In the usual case a read is one head, and the request is over.
        end = data.find(_EMPTY_LINE) + 4
        if end != len(data) or self._held or self._remaining or self._chunked:
            self._run(data)
            return
        self._busy = self._running = True
        try:
            start = USUAL_START.match(data)
            known = None if start is None else self._memo.get(data[start.end() :])
            if start is not None and known is not None and end <= self._limits.request_line:
                self._memo.hits += 1
                self._keep_alive = known.keep_alive
                self._sink.request_head(known_request_head(start[1], start[2], known))
                self._end()
            else:
                self._read_head(data)
        except WireError as error:
            self._fail(error)
        finally:
            self._running = False
            self._busy = self._paused or self.done
        if self._pending and not self._paused:
            self.resume()

    def pause(self) -> None:
        """Call the sink no more, except for the end of a message whose last bytes it has just got."""
        self._paused = self._busy = True

    def resume(self) -> None:
        """Go on with what waits."""
        self._paused = False
        if not self._running and not self.done:
            self._busy = False
            if self._pending:
                data, position = self._pending, self._position
                self._pending, self._position = b"", 0
                self._run(data, position)

    def take(self) -> bytes:
        """What waits, and read no more."""
        data = self._pending[self._position :]
        self.close()
        return data

    def close(self) -> None:
        """Forget what waits, and ignore what comes."""
        self.done = self._busy = True
        self._pending, self._position = b"", 0

    @property
    def pending(self) -> int:
        """How many bytes wait for `resume`."""
        return len(self._pending) - self._position

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return bool(self._held)

    @property
    def in_body(self) -> bool:
        """Whether body bytes of the current request are still to come."""
        return self._chunked or self._remaining > 0

    # -- pieces

    def _hold(self, data: bytes) -> None:
        self._pending = self._pending[self._position :] + data
        self._position = 0

    def _run(self, data: bytes, position: int = 0) -> None:
        self._busy = self._running = True
        try:
            while True:
                size = len(data)
                while position < size:
                    if self._remaining:
                        end = min(size, position + self._remaining)
                    elif self._tail:
                        end = self._cut(data, position)
                    else:
                        end = data.find(_EMPTY_LINE, position) + 4
                        if end == 3:
                            end = size
                    piece = data if end - position == size else data[position:end]
                    position = end
                    if self._remaining:
                        self._read_body(piece)
                    elif self._chunked:
                        self._read_chunks(piece)
                    else:
                        self._read_head(piece)
                    if self._paused or self.done:
                        break
                if self.done:
                    return
                if self._paused:
                    if self._pending:
                        self._pending = data[position:] + self._pending
                    elif position < size:
                        # The rest is not cut out: a flood that is read one by one would be copied as often.
                        self._pending, self._position = data, position
                    return
                if not self._pending:
                    return
                data, self._pending = self._pending, b""
                position = 0
        except WireError as error:
            self._fail(error)
        finally:
            self._running = False
            self._busy = self._paused or self.done

    def _fail(self, error: WireError) -> None:
        self.close()
        self._held.clear()
        self._tape.forget()
        self._sink.request_error(error)

    def _cut(self, data: bytes, position: int) -> int:
        """Where the piece ends when the one before did not end with an empty line."""
        across = (self._tail + data[position : position + 3]).find(_EMPTY_LINE)
        if across >= 0:
            return position + across + 4 - len(self._tail)
        end = data.find(_EMPTY_LINE, position) + 4
        return end if end > 3 else len(data)

    def _keep_tail(self, piece: bytes) -> None:
        tail = piece[-4:] if len(piece) >= 4 else (self._tail + piece)[-4:]
        self._tail = b"" if tail == _EMPTY_LINE else tail[-3:]

    # -- heads

    def _read_head(self, piece: bytes) -> None:
        limits, tape, held = self._limits, self._tape, self._held
        room = limits.header_bytes - len(held)
        too_long = len(piece) > room
        upgrade = False
        try:
            self._parser.feed_data(piece[:room] if too_long else piece)
        except httptools.HttpParserUpgrade:
            upgrade = True
        except httptools.HttpParserError as error:
            # What is wrong first counts, however the bytes were split.
            raise self._too_many_fields() or _refusal(error, bytes(held[:256]) + piece) from None
        if too_long:
            raise self._head_too_long()
        if not tape.heads:
            # A field of four bytes takes a hundred once it is read: so many that no head may have are not kept.
            many = self._too_many_fields()
            if many is not None:
                raise many
            tape.gather()
            held += piece
            self._keep_tail(piece)
            return
        if held:
            piece = bytes(held + piece)
            held.clear()
            self._tail = b""
        method: bytes = self._parser.get_method()
        if method == b"CONNECT":
            raise WireError(501, "method-not-implemented", "the method `CONNECT` is not offered here")
        head = read_request_head(piece, method, tape.head_start, tape.head_fields, tape.head_framing, limits)
        self._keep_alive = head.keep_alive
        has_body = head.chunked or bool(head.content_length)
        if upgrade:
            head.upgrade = True
            if has_body:
                self._read_body_anew(head)
        if has_body is bool(tape.ends):
            raise _uncertain_end()
        if has_body:
            self._chunked = head.chunked
            self._framing_bytes = 0
            self._remaining = head.content_length or 0
            self._sink.request_head(head)
        else:
            tape.rewind()
            start = USUAL_START.match(piece)
            if start is not None and not upgrade and head.content_length is None:
                known = KnownFields(head.headers, head.host, head.keep_alive, head.connection, head.dropped)
                self._memo.keep(piece[start.end() :], known)
            # RFC 9110 7.8: what HTTP/1.0 offers is ignored. So is, as it may be, what comes with a body or with the
            # wish to close.
            if upgrade and self._upgrades is not None and head.keep_alive and head.version is HTTP_1_1:
                head.offered = offered(head.headers)
            if head.offered and self._upgrades is not None:
                self._paused = True
                self._upgrades.request_offers(head)
            else:
                self._sink.request_head(head)
            self._end()

    def _read_body_anew(self, head: RequestHead) -> None:
        """Have the body of a request that offers an upgrade read; llhttp stops at its head, for good."""
        framing = b"Transfer-Encoding: chunked" if head.chunked else b"Content-Length: %d" % (head.content_length or 0)
        self._parser = httptools.HttpRequestParser(self._tape)
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        self._tape.rewind()

    def _too_many_fields(self) -> WireError | None:
        return too_many_fields(self._limits) if len(self._tape.fields) > self._limits.fields else None

    def _head_too_long(self) -> WireError:
        limits = self._limits
        if sum(map(len, self._tape.start)) > limits.request_line:
            detail = f"the request line is longer than {limits.request_line} bytes"
            return WireError(414, "request-line-too-long", detail)
        detail = f"the request's head is longer than {limits.header_bytes} bytes"
        return WireError(431, "head-too-large", detail)

    # -- bodies

    def _read_body(self, piece: bytes) -> None:
        """Read a piece of a body with Content-Length, which is all data."""
        tape = self._tape
        self._parser.feed_data(piece)
        tape.body.clear()
        self._remaining -= len(piece)
        if tape.ends != (not self._remaining):
            raise _uncertain_end()
        if self._remaining:
            self._sink.request_body(piece)
        else:
            tape.rewind()
            self._sink.request_body(piece)
            self._end()

    def _read_chunks(self, piece: bytes) -> None:
        tape = self._tape
        refusal: WireError | None = None
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserError as error:
            refusal = _refusal(error, b"")
        data = tape.take_body()
        ended = tape.ends > 0
        if not ended:
            tape.drop_trailers()
        self._keep_tail(piece)
        self._framing_bytes += len(piece) - len(data)
        allowed = self._limits.chunk_extensions + _CHUNK_FRAMING * tape.chunks
        if refusal is None and self._framing_bytes > allowed:
            refusal = WireError(400, "chunk-extensions-too-long", "the framing of the chunks outweighs its limit")
        if refusal is None and ended and tape.bad_trailers:
            # RFC 9110 6.5.1: a trailer that frames or routes is for whoever merges trailers, which is not us.
            refusal = WireError(400, "bad-trailer", "the trailers have fields that belong into a head")
        if ended:
            self._chunked = False
            self._tail = b""
            tape.rewind()
        if data:
            self._sink.request_body(data)
        if refusal is not None:
            raise refusal
        if ended:
            self._end()

    def _end(self) -> None:
        if not self._keep_alive:
            self.close()
        self._sink.request_end()


def _uncertain_end() -> WireError:
    """llhttp and we do not agree about where the message ends: nothing behind it can be trusted."""
    return WireError(400, "bad-framing", "the end of the request is not certain")


def _refusal(error: Exception, seen: bytes) -> WireError:
    """What llhttp's error is in HTTP; `seen` is the head as far as it came."""
    reason = str(error)
    if reason in ("Invalid HTTP version", "Pause on PRI/Upgrade"):
        return WireError(505, "version-not-supported", "only HTTP/1.1 and HTTP/1.0 are spoken here")
    # RFC 9110 15.6.2. The first byte decides, as it is always there: most garbage does not begin with a letter.
    unknown = isinstance(error, httptools.HttpParserInvalidMethodError) and seen.lstrip(b"\r\n")[:1].isupper()
    if unknown or reason == "Invalid method for HTTP/x.x request":
        return WireError(501, "method-not-implemented", "the method is not known here")
    return WireError(400, "malformed-request", f"the request is malformed: {reason[:1].lower()}{reason[1:]}")
