"""A request as an author gives it, without a connection: of parts, or as HTTP text."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from policylang.sdk.arrival import BadHost, let_in, one_spelling
from policylang.sdk.exchange import Client, Environment, Exchange, Request
from policylang.sdk.hop_by_hop import connection_options
from policylang.sdk.message import Field
from policylang.sdk.outcome import Failure, Kind
from policylang.sdk.paths import BadPath, normal_path

CLIENT = "192.0.2.1"
HOST = "api.example"
PORT = 40000
MOST_BYTES = 256 << 20
"""Of a request that is read from a file."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_OF_A_CONNECTION = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"expect", b"te", b"trailer", b"content-length"}
)
"""Fields that end at the gateway, or that it counts itself."""
_OF_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class NotARequest(ValueError):
    """`str()` says on one line what is wrong."""


class Incoming:
    """What comes in. `target`: path and query as a client writes them. `fields` without Host; `named`: those that
    Connection names, which end at the gateway as it does.

    `host` and `scheme`: None until something says them.
    """

    def __init__(self) -> None:
        self.method = ""
        self.target = "/"
        self.fields: list[Field] = []
        self.named: frozenset[bytes] = frozenset()
        self.body = b""
        self.host: str | None = None
        self.scheme: str | None = None
        self.client = CLIENT
        self.cert: Any = None

    # --- its parts ---

    def ask_for(self, url: str) -> None:
        """A URL with its host, or a path. Characters that cannot stand there are encoded. Raises NotARequest."""
        text = quote(url, safe=_OF_PRINTABLE)  # spaces and what is beyond ASCII
        if re.match(r"https?://", text, re.I):
            parts = urlsplit(text)
            if not parts.netloc:
                raise NotARequest(f"`{url}` names no host: write `http://{HOST}/path`, or the path alone")
            self.scheme = parts.scheme.lower()
            user, mark, host = parts.netloc.rpartition("@")
            self.host = host.lower()
            if mark:
                self.log_in(unquote(user))
            text = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        text = text.partition("#")[0]
        if not text.startswith("/") and text != "*":
            raise NotARequest(f"`{url}` is neither a path nor a URL: write `/{url}` or `http://{HOST}/{url}`")
        self.target = text

    def ask_with(self, method: str) -> None:
        """Raises NotARequest."""
        if not _TOKEN.fullmatch(method.encode("utf-8", "surrogateescape")):
            raise NotARequest(f"`{method}` is no method: it is one word, as in `PATCH`")
        self.method = method

    def log_in(self, user: str) -> None:
        """`user`: `name:password`, for HTTP's own scheme (RFC 7617)."""
        self.set_field("Authorization", "Basic " + b64encode(user.encode("utf-8", "surrogateescape")).decode())

    def set_field(self, name: str, value: str) -> None:
        """In place of every field of that name. Raises NotARequest."""
        self.remove_field(name)
        self.add_field(name, value)

    def add_field(self, name: str, value: str) -> None:
        raw = name.encode("utf-8", "surrogateescape")
        if not _TOKEN.fullmatch(raw):
            raise NotARequest(f"`{name}` is no name of a header field")
        if any(mark in value for mark in "\r\n\0"):
            raise NotARequest(f"the field `{name}` has a line's end in it")
        lower = raw.lower()
        if lower == b"host":
            self.host = value.strip().lower()
        elif lower == b"connection":
            self.named |= connection_options(value.encode("utf-8", "surrogateescape"))[1]
        elif lower not in _OF_A_CONNECTION:
            self.fields.append((lower, raw, value.strip().encode("utf-8", "surrogateescape")))

    def remove_field(self, name: str) -> None:
        lower = name.lower().encode("utf-8", "surrogateescape")
        self.fields = [field for field in self.fields if field[0] != lower]
        if lower == b"connection":
            self.named = frozenset()

    def has(self, name: str) -> bool:
        return any(field[0] == name.lower().encode() for field in self.fields)

    # --- as an exchange ---

    def exchange(self, environment: Environment, number: int = 1) -> Exchange:
        """As the edge makes it. Its `failure` is set where the edge would refuse it, and no policy is asked."""
        host = self.host or HOST
        failure: Failure | None = None
        try:
            host = one_spelling(host)
        except BadHost as why:
            failure = Failure("bad-host", 400, str(why), kind=Kind.ERROR)
        fields, id = let_in([(b"host", b"Host", host.encode("utf-8", "surrogateescape")), *self.fields])
        fields = [field for field in fields if field[0] not in self.named]
        if self.body:
            fields.append((b"content-length", b"Content-Length", b"%d" % len(self.body)))
        path, mark, query = self.target.partition("?")
        try:
            path = path if path == "*" else normal_path(path.encode("utf-8", "surrogatepass")).decode()
        except BadPath as why:
            failure = Failure("bad-path", 400, f"the path is refused: {why}", kind=Kind.ERROR)
        request = Request(
            self.method or "GET", path, query.encode("utf-8", "surrogatepass") if mark else None, fields, host=host,
            scheme=self.scheme or ("http" if self.cert is None else "https"), id=id or f"{number:08x}", body=self.body,
        )  # fmt: skip
        client = Client(self.client, PORT, self.cert)
        found = Exchange(request, client, environment, environment.clock.monotonic())
        found.failure = failure
        return found


def read_request(data: bytes, name: str = "the request") -> Incoming:
    """HTTP as text: a request line, fields, an empty line, the body. Raises NotARequest.

    Lines may end as they like, the version may be missing, and lines before the request line that are empty or begin
    with `#` are skipped. Without Content-Length the body is what follows, without the last line's end; chunks are put
    together.
    """
    if len(data) > MOST_BYTES:
        raise NotARequest(f"{name} has over {MOST_BYTES} bytes")
    above, head, body = _parted(data)
    lines = [line.rstrip(b"\r").decode("utf-8", "surrogateescape") for line in head.split(b"\n")]
    if not lines[0].strip() or lines[0].startswith("#"):
        raise NotARequest(f"{name} is empty: write `GET /path`, fields and perhaps a body below")
    found = Incoming()
    _read_line(found, lines[0].strip(), name)
    length: int | None = None
    for field, value in _fields(lines[1:], above + 2, name):
        lower = field.lower()
        if lower == "content-length":
            if not re.fullmatch(r"[0-9]{1,18}", value):
                raise NotARequest(f"the Content-Length of {name} is no number")
            if length not in (None, int(value)):
                raise NotARequest(f"{name} has two values of Content-Length: {length} and {value}")
            length = int(value)
        elif lower == "transfer-encoding":
            body = _unchunked(body)
        found.add_field(field, value)
    if length is not None and length > len(body):
        raise NotARequest(f"{name} ends after {len(body)} bytes of its body, and says that there are {length}")
    found.body = body[:length] if length is not None else re.sub(rb"\r?\n\Z", b"", body)
    return found


def _parted(data: bytes) -> tuple[int, bytes, bytes]:
    """How many lines are above the request line; head and body, at the first empty line behind it."""
    start = re.match(rb"(?:[ \t]*\r?\n|#[^\n]*\n)*", data)
    begin = start.end() if start is not None else 0
    above = data.count(b"\n", 0, begin)
    gap = re.compile(rb"\r?\n[ \t]*\r?\n").search(data, begin)
    if gap is None:
        return above, data[begin:], b""
    return above, data[begin : gap.start()], data[gap.end() :]


def _read_line(found: Incoming, line: str, name: str) -> None:
    words = line.split()
    if len(words) > 1 and re.fullmatch(r"HTTP/[0-9.]+", words[-1], re.I):
        del words[-1]
    if len(words) == 1:
        words.insert(0, "GET")
    method, target = words[0], words[-1]
    if len(words) != 2 or not _TOKEN.fullmatch(method.encode("utf-8", "surrogateescape")):
        raise NotARequest(f"the first line of {name} is no request line: write `GET /path HTTP/1.1`")
    found.method = method
    found.ask_for(target)


def _unchunked(body: bytes) -> bytes:
    """Of chunks (RFC 9112 7.1), or as it is: whoever has written it down may have put them together."""
    found: list[bytes] = []
    place = 0
    while size := re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r?\n").match(body, place):
        length = int(size[1], 16)
        if not length:
            return b"".join(found)
        found.append(body[size.end() : size.end() + length])
        end = re.compile(rb"\r?\n").match(body, size.end() + length)
        if end is None:
            break
        place = end.end()
    return body


def _fields(lines: Iterable[str], first: int, name: str) -> list[tuple[str, str]]:
    """`first`: the number of the first line."""
    found: list[tuple[str, str]] = []
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        if line[0] in " \t" and found:  # RFC 9112 5.2: a line that goes on
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
            continue
        field, mark, value = line.partition(":")
        if not mark:
            raise NotARequest(f"line {number} of {name} is no field: write `Name: value`")
        found.append((field.strip(), value.strip()))
    return found
