"""Header fields that are for the next one on the way alone, and end there (RFC 9110 7.6.1)."""

from __future__ import annotations

from typing import Final

# Those of the RFC, and the obsolete ones that old software still believes in. `trailer` is here because trailers are
# dropped, the two `proxy-auth` fields because they are meant for this hop.
HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# Options that name no field of theirs, and fields that nobody may have dropped: without Content-Length a body would be
# read as the next message.
_NOT_NAMED: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"", b"content-length", b"host"})


def connection_options(value: bytes) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """The options of a Connection field in lower case, and those that name other fields."""
    known = _USUAL.get(value)
    if known is not None:
        return known
    options = frozenset(option.strip(b" \t") for option in value.lower().split(b","))
    return options, options - _NOT_NAMED


_USUAL: Final[dict[bytes, tuple[frozenset[bytes], frozenset[bytes]]]] = {
    value: (frozenset({value.lower()}), frozenset()) for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close")
}
