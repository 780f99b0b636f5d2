"""Heads of answers, and the problem documents of what is refused before there is a policy to ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import orjson

from policylang.sdk import Field, Response
from policylang.sdk.hop_by_hop import HOP_BY_HOP
from runtime.edge.request import ReceivedResponse
from runtime.wire.write import CHUNKED, CLOSE, content_length, response_head_bytes

FRAMED_ANEW: Final = HOP_BY_HOP | {b"content-length"}
"""What is not taken over from an answer: the gateway writes its own framing."""
LOOKED_AT: Final = FRAMED_ANEW | {b"date", b"proxy-status"}
BODILESS: Final = frozenset({204, 304})
"""Statuses whose answer ends with its head (RFC 9110 6.4.1); 1xx are never final."""
START_LINES: Final = {status: response_head_bytes(status, ())[:-2] for status in range(200, 1000)}
"""Also of statuses beyond 599, which an upstream may well give: nobody else minds them."""

# RFC 9209 2: who handles an answer after others adds itself at the end of their list.
_HANDLED: Final = b"Proxy-Status: polgate\r\n"
_STAYS_OPEN: Final = b"Connection: keep-alive\r\n"


class Dates:
    """The Date field of answers that have none, made once a second."""

    __slots__ = ("_line", "_second", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._second = -1
        self._line = b""

    def line(self) -> bytes:
        second = int(self._wall())
        if second != self._second:
            self._second = second
            moment = time.gmtime(second)
            day, month = _DAYS[moment.tm_wday], _MONTHS[moment.tm_mon - 1]
            text = time.strftime(f"{day}, %d {month} %Y %H:%M:%S GMT", moment)
            self._line = b"Date: %b\r\n" % text.encode("ascii")
        return self._line


# strftime's own names follow the process's locale.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def whole_answer(response: Response, body: bytes, dates: Dates) -> bytes:
    """The usual answer in one piece: to HTTP/1.1, its body held, the connection kept open."""
    if response.__class__ is ReceivedResponse:
        head, late = response.head, response.late
        if response.headers is head.headers or (late is not None and response.headers is late[0]):
            lines = head.lines
            if lines is None:
                lines = head.lines = _lines(head.headers)
            if lines:
                for lower, name, value in late[1] if late is not None else ():
                    if lower not in LOOKED_AT:
                        lines += b"%b: %b\r\n" % (name, value)
                return b"%b%bContent-Length: %d\r\n\r\n%b" % (START_LINES[response.status], lines, len(body), body)
    parts = [START_LINES[response.status]]
    dated = handled = False
    for lower, name, value in response.headers:
        if lower in LOOKED_AT:
            if lower == b"date":
                dated = True
            elif lower == b"proxy-status":
                handled = not response.made_here
            else:
                continue
        parts += (name, b": ", value, b"\r\n")
    if handled:
        parts.append(_HANDLED)
    if not dated:
        parts.append(dates.line())
    parts += (b"Content-Length: %d\r\n\r\n" % len(body), body)
    return b"".join(parts)


def _lines(headers: list[Field]) -> bytes:
    """The lines of an upstream's answer that go out; none where it has no Date, which then is to be added."""
    names = {field[0] for field in headers}
    if b"date" not in names:
        return b""
    lines = [b"%b: %b\r\n" % (name, value) for lower, name, value in headers if lower not in FRAMED_ANEW]
    if b"proxy-status" in names:
        lines.append(_HANDLED)
    return b"".join(lines)


def answer_head(
    response: Response, length: int | None, bodiless: bool, close: bool, http_1_1: bool, dates: Dates
) -> tuple[bytes, bool]:
    """Any answer's head, and whether the body goes out in chunks. `length`: None where only the end will tell.

    `bodiless`: the answer to HEAD, and 204 and 304. `http_1_1`: the request's version, else HTTP/1.0.
    """
    chunked = False
    drop = FRAMED_ANEW
    extra = b""  # also to HTTP/1.0 without a length: the end of the connection is the end of the body
    if bodiless:
        # Content-Length is what the answer to GET would have; whoever replaced the body made it untrue, and a 204
        # must not have one (RFC 9110 8.6).
        if response.status != 204 and response.body is response.received:
            if not response.made_here:
                drop = HOP_BY_HOP
            elif response.status != 304 and length is not None:
                extra = content_length(length)
    elif length is not None:
        extra = content_length(length)
    elif http_1_1:
        extra = CHUNKED
        chunked = True
    if close:
        extra += CLOSE
    elif not http_1_1:
        extra += _STAYS_OPEN
    names = {field[0] for field in response.headers}
    if b"date" not in names:
        extra += dates.line()
    if b"proxy-status" in names and not response.made_here:
        extra += _HANDLED
    return response_head_bytes(response.status, response.headers, extra, drop=drop), chunked


def problem(status: int, name: str, detail: str, error: str = "") -> Response:
    """An RFC 9457 document, like those that the policy's tree makes of its failures.

    `error`: its type in Proxy-Status (RFC 9209 2.3), where it is not the client's mistake.
    """
    document = {
        "type": f"urn:polgate:{name}", "title": name.replace("-", " ").capitalize(), "status": status, "detail": detail,
    }  # fmt: skip
    headers: list[Field] = [
        (b"content-type", b"Content-Type", b"application/problem+json"),
        (b"cache-control", b"Cache-Control", b"no-store"),
    ]
    if error:
        headers.append((b"proxy-status", b"Proxy-Status", b"polgate; error=%b" % error.encode("ascii")))
    if status == 503:
        headers.append((b"retry-after", b"Retry-After", b"1"))
    return Response(status, headers, orjson.dumps(document), made_here=True)
