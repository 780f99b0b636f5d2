"""What becomes of a request before a policy sees it, wherever it comes from: the gateway, a test, `pol run`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Set
from typing import Final

from policylang.sdk.hop_by_hop import connection_options
from policylang.sdk.message import Field

CLAIMS: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip"}
)
"""In these a client speaks of its own address, protocol or host, for which nobody has vouched: they are removed."""
TOKEN: Final = b"polgate-trace"
"""Shows who may have the journal of the request; for this gateway alone."""
NEVER_PASSED: Final = CLAIMS | {TOKEN}

_TRACES: Final = frozenset({b"traceparent", b"tracestate"})
_TRACEPARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")  # several that were joined are none
# RFC 3986 3.2.2 without percent-encoding, which DNS names never need and which would let two spellings of one name
# choose different services, and without the comma, which is how a list of two Hosts looks.
_NAME: Final = re.compile(r"[A-Za-z0-9!$&'()*+;=._~-]{1,255}")
_AUTHORITY: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{0,5}))?")


class BadHost(ValueError):
    """The text says what a host has to be."""

    def __init__(self) -> None:
        super().__init__("the host must be a name or an address, with a port or without")


def one_spelling(host: str) -> str:
    """`host` or `host:port` in lower case, with one spelling for each host.

    A port that is empty and the dot that ends a fully qualified name go (RFC 3986 6.2.3); an IPv6 address gets its
    shortest form (RFC 5952). Raises BadHost.
    """
    match = _AUTHORITY.fullmatch(host)
    if match is None:
        raise BadHost
    name, port = match["name"], match["port"]
    if name.startswith("["):
        try:
            name = f"[{ipaddress.IPv6Address(name[1:-1]).compressed}]"
        except ValueError:
            raise BadHost from None
    else:
        name = name.lower().removesuffix(".")
        if not _NAME.fullmatch(name) or name.startswith(".") or ".." in name:
            raise BadHost
    if not port:
        return name
    if not 0 < int(port) < 65536:
        raise BadHost
    return f"{name}:{int(port)}"


def sane_id(said: bytes) -> str:
    """What `X-Request-ID` says, where it may be the request's id, else nothing."""
    return said.decode() if _SANE_ID.fullmatch(said) is not None else ""


def trace_id_of(traceparent: bytes) -> str:
    """The trace id of a valid `traceparent` (W3C Trace Context 3.2), else nothing."""
    match = _TRACEPARENT.fullmatch(traceparent)
    # Version ff is none; one to come may say more behind a dash, the present one must not.
    if match is None or match[1] == b"ff" or (match[1] == b"00" and match[4] is not None):
        return ""
    trace, parent = match[2], match[3]
    return trace.decode() if trace.strip(b"0") and parent.strip(b"0") else ""


def left_out(id: str, trace_id: str) -> Set[bytes]:
    """The fields that nobody may say of himself, and those of ids that are none."""
    drop: Set[bytes] = NEVER_PASSED
    if not id:
        drop = drop | {b"x-request-id"}
    if not trace_id:
        # W3C Trace Context 4.3: without a parent that can be read the state means nothing.
        drop = drop | _TRACES
    return drop


def let_in(fields: list[Field]) -> tuple[list[Field], str]:
    """The fields that a policy sees of those of a request, and the id that these give it, or nothing.

    Names with `_` go (CGI and its heirs see `X_User` and `X-User` as one field, RFC 3875 4.1.18), and what Connection
    names: so the gateway reads a request.
    """
    fields = [field for field in fields if b"_" not in field[0]]
    said: dict[bytes, list[bytes]] = {b"x-request-id": [], b"traceparent": [], b"connection": []}
    for lower, _, value in fields:
        if lower in said:
            said[lower].append(value)
    id = sane_id(b", ".join(said[b"x-request-id"]))
    parents = said[b"traceparent"]
    drop = left_out(id, trace_id_of(parents[0]) if len(parents) == 1 else "")
    if said[b"connection"]:
        drop = drop | connection_options(b",".join(said[b"connection"]))[1]
    return [field for field in fields if field[0] not in drop], id
