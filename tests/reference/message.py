"""Requests and responses, modelled plainly: text in, lists of pairs, everything parsed anew whenever it is read."""

from __future__ import annotations

import json
import urllib.parse
import zlib
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from reference.values import Failing

ONCE = {
    "authorization", "content-length", "content-type", "date", "etag", "expires", "from", "host", "if-modified-since",
    "if-range", "if-unmodified-since", "last-modified", "location", "max-forwards", "proxy-authorization", "range",
    "referer", "retry-after", "user-agent", "content-location", "age",
}  # fmt: skip
"""Fields of which RFC 9110 allows one."""
MOST_DECODED = 3000
"""Bytes of a body without its content codings."""


def unzipped(data: bytes) -> tuple[bytes, bool]:
    """What can be read of gzip's members, and whether that is not all."""
    found = b""
    while data:
        member = zlib.decompressobj(31)
        try:
            found += member.decompress(data)
        except zlib.error:
            return found, True
        if not member.eof:
            return found, True
        data = member.unused_data
    return found, False


@dataclass
class Message:
    """`fault` is the status of what is unreadable here. `streams`: the body has not been held yet; `arrived`: it was
    held on the way. `sent`: a `route` has taken it, or a branch that was given up has read it: it may be held."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    fault: int = 400
    too_large: int = 413
    streams: bool = False
    arrived: bool = False
    sent: bool = False
    limit: int | None = None
    most: int = 1 << 20
    """The gateway's own limit for what is held."""

    def _unreadable(self, what: str, detail: str) -> Failing:
        return Failing(f"unreadable-{what}", self.fault, detail, kind="error")

    def header(self, name: str) -> str | None:
        values = self.header_values(name)
        if not values:
            return None
        if len(values) > 1 and name.lower() in ONCE:
            raise Failing("repeated-field", self.fault, name, kind="error")
        return ("; " if name.lower() == "cookie" else ", ").join(values)

    def header_values(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def set_header(self, name: str, value: str) -> None:
        self.remove_header(name)
        self.headers.append((name, value))

    def remove_header(self, name: str) -> None:
        self.headers = [(known, value) for known, value in self.headers if known.lower() != name.lower()]

    def content_type(self) -> str | None:
        value = self.header("content-type")
        return None if value is None else value.split(";")[0].strip().lower()

    def too_long(self) -> bool:
        return len(self.body) > (self.most if self.limit is None else min(self.limit, self.most))

    def hold(self) -> None:
        """The whole body is needed now."""
        if self.too_long():
            raise Failing("body-too-large", self.too_large)
        if self.streams:
            self.streams, self.arrived = False, True

    def decoded(self) -> bytes:
        """The body without its content codings: of these only gzip is modelled."""
        data = self.body
        for coding in reversed((self.header("content-encoding") or "").lower().split(",")):
            if coding.strip() in ("", "identity"):
                continue
            if coding.strip() != "gzip":
                status = 415 if self.fault == 400 else self.fault
                raise Failing("unsupported-coding", status, coding, kind="error")
            if self.body:
                data, broken = unzipped(data)
                if len(data) > MOST_DECODED:
                    raise Failing("body-too-large", self.too_large)
                if broken:
                    raise self._unreadable("body", "broken")
        return data

    def write_body(self, data: bytes) -> None:
        self.body = data
        self.streams = False
        self.remove_header("content-encoding")

    def text(self) -> str:
        try:
            return self.decoded().decode("utf-8")
        except UnicodeDecodeError:
            raise self._unreadable("body", "not UTF-8") from None

    def json(self) -> Any:
        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            if len({name for name, _ in pairs}) < len(pairs):
                raise ValueError("a member stands twice")
            return dict(pairs)

        def refuse(word: str) -> Any:
            raise ValueError(f"{word} is no JSON")

        try:
            return json.loads(self.decoded().decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
        except (ValueError, RecursionError) as error:
            raise self._unreadable("body", str(error)) from None

    def xml(self) -> Any:
        try:
            if b"<!DOCTYPE" in self.decoded():
                raise ValueError("a DOCTYPE is always refused")
            return ElementTree.fromstring(self.decoded())
        except (ElementTree.ParseError, ValueError) as error:
            raise self._unreadable("body", str(error)) from None


@dataclass
class Request(Message):
    method: str = "GET"
    path: str = "/"
    query_string: str | None = None
    host: str = ""
    id: str = ""
    scheme: str = "http"
    version: str = "1.1"

    def query(self) -> list[tuple[str, str]]:
        pairs = []
        for part in (self.query_string or "").split("&"):
            if part:
                name, _, value = part.partition("=")
                pairs.append((self._decoded(name), self._decoded(value)))
        return pairs

    def _decoded(self, text: str) -> str:
        try:
            return urllib.parse.unquote(text.replace("+", " "), errors="strict")
        except UnicodeDecodeError:
            raise self._unreadable("query", "not UTF-8") from None

    def set_query(self, name: str, value: str | None) -> None:
        """Every one of that name goes, the new one comes at the end; the others stay as they were written."""
        parts = [part for part in (self.query_string or "").split("&") if part]
        kept = [part for part in parts if self._decoded(part.partition("=")[0]) != name]
        if value is not None:
            kept.append(urllib.parse.urlencode([(name, value)], quote_via=urllib.parse.quote))
        elif kept == parts:
            return
        self.query_string = "&".join(kept) or None

    def cookies(self) -> list[tuple[str, str]]:
        pairs = []
        for part in (self.header("cookie") or "").split(";"):
            if part.strip():
                name, _, value = part.partition("=")
                value = value.strip()
                if len(value) >= 2 and value[0] == '"' and value[-1] == '"':
                    value = value[1:-1]
                pairs.append((name.strip(), value))
        return pairs

    def set_cookie(self, name: str, value: str | None) -> None:
        pairs = [(known, old) for known, old in self.cookies() if known != name]
        if value is not None:
            pairs.append((name, value))
        self.remove_header("cookie")
        if pairs:
            self.headers.append(("Cookie", "; ".join(f"{known}={old}" for known, old in pairs)))

    def bearer(self) -> str | None:
        value = self.header("authorization")
        if value is None:
            return None
        scheme, _, token = value.partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None


@dataclass
class Response(Message):
    fault: int = 502
    too_large: int = 502
    status: int = 200
    is_problem: bool = False
    """Made of a failure: its body is only compared by status."""
    number: int = 0
    """Of an upstream's answer, from 1."""


def single(pairs: list[tuple[str, str]], name: str) -> str | None:
    """A repeated query or cookie name read plainly is refused."""
    values = [value for known, value in pairs if known == name]
    if len(values) > 1:
        raise Failing("repeated-field", 400, name, kind="error")
    return values[0] if values else None
