"""Requests and responses as a policy sees them.

Header fields are triples `(lower, name, value)` of bytes: the lower-case name to look up, the name as it came,
the value. A list of fields is never changed in place: whoever edits puts a new list there, so that a branch that
takes its writes back needs only the old reference.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from policylang.sdk.outcome import Failed, Failure, Kind, unreadable
from policylang.sdk.parse import parse_json, parse_xml
from policylang.sdk.values import Json

Field: TypeAlias = tuple[bytes, bytes, bytes]

SINGLETONS = frozenset(
    b"authorization content-length content-type date etag expires from host if-modified-since if-range "
    b"if-unmodified-since last-modified location max-forwards proxy-authorization range referer retry-after "
    b"user-agent content-location age".split()
)
"""Fields that RFC 9110 lets stand once: a repeated one is refused when a policy reads it."""


class BodySource(Protocol):
    """Where a body that is not held yet comes from. Implemented by the gateway."""

    async def collect(self, limit: int) -> bytes:
        """The whole body. Raises Failed (413 or 502) when it is over `limit` bytes, or cut."""
        ...


class Message:
    """`body` is the held body or None while it still streams from `source`."""

    __slots__ = ("_json", "_text", "_xml", "body", "headers", "limit", "received", "source")

    fault = 400
    """The status of what is unreadable here: 400 in a request, 502 in a response."""
    too_large = 413

    def __init__(self, headers: list[Field], body: bytes | None = b"", source: BodySource | None = None) -> None:
        self.headers = headers
        self.body = body
        self.received = body  # as it came, so that a branch that replaced it can give it back
        self.source = source
        self.limit: int | None = None  # bytes; what streams past it is cut off with `too_large`
        self._text: str | None = None
        self._json: Any = _UNREAD
        self._xml: Any = None

    # --- header fields ---

    def header(self, lower: bytes) -> str | None:
        """The field's value, a repeated one joined with `, `; a repeated singleton is `fault`."""
        found: bytes | None = None
        for field in self.headers:
            if field[0] == lower:
                if found is None:
                    found = field[2]
                elif lower in SINGLETONS:
                    raise Failed(
                        Failure("repeated-field", self.fault, f"`{lower.decode()}` stands twice", kind=Kind.ERROR)
                    )
                else:
                    found = found + (b"; " if lower == b"cookie" else b", ") + field[2]
        return None if found is None else found.decode("utf-8", "surrogateescape")

    def header_values(self, lower: bytes) -> list[str]:
        return [f[2].decode("utf-8", "surrogateescape") for f in self.headers if f[0] == lower]

    def set_header(self, lower: bytes, name: bytes, value: bytes) -> None:
        """Replaces every field of that name. The value was checked for CR, LF and NUL by the caller."""
        headers = [f for f in self.headers if f[0] != lower]
        headers.append((lower, name, value))
        self.headers = headers

    def add_header(self, lower: bytes, name: bytes, value: bytes) -> None:
        self.headers = [*self.headers, (lower, name, value)]

    def remove_header(self, lower: bytes) -> None:
        self.headers = [f for f in self.headers if f[0] != lower]

    # --- body ---

    @property
    def held(self) -> bool:
        return self.body is not None

    def limit_body(self, limit: int) -> bool:
        """Let no body of more than `limit` bytes through, held or streaming. False when it is known to be longer."""
        if self.limit is None or limit < self.limit:
            self.limit = limit
        if self.body is not None:
            return len(self.body) <= limit
        declared = self.header(b"content-length")
        return declared is None or not declared.isdigit() or int(declared) <= limit

    async def load(self, limit: int) -> None:
        """Hold the whole body. Raises Failed (413 or 502) when it is over `limit` bytes, or cut."""
        if self.limit is not None and self.limit < limit:
            limit = self.limit
        if self.body is None:
            assert self.source is not None
            self.body = self.received = await self.source.collect(limit)
        if len(self.body) > limit:
            raise Failed(Failure("body-too-large", self.too_large, f"over {limit} bytes", kind=Kind.REFUSAL))

    def set_body(self, data: bytes) -> None:
        self.body = data
        self._text = None
        self._json = _UNREAD
        self._xml = None

    def _held(self) -> bytes:
        if self.body is None:
            raise RuntimeError("a body is read that no statement has asked for")
        return self.body

    @property
    def size(self) -> int:
        """Bytes of the held body."""
        return len(self._held())

    @property
    def text(self) -> str:
        if self._text is None:
            try:
                self._text = self._held().decode("utf-8")
            except UnicodeDecodeError as error:
                raise unreadable("body", f"not UTF-8 at byte {error.start}", status=self.fault) from None
        return self._text

    @property
    def json(self) -> Json:
        if self._json is _UNREAD:
            self._json = parse_json(self._held(), self.fault)
        return self._json

    @property
    def xml(self) -> Any:
        """The lxml root element."""
        if self._xml is None:
            self._xml = parse_xml(self._held(), self.fault)
        return self._xml

    @property
    def content_type(self) -> str | None:
        """Type and subtype in lower case, without parameters."""
        value = self.header(b"content-type")
        return None if value is None else value.partition(";")[0].strip().lower()

    # --- taking back ---

    def snapshot(self) -> tuple[Any, ...]:
        """What `restore` takes: references only, nothing is copied."""
        return (self.headers, self.body, self._text, self._json, self._xml)

    def restore(self, state: tuple[Any, ...]) -> None:
        self.headers, self.body, self._text, self._json, self._xml = state
        if self.body is None:
            self.body = self.received  # a body that was read since stays held


_UNREAD: Any = object()
