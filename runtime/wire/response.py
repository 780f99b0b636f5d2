"""Answers: the bytes of an upstream become messages, or an error that the client sees as 502.

An answer, unlike a request, cannot be read alone: only who asked knows that the answer to HEAD has no body. And an
upstream must not say more than it was asked: whatever stands behind the end of an answer is not read as another one,
it makes the connection unfit for use.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Protocol

import httptools

from policylang.sdk.hop_by_hop import connection_options
from runtime.wire.fields import HTTP_1_0, HTTP_1_1, LONGEST_LENGTH, NO_NAMES, Field, Version
from runtime.wire.limits import WireError, WireLimits
from runtime.wire.memo import Memo
from runtime.wire.tape import Tape
from runtime.wire.write import REASONS

_EMPTY_LINE: Final = b"\r\n\r\n"
_TWO_EMPTY_LINES: Final = b"\r\n\r\n\r\n"
# What a chunk's framing may take before it counts: a size of up to twelve digits and two line ends.
_CHUNK_FRAMING: Final = 16
_TWO: Final = ord("2")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class ResponseHead:
    """An answer up to its empty line.

    `headers` are (lower-case name, name as received, value). `content_length` is what the field says, also where no
    body comes (HEAD, 304). `until_eof`: the body ends with the connection. `connection` holds the names of fields that
    Connection lists and that must not be forwarded. `has_body` is False where the head is all there is. One head may
    stand for several answers that said the same: nobody changes it. `lines`: what goes to clients of it while nobody
    edits `headers`; made by who sends them first.
    """

    __slots__ = (
        "chunked",
        "connection",
        "content_length",
        "has_body",
        "headers",
        "keep_alive",
        "lines",
        "reason",
        "status",
        "until_eof",
        "version",
    )

    def __init__(self, status: int, reason: bytes, version: Version, headers: list[Field]) -> None:
        self.status = status
        self.reason = reason
        self.version = version
        self.headers = headers
        self.keep_alive = version is HTTP_1_1
        self.content_length: int | None = None
        self.chunked = False
        self.until_eof = False
        self.has_body = True
        self.connection = NO_NAMES
        self.lines: bytes | None = None


@lru_cache(maxsize=8)
def answers_known(limits: WireLimits) -> Memo[ResponseHead]:
    """Heads of answers whose body came with them, for all connections under the same limits."""
    return Memo()


class ResponseSink(Protocol):
    """Who takes the answers. The calls come in order and never while the parser runs."""

    def informational(self, status: int, headers: list[Field]) -> None: ...

    def response_head(self, head: ResponseHead) -> None: ...

    def response_body(self, data: bytes) -> None: ...

    def response_end(self) -> None: ...

    def response_error(self, error: WireError) -> None: ...


class ResponseReader:
    """Reads the answers of one upstream connection; each has to be announced with `expect`.

    `informational` as often as 1xx come, then `response_head`, `response_body` as often as bytes come, and
    `response_end`; or `response_error`, once, after which input is ignored. `poisoned`: bytes came that belong to no
    answer. `started`: at least a byte of the expected answer came.
    """

    __slots__ = (
        "_allowance",
        "_body_left",
        "_failed",
        "_head",
        "_held",
        "_interim",
        "_limits",
        "_memo",
        "_method",
        "_offered",
        "_parser",
        "_sink",
        "_spent",
        "_tail",
        "_tape",
        "poisoned",
        "rest",
        "started",
    )

    def __init__(self, sink: ResponseSink, limits: WireLimits) -> None:
        self._sink = sink
        self._limits = limits
        self._memo = answers_known(limits)
        self._tape = Tape()
        self._parser = httptools.HttpResponseParser(self._tape)
        self._method: str | None = None
        self._head: ResponseHead | None = None  # of the answer whose body is being read
        self._held = bytearray()  # the part of a head that has come so far
        self._tail = b""  # the end of what has come of a chunked body
        self._body_left = 0  # of a body with Content-Length
        self._allowance = 0  # what the framing of a chunked body may still take
        self._interim = 0
        self._offered = False
        self._spent = False  # no other answer can come
        self._failed = False
        self.poisoned = False
        self.rest = b""
        self.started = False

    # -- the caller's side

    def expect(self, method: str, upgrade: bool = False) -> None:
        """Announce the answer to a request that was sent. RuntimeError if the connection cannot take one.

        `upgrade`: it has offered another protocol, so the answer may be 101. It ends with its head; `rest` is what has
        come behind it, and what comes then is not for this reader.
        """
        if self._spent or self._method is not None:
            raise RuntimeError("an answer is expected on a connection that is in use or spent")
        self._method = method
        self._offered = upgrade
        self._interim = 0
        self.started = False

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: no answer is due, the last one ended well and allows it."""
        return not self._spent and self._method is None

    @property
    def waiting(self) -> bool:
        """Whether an answer is expected that has not ended."""
        return self._method is not None

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self._method is None:
            if data and not self._failed:
                self.poisoned = self._spent = True
            return
        try:
            if self._head is not None:
                self._read_body(data)
            elif data:
                # In the usual case one call of the parser reads the head and what came with it. Not where llhttp
                # would take the bytes behind the head for the body of a HEAD's answer, or another head may follow.
                end = data.find(_EMPTY_LINE) + 4
                if (
                    not self._held
                    and 16 <= end <= self._limits.header_bytes
                    and data[9] >= _TWO
                    and data.startswith(b"HTTP/1.1 ")
                    and self._method != "HEAD"
                ):
                    known = self._memo.get(data[:end])
                    if known is not None and len(data) - end == known.content_length:
                        self._memo.hits += 1
                        self._answer_at_once(known, data[end:])
                    else:
                        self._read_at_once(data, end)
                else:
                    self._read_head(data)
        except WireError as error:
            self._fail(error)

    def spend(self) -> None:
        """The answer that is being read is the last one that is wanted."""
        self._spent = True

    def eof(self, clean: bool = True) -> None:
        """The connection has ended: where that is `clean`, the proper end of some bodies; an error within all else."""
        self._spent = True
        if self._method is None:
            return
        if clean and self._head is not None and self._head.until_eof:
            self._end(False)
        elif self.started:
            self._fail(WireError(502, "response-cut", "the upstream closed the connection within its answer"))
        else:
            self._fail(WireError(502, "no-response", "the upstream closed the connection without an answer"))

    # -- heads

    def _read_at_once(self, data: bytes, end: int) -> None:
        """Read `data`, which begins with a head of `end` bytes."""
        tape = self._tape
        self.started = True
        refusal = self._parse(data)
        if not tape.heads:
            raise refusal or _malformed("its head does not end")
        head = self._make_head(int(data[9:12]), HTTP_1_1)
        if tape.ends and len(tape.body) == 1 and len(data) - end == head.content_length and head.has_body:
            # One read, one answer with its body: nothing is left to be kept in mind.
            body = tape.body[0]
            tape.rewind()
            self._memo.keep(data[:end], head)
            self._answer_at_once(head, body)
            return
        self._begin(head)
        if head.has_body:
            self._tail = data[-6:]
            self._take_body(len(data) - end, refusal)
        else:
            self._end(len(data) > end)

    def _answer_at_once(self, head: ResponseHead, body: bytes) -> None:
        self.started = True
        self._method = None
        if not head.keep_alive:
            self._spent = True  # never back: `spend` may have been called
        sink = self._sink
        sink.response_head(head)
        sink.response_body(body)
        sink.response_end()

    def _read_head(self, data: bytes) -> None:
        held, tape, limits = self._held, self._tape, self._limits
        self.started = True
        while data:
            # The empty line may go across two reads.
            tail = bytes(held[-3:])
            end = (tail + data).find(_EMPTY_LINE) + 4 - len(tail)
            if end == 3 - len(tail):
                end = len(data)
            too_long = len(held) + end > limits.header_bytes
            if too_long:
                end = limits.header_bytes - len(held)
            piece, data = data[:end], data[end:]
            refusal = self._parse(piece)
            if refusal is not None:
                raise refusal
            held += piece
            if tape.heads:
                version = self._read_version(bytes(held))
                status: int = self._parser.get_status_code()
                held.clear()
                if status >= 200:
                    self._read_rest(self._make_head(status, version), data)
                    return
                if status == 101 and self._offered:
                    self._change_protocol(self._make_head(status, version), data)
                    return
                self._read_interim(status)
            elif too_long:
                detail = f"the head of the upstream's answer is longer than {limits.header_bytes} bytes"
                raise WireError(502, "response-head-too-large", detail)
            else:
                # As in requests: what no head may have is not kept until the head is complete.
                self._check_fields(tape.fields)
                tape.gather()

    def _read_rest(self, head: ResponseHead, data: bytes) -> None:
        if self._method == "HEAD" and not self._tape.ends:
            # llhttp waits for a body. A new parser is the only way to tell it that none comes.
            self._parser = httptools.HttpResponseParser(self._tape)
        self._begin(head)
        if not head.has_body:
            self._end(bool(data))
        elif data or self._tape.ends:
            self._read_body(data)

    def _begin(self, head: ResponseHead) -> None:
        self._head = head
        self._body_left = head.content_length or 0
        self._allowance = self._limits.chunk_extensions
        self._tail = b""
        self._sink.response_head(head)

    def _read_version(self, raw: bytes) -> Version:
        """llhttp also takes RTSP and ICE, and HTTP from 0.9 to 2.0."""
        start = raw.lstrip(b"\r\n")
        if start.startswith(b"HTTP/1.1 "):
            return HTTP_1_1
        if start.startswith(b"HTTP/1.0 "):
            return HTTP_1_0
        raise WireError(502, "malformed-response", "the upstream's answer is not of HTTP/1.1 or HTTP/1.0")

    def _change_protocol(self, head: ResponseHead, data: bytes) -> None:
        # RFC 9112 6.3: a 101 has no body; who declares one is not to be trusted about what follows.
        if head.version is not HTTP_1_1 or head.chunked or head.content_length is not None:
            raise _malformed("it changes the protocol and declares a body")
        head.has_body = False
        self._method = None
        self._spent = True
        self.rest = data
        self._tape.rewind()
        self._sink.response_head(head)

    def _read_interim(self, status: int) -> None:
        tape = self._tape
        if status < 100:
            raise _malformed("its status is below 100")
        if status == 101:
            raise WireError(502, "unexpected-upgrade", "the upstream changes to a protocol that nobody asked for")
        self._interim += 1
        if self._interim > self._limits.interim_answers:
            raise WireError(502, "too-many-interim-responses", "the upstream sends interim answers without end")
        headers = tape.head_fields
        tape.rewind()
        self._sink.informational(status, headers)

    def _make_head(self, status: int, version: Version) -> ResponseHead:
        tape = self._tape
        head = ResponseHead(status, tape.head_start, version, tape.head_fields)
        self._check_fields(head.headers)
        if head.reason not in REASONS and _CONTROL.search(head.reason):
            raise _malformed("its reason phrase has a control character")
        coding = connection = b""
        for name, value in tape.head_framing:
            if name == b"content-length":
                if head.content_length is not None or not value.isdigit() or len(value) > LONGEST_LENGTH:
                    raise _malformed("its content-length is not one number")
                head.content_length = int(value)
            elif name == b"transfer-encoding":
                coding = b"%b,%b" % (coding, value) if coding else value
            elif name == b"connection":
                connection = b"%b,%b" % (connection, value) if connection else value
        if coding:
            # RFC 9112 6.1 and 6.3: both fields, an unknown coding, or framing that HTTP/1.0 does not know: who reads
            # on here may end the answer elsewhere than the upstream does.
            if head.content_length is not None or version is HTTP_1_0 or coding.lower() != b"chunked":
                raise _malformed("its transfer-encoding is not `chunked` alone")
            head.chunked = True
        if connection:
            options, head.connection = connection_options(connection)
            head.keep_alive = b"close" not in options and (version is HTTP_1_1 or b"keep-alive" in options)
        # RFC 9112 6.3: these end with their head, whatever the head says.
        if self._method == "HEAD" or status == 304 or status == 204:
            head.has_body = False
        elif not head.chunked and head.content_length is None:
            head.until_eof = True
            head.keep_alive = False
        return head

    def _check_fields(self, fields: list[Field]) -> None:
        if len(fields) > self._limits.fields:
            detail = f"the upstream's answer has more than {self._limits.fields} header fields"
            raise WireError(502, "response-head-too-large", detail)

    # -- bodies

    def _read_body(self, data: bytes) -> None:
        if self._head is not None and self._head.chunked:
            self._tail = (self._tail + data)[-6:]
        self._take_body(len(data), self._parse(data))

    def _take_body(self, size: int, refusal: WireError | None) -> None:
        """Hand on what the parser has read of `size` bytes."""
        head, tape = self._head, self._tape
        assert head is not None
        ended = tape.ends > 0
        data = tape.take_body()
        extra = False
        if head.chunked:
            self._allowance -= size - len(data)
            if not ended:
                tape.drop_trailers()
            if ended:
                # An answer ends with one empty line; llhttp would pass over a second one, and begin a second answer.
                extra = (
                    refusal is not None
                    or tape.ends > 1
                    or tape.heads > 1
                    or not self._tail.endswith(_EMPTY_LINE)
                    or self._tail == _TWO_EMPTY_LINES
                )
                refusal = None
                if tape.bad_trailers:
                    refusal = _malformed("its trailers have fields that belong into a head")
            if refusal is None and not extra and self._allowance + _CHUNK_FRAMING * tape.chunks < 0:
                refusal = _malformed("the framing of its chunks outweighs its limit")
        elif head.content_length is not None:
            self._body_left -= size
            if ended:
                extra = self._body_left < 0
                refusal = None
        if data:
            self._sink.response_body(data)
        if refusal is not None:
            raise refusal
        if ended:
            self._end(extra)

    def _parse(self, data: bytes) -> WireError | None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # only 101 gets here, and is refused by its status
        except httptools.HttpParserError as error:
            reason = str(error)
            if reason == "Pause on CONNECT/Upgrade":
                return None  # also 101, without the fields that belong to it
            return _malformed(f"{reason[:1].lower()}{reason[1:]}")
        return None

    def _end(self, extra: bool) -> None:
        """The answer is complete; `extra`: more came than the answer."""
        head = self._head
        if extra:
            self.poisoned = self._spent = True
        elif head is None or not head.keep_alive:
            self._spent = True
        self._method = self._head = None
        self._tape.rewind()
        self._sink.response_end()

    def _fail(self, error: WireError) -> None:
        self._spent = self._failed = True
        self._method = self._head = None
        self._held.clear()
        self._tape.forget()
        self._sink.response_error(error)


def _malformed(what: str) -> WireError:
    return WireError(502, "malformed-response", f"the upstream's answer is malformed: {what}")
