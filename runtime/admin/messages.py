"""The admin listener's HTTP/1.1 without I/O: one request a connection, small heads, plain answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

MAX_HEAD = 8 * 1024
"""Bytes of a request's head, and of the body that a change may come with."""
MAX_ENTRY = 1024 * 1024
"""Bytes of the body that sets a map's entry."""
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
PROBLEM = "application/problem+json"
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
)
"""The head of an answer without an end of its own: JSON, one object a line."""
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class Request:
    """`fields`: lower-case name to value, the values of a repeated field with commas between."""

    method: str
    path: str
    query: str
    fields: dict[str, str]
    length: int
    body: bytes = b""

    def wants_json(self) -> bool:
        accept = self.fields.get("accept", "")
        return "application/json" in accept or "application/problem+json" in accept


class Refused(Exception):
    """A request that is not taken, or not granted. `name`: kebab-case; `detail`: one sentence."""

    def __init__(self, status: int, name: str, detail: str, *fields: tuple[str, str]) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    kind: str
    body: bytes
    fields: tuple[tuple[str, str], ...] = field(default=())

    def bytes(self, head_only: bool = False) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status} {_reason(self.status)}",
            f"Content-Type: {self.kind}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            *(f"{name}: {value}" for name, value in self.fields),
            "Connection: close",
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head_only else self.body)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def text(status: int, said: str) -> Answer:
    return Answer(status, TEXT, said.encode("utf-8", "backslashreplace") + b"\n")


def json(status: int, said: object) -> Answer:
    return Answer(status, JSON, orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS))


def problem(refused: Refused) -> Answer:
    """An RFC 9457 document, like those of the gateway itself."""
    document = {
        "type": f"urn:polgate:{refused.name}", "title": refused.name.replace("-", " ").capitalize(),
        "status": refused.status, "detail": refused.detail.encode("utf-8", "backslashreplace").decode(),
    }  # fmt: skip
    return Answer(refused.status, PROBLEM, orjson.dumps(document), refused.fields)


def parse(head: bytes) -> Request:
    """From a head up to and without its empty line. Raises Refused."""
    first, *rest = head.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0") or not words[0] or not _TOKEN.issuperset(words[0]):
        raise _bad("the request line is none of HTTP/1.1")
    target = words[1]
    if not target.startswith(b"/") or any(byte <= 0x20 or byte >= 0x7F for byte in target):
        raise _bad("the target is no path")
    fields: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(b":")
        if not colon or not name or not _TOKEN.issuperset(name):
            raise _bad("a header field is malformed")
        key, said = name.decode().lower(), value.strip(b" \t").decode("latin-1")
        if key == "host" and key in fields:
            raise _bad("Host stands twice")
        fields[key] = f"{fields[key]}, {said}" if key in fields else said
    if words[2] == b"HTTP/1.1" and "host" not in fields:
        raise _bad("Host is missing")  # RFC 9112 3.2
    if "transfer-encoding" in fields:
        raise Refused(501, "no-chunked-bodies", "a request here has no body, or one with its length")
    length = fields.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) <= 15):
        raise _bad("Content-Length is no number")
    path, _, query = target.decode().partition("?")
    most = MAX_ENTRY if path.startswith("/maps/") else MAX_HEAD
    if int(length) > most:
        raise Refused(413, "too-large", f"a request here has a body of at most {most} bytes")
    return Request(words[0].decode(), path, query, fields, int(length))


def _bad(detail: str) -> Refused:
    return Refused(400, "bad-request", detail)
