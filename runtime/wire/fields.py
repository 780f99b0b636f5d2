"""Header fields as the readers give them and the writer takes them."""

from __future__ import annotations

from typing import Final, TypeAlias

Field: TypeAlias = tuple[bytes, bytes, bytes]
"""A header field: name in lower case, name as it came, value without the white space around it."""

Version: TypeAlias = tuple[int, int]

HTTP_1_0: Final[Version] = (1, 0)
HTTP_1_1: Final[Version] = (1, 1)

NO_NAMES: Final[frozenset[bytes]] = frozenset()

LONGEST_LENGTH: Final = 20
"""Digits of a Content-Length: 2^64 has as many. Python turns no more than 4,300 digits into a number."""

# Fields that say where a message ends, whom it is for or what becomes of the connection: the only ones that the
# readers look at, and none of them may come as a trailer (RFC 9110 6.5.1).
FRAMING: Final = frozenset(
    {b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"trailer", b"te"}
)

# RFC 9110 7.6.1 and the obsolete ones that old software still believes in. `trailer` is here because trailers are
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
    """The options of a Connection field in lower case, and those that name other fields (RFC 9110 7.6.1)."""
    known = _USUAL.get(value)
    if known is not None:
        return known
    options = frozenset(option.strip(b" \t") for option in value.lower().split(b","))
    return options, (options - _NOT_NAMED) or NO_NAMES


_USUAL: Final[dict[bytes, tuple[frozenset[bytes], frozenset[bytes]]]] = {
    value: (frozenset({value.lower()}), NO_NAMES) for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close")
}
