"""A second, slow and obvious reader of HTTP/1.1 requests, straight from the grammar of RFC 9112, without leniency."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Final

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_START: Final = re.compile(rb"(%b) ([!-~]+) HTTP/1\.([01])" % TOKEN)
_VISIBLE: Final = rb"[\x21-\x7e\x80-\xff]"
_FIELD: Final = re.compile(
    rb"(%b):[ \t]*((?:%b(?:[ \t\x21-\x7e\x80-\xff]*%b)?)?)[ \t]*" % (TOKEN, _VISIBLE, _VISIBLE)
)
_LENGTH: Final = re.compile(rb"[0-9]{1,20}")
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -~\x80-\xff])*"'
_CHUNK: Final = re.compile(
    rb"([0-9A-Fa-f]+)(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?)*" % (TOKEN, TOKEN, _QUOTED)
)


class Wrong(Exception):
    """What is wrong with the bytes."""


class Unfinished(Exception):
    """Nothing is wrong so far."""


@dataclass
class Request:
    method: bytes
    target: bytes
    version: bytes
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Names in lower case."""
    body: bytes = b""
    chunked: bool = False

    def all(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each == name]


def line_of(data: bytes, at: int) -> tuple[bytes, int]:
    """A line without its end, and where the next one begins."""
    end = data.find(b"\r\n", at)
    line = data[at:] if end < 0 else data[at:end]
    if b"\n" in line or b"\r" in (line if end >= 0 else line[:-1]) or b"\0" in line:
        raise Wrong("a line with CR, LF or NUL in it")
    if end < 0:
        raise Unfinished
    return line, end + 2


def head_of(data: bytes, at: int = 0) -> tuple[Request, int]:
    line, at = line_of(data, at)
    start = _START.fullmatch(line)
    if start is None:
        raise Wrong(f"no request line: {line[:80]!r}")
    request = Request(start[1], start[2], start[3])
    while True:
        line, at = line_of(data, at)
        if not line:
            break
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Wrong(f"no field line: {line[:80]!r}")
        request.fields.append((found[1].lower(), found[2]))
    if len(request.all(b"host")) > 1 or (request.version == b"1" and not request.all(b"host")):
        raise Wrong("not one Host")
    return request, at


def request_of(data: bytes, at: int = 0) -> tuple[Request, int]:
    """The request that begins at `at`, and where it ends."""
    request, at = head_of(data, at)
    lengths, codings = request.all(b"content-length"), request.all(b"transfer-encoding")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked" or request.version != b"1":
            raise Wrong("framing")
        request.chunked = True
        request.body, at = chunks_of(data, at)
    elif lengths:
        if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
            raise Wrong("framing")
        end = at + int(lengths[0])
        if end > len(data):
            raise Unfinished
        request.body, at = data[at:end], end
    return request, at


def chunks_of(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        line, at = line_of(data, at)
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise Wrong(f"no chunk: {line[:80]!r}")
        size = int(found[1], 16)
        if not size:
            break
        if data[at + size : at + size + 2] != b"\r\n":
            if at + size + 2 > len(data) and b"\r\n".startswith(data[at + size :]):
                raise Unfinished
            raise Wrong("a chunk longer than it says")
        body += data[at : at + size]
        at += size + 2
    while True:
        line, at = line_of(data, at)
        if not line:
            return body, at
        if _FIELD.fullmatch(line) is None:
            raise Wrong(f"no trailer: {line[:80]!r}")


def requests_of(data: bytes) -> tuple[list[Request], str]:
    """All requests up to the first that is wrong or not complete, and what is wrong with that; empty for nothing."""
    found: list[Request] = []
    at = 0
    while at < len(data):
        if data.startswith(b"\r\n", at):
            at += 2  # RFC 9112 2.2: an empty line in front of a request is ignored
            continue
        try:
            request, at = request_of(data, at)
        except Wrong as wrong:
            return found, str(wrong)
        except Unfinished:
            return found, ""
        found.append(request)
    return found, ""


@dataclass
class Answer:
    """`complete`: its end was seen. Without it the answer was cut, and whoever reads it can tell."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes
    complete: bool

    def all(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each == name]


_STATUS: Final = re.compile(rb"HTTP/1\.1 ([2-9][0-9][0-9]) [\t -~\x80-\xff]*")


def answer_of(data: bytes, method: str = "GET") -> tuple[Answer, int]:
    """The final answer to a request of HTTP/1.1 that `data` begins with, and where it ends. Every body is framed.

    Unfinished where not even the head is complete.
    """
    line, at = line_of(data, 0)
    start = _STATUS.fullmatch(line)
    if start is None:
        raise Wrong(f"no status line: {line[:80]!r}")
    answer = Answer(int(start[1]), [], b"", True)
    while True:
        line, at = line_of(data, at)
        if not line:
            break
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Wrong(f"no field line: {line[:80]!r}")
        answer.fields.append((found[1].lower(), found[2]))
    lengths, codings = answer.all(b"content-length"), answer.all(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Wrong("two framings")
    if method == "HEAD" or answer.status in (204, 304):
        return answer, at
    if codings:
        if codings != [b"chunked"]:
            raise Wrong("framing")
        try:
            answer.body, at = chunks_of(data, at)
        except Unfinished:
            answer.body, answer.complete, at = data[at:], False, len(data)
    elif lengths and _LENGTH.fullmatch(lengths[0]):
        end = at + int(lengths[0])
        answer.body, answer.complete, at = data[at:end], end <= len(data), min(end, len(data))
    else:
        raise Wrong("framing")
    return answer, at


async def body_of(head: bytes, reader: asyncio.StreamReader) -> None:
    """Read the body that belongs to a head of the gateway's."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line[15:]))
        elif line == b"transfer-encoding: chunked":
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                await reader.readexactly(size + 2)
            await reader.readuntil(b"\r\n")
