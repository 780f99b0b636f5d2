"""Heads of answers, and the problem documents of what is refused before there is a policy to ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import orjson

from policylang.sdk import Field, Response
from runtime.wire.fields import HOP_BY_HOP
from runtime.wire.write import CHUNKED, CLOSE, content_length, response_head_bytes

_FRAMED_ANEW: Final = HOP_BY_HOP | {b"content-length"}
_STAYS_OPEN: Final = b"Connection: keep-alive\r\n"
BODILESS: Final = frozenset({204, 304})
"""Statuses whose answer ends with its head (RFC 9110 6.4.1); 1xx are never final."""


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
            text = time.strftime(f"{_DAYS[moment.tm_wday]}, %d {_MONTHS[moment.tm_mon - 1]} %Y %H:%M:%S GMT", moment)
            self._line = b"Date: %b\r\n" % text.encode("ascii")
        return self._line


# strftime's own names follow the process's locale.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def answer_head(
    response: Response, length: int | None, bodiless: bool, close: bool, version: str, date: Dates
) -> tuple[bytes, bool]:
    """The head's bytes, and whether the body goes out in chunks. `length`: None where only the end will tell.

    `bodiless`: the answer to HEAD, and 204 and 304. `version`: of the request.
    """
    chunked = False
    headers = response.headers
    drop = _FRAMED_ANEW
    if bodiless:
        # Content-Length is what the answer to GET would have; whoever replaced the body made it untrue, and a 204
        # must not have one (RFC 9110 8.6).
        extra = b""
        if response.status != 204 and response.body is response.received:
            if not response.made_here:
                drop = HOP_BY_HOP
            elif response.status != 304 and length is not None:
                extra = content_length(length)
    elif length is not None:
        extra = content_length(length)
    elif version == "1.1":
        extra = CHUNKED
        chunked = True
    else:
        extra = b""  # to HTTP/1.0 the end of the connection is the end of the body
    if close:
        extra += CLOSE
    elif version != "1.1":
        extra += _STAYS_OPEN
    for field in headers:
        if field[0] == b"date":
            break
    else:
        extra += date.line()
    return response_head_bytes(response.status, headers, extra, drop=drop), chunked


def problem(status: int, name: str, detail: str, instance: str = "") -> Response:
    """An RFC 9457 document. The type is about:blank's default, the title the status' own phrase or the name."""
    document = {"type": "about:blank", "title": name.replace("-", " ").capitalize(), "status": status, "detail": detail}
    if instance:
        document["instance"] = instance
    headers: list[Field] = [(b"content-type", b"Content-Type", b"application/problem+json")]
    return Response(status, headers, orjson.dumps(document), made_here=True)
