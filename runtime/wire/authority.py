"""The `host[:port]` of Host fields and absolute targets."""

from __future__ import annotations

from typing import Final

from policylang.sdk.arrival import BadHost, one_spelling
from runtime.wire.limits import WireError

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
    try:
        authority = one_spelling(value.decode("latin-1")).encode()
    except BadHost as why:
        raise WireError(400, "bad-host", str(why)) from None
    if len(_seen) >= _SEEN_AT_MOST:
        _seen.clear()
    _seen[value] = authority
    return authority
