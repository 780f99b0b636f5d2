"""The PROXY header: what a proxy in front says of a connection, before the connection's own bytes.

Versions 1 (text) and 2 (binary) of the protocol as haproxy.org/download/2.6/doc/proxy-protocol.txt has it. Only the
source is of interest; everything that the specification calls wrong, and every transport but TCP, is refused.
"""

from __future__ import annotations

import re
import struct
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

LONGEST_TEXT: Final = 107
"""Bytes of a header of version 1, line end included (section 2.1)."""
LONGEST_BINARY: Final = 4096
"""Bytes of what follows the first 16 of a header of version 2."""

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_TEXT: Final = b"PROXY "
_FIXED: Final = 16
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP(?P<family>[46])"
    rb" (?P<source>[0-9A-Fa-f.:]{2,45}) (?P<target>[0-9A-Fa-f.:]{2,45})"
    rb" (?P<port>0|[1-9][0-9]{0,4}) (?P<to>0|[1-9][0-9]{0,4}))\r\n"
)
_LOCAL, _PROXIED = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_ADDRESSES: Final = {_UNSPECIFIED: 0, _TCP4: 12, _TCP6: 36, _UNIX: 216}
_CRC32C: Final = 0x03


class BadProxyHeader(Exception):
    """Its text says in a few words what is wrong."""


def header_size(data: bytes) -> int | None:
    """How many bytes the header at the start of `data` has, None while that, or the header, is not all there.

    While it gives None all of `data` belongs to the header. Raises BadProxyHeader as soon as none can begin so.
    """
    start = data[: len(_SIGNATURE)]
    if start[:1] == b"\r":
        if not _SIGNATURE.startswith(start):
            raise BadProxyHeader("no PROXY header")
        if len(data) < _FIXED:
            return None
        length: int = struct.unpack_from("!H", data, 14)[0]
        if length > LONGEST_BINARY:
            raise BadProxyHeader(f"a PROXY header of more than {LONGEST_BINARY} bytes")
        return _FIXED + length if len(data) >= _FIXED + length else None
    if not _TEXT.startswith(data[: len(_TEXT)]):
        raise BadProxyHeader("no PROXY header")
    end = data.find(b"\n", 0, LONGEST_TEXT)
    if end < 0 and len(data) >= LONGEST_TEXT:
        raise BadProxyHeader(f"a PROXY header of more than {LONGEST_TEXT} bytes")
    return end + 1 if end >= 0 else None


def read_source(header: bytes) -> tuple[str, int] | None:
    """Address and port of the client; None where the connection is the proxy's own, or the client has no address.

    `header` as `header_size` has measured it. IPv4-mapped addresses are given as IPv4. Raises BadProxyHeader.
    """
    return _read_text(header) if header.startswith(_TEXT) else _read_binary(header)


def _read_text(header: bytes) -> tuple[str, int] | None:
    match = _LINE.fullmatch(header)
    if match is None:
        raise BadProxyHeader("a PROXY header that breaks the rules of version 1")
    if match["family"] is None:
        return None
    port = int(match["port"])
    kind = IPv4Address if match["family"] == b"4" else IPv6Address
    try:
        source = kind(match["source"].decode("ascii"))
        kind(match["target"].decode("ascii"))
    except AddressValueError:
        raise BadProxyHeader("a PROXY header without a valid address") from None
    if port > 65535 or int(match["to"]) > 65535:
        raise BadProxyHeader("a PROXY header without a valid port")
    return _plain(source), port


def _read_binary(header: bytes) -> tuple[str, int] | None:
    command, family = header[12], header[13]
    if command == _LOCAL:
        # Section 2.2: whatever else it says is not looked at (a health check of the proxy's own).
        return None
    if command != _PROXIED:
        raise BadProxyHeader("a PROXY header of an unknown version or command")
    size = _ADDRESSES.get(family)
    if size is None:
        raise BadProxyHeader("a PROXY header for something else than TCP")
    if len(header) < _FIXED + size:
        raise BadProxyHeader("a PROXY header that is shorter than its addresses")
    _check_records(header, _FIXED + size)
    if family == _TCP4:
        packed, port = struct.unpack_from("!4s4xH", header, _FIXED)
        return str(IPv4Address(packed)), port
    if family == _TCP6:
        packed, port = struct.unpack_from("!16s16xH", header, _FIXED)
        return _plain(IPv6Address(packed)), port
    return None


def _check_records(header: bytes, position: int) -> None:
    """Pass over what else is said (type, length, value), but for the checksum, which must be right where one stands."""
    size = len(header)
    if header[13] == _UNSPECIFIED:
        return  # section 2.2: of unknown addresses nobody knows where they end
    while position < size:
        if size - position < 3:
            raise BadProxyHeader("a PROXY header whose records do not fit")
        kind, length = struct.unpack_from("!BH", header, position)
        position += 3
        if length > size - position:
            raise BadProxyHeader("a PROXY header whose records do not fit")
        if kind == _CRC32C:
            blank = header[:position] + bytes(length) + header[position + length :]
            if length != 4 or crc32c(blank) != int.from_bytes(header[position : position + 4], "big"):
                raise BadProxyHeader("a PROXY header whose checksum is wrong")
        position += length


def _plain(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def crc32c(data: bytes) -> int:
    """RFC 3720 B.4 (Castagnoli)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0x82F63B78 if value & 1 else value >> 1
    return value


_TABLE: Final = [_entry(value) for value in range(256)]
