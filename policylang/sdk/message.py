"""Requests and responses as a policy sees them.

Header fields are triples `(lower, name, value)` of bytes: the lower-case name to look up, the name as it came,
the value. A list of fields is never changed in place: whoever edits puts a new list there, so that a branch that
takes its writes back needs only the old reference.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from policylang.sdk.coding import ACCEPTED, Corrupt, TooLong, UnknownCoding, decode
from policylang.sdk.limits import USUAL_LIMITS, BodyLimits
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

    def bound(self, limit: int) -> bool:
        """Cut what is on its way already at `limit` bytes. False where it is known to be longer."""
        ...


_UNREAD: Any = object()


class Content:
    """What has been made of a held body for those who read it; each is made once.

    `data`: the body without its content codings, None until somebody asks. `packed`: `compress` has made the body of
    it, and it counts by `data` still. `failure`: why it cannot be decoded.
    """

    # No slots: most of these are never set, and one is made for each body that is read.
    data: bytes | None = None
    packed = False
    failure: Failure | None = None
    text: str | None = None
    json: Any = _UNREAD
    xml: Any = None


class Message:
    """`body` is the held body as it goes on, or None while it still streams from `source`.

    It may be in a content coding (RFC 9110, 8.4): `decoded`, `text`, `json` and `xml` are what it stands for.
    `bounds` limits what may be read; the tree sets it where a statement reads.
    """

    __slots__ = ("body", "bounds", "content", "headers", "limit", "received", "source")

    fault = 400
    """The status of what is unreadable here: 400 in a request, 502 in a response."""
    too_large = 413

    def __init__(self, headers: list[Field], body: bytes | None = b"", source: BodySource | None = None) -> None:
        self.headers = headers
        self.body = body
        self.received = body  # as it came, so that a branch that replaced it can give it back
        self.source = source
        self.limit: int | None = None  # bytes; what streams past it is cut off with `too_large`
        self.bounds: BodyLimits = USUAL_LIMITS
        self.content: Content | None = None

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
            content = self.content
            counted = self.body if content is None or not content.packed else content.data
            return counted is None or len(counted) <= limit
        declared = self.header(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit:
            return False
        return self.source is None or self.source.bound(limit)

    async def load(self, bounds: BodyLimits) -> None:
        """Hold the whole body, and read it within these bounds.

        Raises Failed (413 or 502) when it is over `bounds.body` bytes as received, or cut.
        """
        self.bounds = bounds
        limit = bounds.body
        if self.limit is not None and self.limit < limit:
            limit = self.limit
        body = self.body
        if body is None:
            assert self.source is not None
            body = self.body = self.received = await self.source.collect(limit)
        if len(body) > limit:
            raise Failed(Failure("body-too-large", self.too_large, f"over {limit} bytes", kind=Kind.REFUSAL))

    def set_body(self, data: bytes) -> None:
        """A body of the caller's own, who drops the fields that told of the old one."""
        self.body = data
        self.content = None

    def unread(self) -> None:
        """Content-Encoding has changed: the body stands for something else now."""
        self.content = None

    def _held(self) -> bytes:
        if self.body is None:
            raise RuntimeError("a body is read that no statement has asked for")
        return self.body

    @property
    def size(self) -> int:
        """Bytes of the held body as it goes on, in its content coding."""
        return len(self._held())

    @property
    def decoded(self) -> bytes:
        """The held body without its content codings.

        Raises Failed: `unsupported-coding` (415 or 502), `unreadable-body` (400 or 502), `body-too-large` (413 or 502).
        """
        content = self.content
        if content is None:
            content = self.content = Content()
        data = content.data
        if data is None:
            data = content.data = self._decode(content)
        return data

    def _decode(self, content: Content) -> bytes:
        body = self._held()
        codings = self.header(b"content-encoding")
        if codings is None:
            return body
        if content.failure is None:
            limit = self.bounds.decoded
            try:
                return decode(body, codings, limit)
            except UnknownCoding as unknown:
                content.failure = self._unsupported(str(unknown))
            except Corrupt as corrupt:
                detail = f"not `{codings[:64]}`: {corrupt}"
                content.failure = Failure("unreadable-body", self.fault, detail, kind=Kind.ERROR)
            except TooLong:
                detail = f"over {limit} bytes when decoded"
                content.failure = Failure("body-too-large", self.too_large, detail, kind=Kind.REFUSAL)
        raise Failed(content.failure)

    def _unsupported(self, codings: str) -> Failure:
        detail = f"the content coding `{codings[:64]}` is not read"
        if self.fault != 400:
            return Failure("unsupported-coding", self.fault, detail, kind=Kind.ERROR)
        # RFC 9110 15.5.16: Accept-Encoding tells that it was the coding, and which ones would do.
        return Failure("unsupported-coding", 415, detail, kind=Kind.ERROR, headers=(("Accept-Encoding", ACCEPTED),))

    @property
    def text(self) -> str:
        data = self.decoded
        content = self.content
        assert content is not None
        if content.text is None:
            try:
                content.text = data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise unreadable("body", f"not UTF-8 at byte {error.start}", status=self.fault) from None
        return content.text

    @property
    def json(self) -> Json:
        content = self.content
        if content is None:
            content = self.content = Content()
        elif content.json is not _UNREAD:
            return content.json
        data = content.data
        if data is None:
            data = content.data = self._decode(content)
        value = content.json = parse_json(data, self.fault, self.bounds)
        return value

    @property
    def xml(self) -> Any:
        """The lxml root element."""
        content = self.content
        if content is None or content.xml is None:
            root = parse_xml(self.decoded, self.fault, self.bounds)
            content = self.content
            assert content is not None
            content.xml = root
        return content.xml

    @property
    def content_type(self) -> str | None:
        """Type and subtype in lower case, without parameters."""
        value = self.header(b"content-type")
        return None if value is None else value.partition(";")[0].strip().lower()

    # --- taking back ---

    def snapshot(self) -> tuple[Any, ...]:
        """What `restore` takes: references only, nothing is copied."""
        return (self.headers, self.body, self.content)

    def restore(self, state: tuple[Any, ...]) -> None:
        self.headers, self.body, self.content = state
        if self.body is None:
            self.body = self.received  # a body that was read since stays held
