"""The static types that the checker works with. A type is a name, what it holds, and whether it may be `none`."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Type:
    """`name` is the word a policy author reads; `of` the element type of a list or the value type of a map."""

    name: str
    of: Type | None = None
    optional: bool = False

    def maybe(self) -> Type:
        return self if self.optional else replace(self, optional=True)

    def sure(self) -> Type:
        return replace(self, optional=False) if self.optional else self

    def __str__(self) -> str:
        text = f"{self.name} of {self.of}" if self.of is not None and self.of != JSON else self.name
        return text + "?" if self.optional else text


STRING = Type("string")
NUMBER = Type("number")
BOOLEAN = Type("boolean")
NONE = Type("none", optional=True)
DURATION = Type("duration")
SIZE = Type("size")
RATE = Type("rate")
IP = Type("ip")
TIME = Type("time")
BYTES = Type("bytes")
JSON = Type("json", optional=True)
"""Anything JSON has, `none` too: known only when the message is here."""
LIST = Type("list", JSON)
MAP = Type("map", JSON)
RANGE = Type("range")
XML = Type("xml")
REQUEST = Type("request")
RESPONSE = Type("response")
PRINCIPAL = Type("principal")
CLIENT = Type("client")
CERTIFICATE = Type("certificate")
FAILURE = Type("failure")
KEY = Type("key")
"""Only parameters have it: takes any value that interpolates, or a list of them."""
TARGET = Type("target")
"""Only parameters have it: a path as text, each interpolated string encoded as one segment."""
QUERY = Type("query")
"""Only parameters have it: a map of names and values, or text."""
UPSTREAM = Type("upstream")
SHARED_MAP = Type("shared map")
"""A map that lives in the store: given to what works on it, and no value."""
SYMBOL = Type("symbol")
ANY = Type("any", optional=True)
"""Only parameters have it: takes every value."""


def list_of(element: Type) -> Type:
    return Type("list", element)


WORDS = {t.name: t for t in (STRING, NUMBER, BOOLEAN, DURATION, SIZE, RATE, IP, TIME, JSON, LIST, MAP, BYTES)}
"""The words that the parameter of a user's assertion may have as its type."""

RECORDS: dict[str, dict[str, Type]] = {
    "request": {
        "method": STRING, "path": STRING, "content_type": STRING.maybe(), "size": SIZE, "text": STRING, "json": JSON,
        "xml": XML, "body": BYTES, "bearer": STRING.maybe(), "id": STRING, "host": STRING, "scheme": STRING,
        "version": STRING,
    },
    "response": {
        "status": NUMBER, "content_type": STRING.maybe(), "size": SIZE, "text": STRING, "json": JSON, "xml": XML,
        "body": BYTES,
    },
    "client": {"ip": IP, "port": NUMBER, "cert": CERTIFICATE.maybe()},
    "certificate": {
        "subject": STRING, "issuer": STRING, "serial": STRING, "fingerprint": STRING, "names": list_of(STRING),
        "not_after": TIME,
    },
    "principal": {"id": STRING, "roles": list_of(STRING), "claims": JSON},
    "failure": {
        "name": STRING, "status": NUMBER, "title": STRING, "detail": STRING, "assertion": STRING, "line": NUMBER,
        "kind": STRING,
    },
    "service": {"name": STRING},
    "gateway": {"name": STRING, "version": STRING, "node": STRING},
}  # fmt: skip
"""Members of the records; `request.header[…]`, `.query`, `.cookie` are looked up by name and are `string?`."""
BODY_FIELDS = frozenset({"text", "json", "xml", "body", "size"})
FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive"})
"""Header fields that say where a message ends or belong to one connection: the gateway writes them itself."""
PRIVATE_FIELDS = frozenset({"request.bearer"})
PRIVATE_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
