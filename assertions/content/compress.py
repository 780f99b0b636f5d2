"""`compress`"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar, Literal

from policylang.sdk import Assertion, Exchange, Expr, Field, Outcome, Request, Response, Size, param
from policylang.sdk.coding import LEVELS, encode, encoder

_AT_ONCE = 256 * 1024
"""Bytes that are packed in one go, in some milliseconds; with more the gateway's other work comes in between."""
_NEVER = frozenset({204, 205, 206})
"""Without a body, or with a part of one whose offsets are those of the whole as it is."""
_NOT_MODIFIED = 304
_LOOKED_AT = frozenset({
    b"content-type", b"content-length", b"content-encoding", b"cache-control", b"vary", b"etag",
})  # fmt: skip
_UNTRUE = frozenset({
    b"content-length", b"accept-ranges", b"content-md5", b"digest", b"content-digest", b"repr-digest",
})  # fmt: skip
"""What the body's new form makes untrue."""
_VARY: Field = (b"vary", b"Vary", b"Accept-Encoding")
_WEIGHT = re.compile(r"[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)[ \t]*\Z")  # RFC 9110, 12.4.2
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/(?:\*|\*\+[a-z0-9.-]+|[a-z0-9!#$&^_.+-]+)\Z")
_LONGEST_KEPT = 256


class Compress(Assertion):
    """Send the answer's body compressed to clients that take it so.

    The request's `Accept-Encoding`, as it came, chooses among `codings`: what the client likes best, and of what it
    likes equally the first. What would not gain is left alone: answers shorter than `min`, of other `types`, in a
    coding already, partial (206), without a body, or with `Cache-Control: no-transform`. `Content-Encoding` and
    `Vary: Accept-Encoding` are set; a strong `ETag` becomes a weak one, and `Accept-Ranges` and digests go, as they
    speak of the body as it was.

    A body that streams is compressed as it passes, and nothing of it is kept back: events go out as they come. What a
    later statement reads of the answer is what was there before; one that writes the body sends it uncompressed. So it
    stands best in `global after`.

    Where an answer holds a secret and, beside it, text that the request has chosen, its compressed length tells of the
    secret (the BREACH attack). Leave such answers out.

        compress response, min: 1KiB, types: ["text/*", "application/json"]
    """

    name: ClassVar[str] = "compress"
    effects: ClassVar[frozenset[str]] = frozenset({"response"})
    waits: ClassVar[bool | None] = True
    reads_bodies: ClassVar[bool] = False

    message: Expr[Response] = param("`response`.", positional=True)
    min: Size = param("The shortest body that is compressed, where its length is known.", default="1KiB")
    types: list[str] = param(
        "Media types; `*` stands for any subtype, `*+json` for those that end so.",
        default='["text/*", "application/json", "application/*+json", "application/xml", "application/*+xml",'
        ' "application/javascript", "application/wasm", "image/svg+xml"]',
    )
    codings: list[str] = param(
        "Codings that may be used, the dearest to us first.", default='["zstd", "br", "gzip"]'
    )
    level: Literal["fast", "normal", "best"] = param("How much time is spent on it.", default="normal")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        codings = constants.get("codings")
        if codings is not None and not codings:
            return "`codings` names none"
        for name in codings or ():
            if name not in LEVELS:
                return f"`{name}` is no coding that can be made: there are {', '.join(f'`{each}`' for each in LEVELS)}"
        for kind in constants.get("types") or ():
            if not _TYPE.match(kind):
                return f"`{kind}` is no media type: write one such as `text/html`, `text/*` or `application/*+json`"
        return None

    def __post_init__(self) -> None:
        for coding in self.codings:
            encode(b"", coding, self.level)  # its library takes up to 15 ms to load: no request is to wait for that

    def evaluate(self, exchange: Exchange) -> Outcome:
        response = self.message(exchange)
        status = response.status
        body = response.body
        if status in _NEVER or status < 200 or (body and len(body) < self._least):
            return None
        found: dict[bytes, bytes] = {}
        for lower, _, value in response.headers:
            if lower in _LOOKED_AT:
                found[lower] = found[lower] + b"," + value if lower in found else value
        kind = found.get(b"content-type")
        if kind is None or b"content-encoding" in found or not self._suits(kind):
            return None
        if b"no-transform" in found.get(b"cache-control", b"").lower():
            return None
        length = _length(exchange.request, response, found.get(b"content-length"))
        if length is not None and length < self._least and status != _NOT_MODIFIED:
            return None
        chosen = self._choice(exchange.request)
        if not chosen:
            response.headers = _varied(response.headers, found)
        elif status == _NOT_MODIFIED or body == b"":  # only the head goes out
            response.headers = _changed(response.headers, found, chosen, status != _NOT_MODIFIED)
        elif body is None:
            response.headers = _changed(response.headers, found, chosen, True)
            response.coder = partial(encoder, chosen, self.level)
        elif len(body) > _AT_ONCE:
            return self._pack_slowly(exchange, response, body, found, chosen)
        else:
            _pack(response, body, encode(body, chosen, self.level), found, chosen)
        return None

    async def _pack_slowly(
        self, exchange: Exchange, response: Response, body: bytes, found: Mapping[bytes, bytes], chosen: str
    ) -> Outcome:
        clock = exchange.environment.clock
        packing = encoder(chosen, self.level)
        parts = []
        for at in range(0, len(body), _AT_ONCE):
            parts.append(packing.feed(body[at : at + _AT_ONCE], False))
            await clock.sleep(0)
        _pack(response, body, b"".join(parts) + packing.end(), found, chosen)
        return None

    def _suits(self, content_type: bytes) -> bool:
        kind = content_type.partition(b";")[0].strip().lower().decode("latin-1")
        exact, prefixes, ends = self._types
        if kind in exact:
            return True
        main = kind.partition("/")[0]
        return main in prefixes or any(main == first and kind.endswith(last) for first, last in ends)

    @cached_property
    def _types(self) -> tuple[frozenset[str], frozenset[str], tuple[tuple[str, str], ...]]:
        """Whole types; main types whose subtypes all count; main types with the ends of their subtypes."""
        split = [kind.partition("/") for kind in self.types]
        return (
            frozenset(self.types),
            frozenset(main for main, _, sub in split if sub == "*"),
            tuple((main, sub[1:]) for main, _, sub in split if sub.startswith("*+")),
        )

    def _choice(self, request: Request) -> str:
        if request.headers is request.received_headers:
            accept = request.header(b"accept-encoding")
        else:  # a policy may have written it for its upstream
            values = [value for lower, _, value in request.received_headers if lower == b"accept-encoding"]
            accept = b",".join(values).decode("latin-1") if values else None
        if accept is None:
            return ""
        return (_chosen if len(accept) <= _LONGEST_KEPT else choose)(accept, self._codings)

    @cached_property
    def _least(self) -> int:
        return self.min.bytes

    @cached_property
    def _codings(self) -> tuple[str, ...]:
        return tuple(self.codings)


def choose(accept: str, codings: tuple[str, ...]) -> str:
    """The coding that Accept-Encoding (RFC 9110, 12.5.3) asks for, empty for none."""
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        name, semicolon, weight = part.partition(";")
        match = _WEIGHT.match(weight)
        if match is not None or not semicolon:
            name = name.strip(" \t").removeprefix("x-")  # x-gzip is gzip (RFC 9110, 8.4.1.3)
            weights.setdefault(name, 1.0 if match is None else float(match[1]))
    others = weights.get("*", 0.0)
    chosen = ""
    best = max(weights.get("identity", 0.0), 0.0005)  # the least weight is 0.001
    for coding in codings:
        of_this = weights.get(coding, others)
        if of_this > best or (of_this == best and not chosen):
            best, chosen = of_this, coding
    return chosen


_chosen = lru_cache(maxsize=1024)(choose)


def _length(request: Request, response: Response, declared: bytes | None) -> int | None:
    """How long the body is, or to a GET would be; None where only its end will tell."""
    if response.body:
        return len(response.body)
    if declared is not None and declared.isdigit():
        return int(declared)
    return None if response.body is None or request.method == "HEAD" else 0


def _pack(response: Response, body: bytes, packed: bytes, found: Mapping[bytes, bytes], chosen: str) -> None:
    if len(packed) < len(body):
        response.headers = _changed(response.headers, found, chosen, True)
        response.set_packed(body, packed)
    else:
        response.headers = _varied(response.headers, found)


def _varied(headers: list[Field], found: Mapping[bytes, bytes]) -> list[Field]:
    """Told also where nothing was changed: to another client the answer is another (RFC 9110, 12.5.5)."""
    names = [name.strip(b" \t") for name in found.get(b"vary", b"").lower().split(b",")]
    return headers if b"*" in names or b"accept-encoding" in names else [*headers, _VARY]


def _changed(headers: list[Field], found: Mapping[bytes, bytes], chosen: str, coded: bool) -> list[Field]:
    """The fields of the coded body; those of a 304 speak of it (`coded` false) and have none of it."""
    kept = []
    for field in headers:
        if field[0] == b"etag":
            if not field[2].startswith(b"W/"):
                field = (field[0], field[1], b"W/" + field[2])
        elif field[0] in _UNTRUE:
            continue
        kept.append(field)
    if coded:
        kept.append((b"content-encoding", b"Content-Encoding", chosen.encode()))
    return _varied(kept, found)
