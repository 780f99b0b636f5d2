"""The `host[:port]` of Host fields and absolute targets."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from runtime.wire.limits import WireError

# RFC 3986 3.2.2 without percent-encoding, which DNS names never need and which would let two spellings of one name
# choose different services, and without the comma, which is how a list of two Hosts looks.
_NAME: Final = re.compile(rb"[A-Za-z0-9!$&'()*+;=._~-]{1,255}")
_AUTHORITY: Final = re.compile(rb"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{0,5}))?")

_SEEN_AT_MOST: Final = 1024
_seen: dict[bytes, bytes] = {}


def read_authority(value: bytes) -> bytes:
    """`host` or `host:port` in lower case, with one spelling for each host.

    A port that is empty and the dot that ends a fully qualified name go (RFC 3986 6.2.3); an IPv6 address gets its
    shortest form (RFC 5952). Raises WireError 400 `bad-host` for anything else than a name, an address and a port.
    """
    known = _seen.get(value)
    if known is not None:
        return known
    authority = _read(value)
    if len(_seen) >= _SEEN_AT_MOST:
        _seen.clear()
    _seen[value] = authority
    return authority


def _read(value: bytes) -> bytes:
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        raise _bad_host()
    name, port = match["name"], match["port"]
    if name.startswith(b"["):
        try:
            name = b"[%b]" % ipaddress.IPv6Address(name[1:-1].decode("ascii")).compressed.encode("ascii")
        except ValueError:
            raise _bad_host() from None
    else:
        name = name.lower().removesuffix(b".")
        if not _NAME.fullmatch(name) or name.startswith(b".") or b".." in name:
            raise _bad_host()
    if not port:
        return name
    if not 0 < int(port) < 65536:
        raise _bad_host()
    return b"%b:%d" % (name, int(port))


def _bad_host() -> WireError:
    return WireError(400, "bad-host", "the host must be a name or an address, with a port or without")
