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
