"""What the gateway tells an upstream about the client, and the ids of requests.

Whatever a client says about its own address, protocol or host is removed: nobody has vouched for it. What a trusted
proxy says is passed on as far as it is believed, and the proxy added to it. The lines that say so are the same for all
requests of a connection to one host, or of one client through one proxy, so they are put together once.
"""

from __future__ import annotations

import random
import secrets
from typing import Final, NamedTuple

from policylang.sdk import Field
from policylang.sdk.arrival import CLAIMS, TOKEN, left_out, sane_id, trace_id_of
from policylang.sdk.departure import of_client, via_of
from runtime.edge.forwarded import Claims, Told
from runtime.wire.limits import WireError

_BELIEVED: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")  # as Claims has them
NOTICED: Final = CLAIMS | {b"via", b"x-request-id", b"traceparent", b"tracestate", TOKEN}
"""Fields without which a request needs no closer look."""
_HOPS: Final = 10


def opening(
    ip: str, host: str, scheme: str, version: str, via: bytes = b"", told: Told | None = None
) -> bytes:
    """A request's head from behind the target to `X-Request-ID: `.

    `ip` and `scheme` of our peer, `host` as it goes upstream and as the request names it, `version` of the request
    (`1.1`), `via` as it came; `told` by our peer, where that is a trusted proxy.
    """
    last = first = scheme, host
    chain = [ip or "unknown"]
    if told is not None:
        first = told.scheme or scheme, told.host or host
        chain = [*told.chain, ip]
    lines = "\r\n".join(f"{name}: {value}" for name, value in of_client(chain, first, last))
    return b" HTTP/1.1\r\nHost: %b\r\nVia: %b\r\n%b\r\nX-Request-ID: " % (
        host.encode("ascii"), via_of(via, version), lines.encode("ascii"),
    )  # fmt: skip


class Seen(NamedTuple):
    """What a closer look at a request's fields has found.

    `headers`: without what nobody may say of himself, and without ids that are none. `id`: of the request, `trace_id`:
    of the trace it belongs to; both empty where none came, or none that is sane. `via` and `claims` as they came.
    `dropped`: the names of the fields that are gone. `token`: of TOKEN, as it came; empty where none did.
    """

    headers: list[Field]
    id: str
    via: bytes
    claims: Claims | None
    trace_id: str
    dropped: tuple[bytes, ...]
    token: bytes


def inspect(headers: list[Field], trusted: bool = False) -> Seen:
    """`trusted`: claims of this peer are worth reading.

    Raises WireError 508 for a request that has come through so many gateways of this kind that it must be going round.
    """
    said: dict[bytes, bytes] = {}
    parents = 0
    for lower, _, value in headers:
        if lower in NOTICED:
            if lower == b"traceparent":
                parents += 1
            said[lower] = said[lower] + b", " + value if lower in said else value
    via = said.get(b"via", b"")
    if via.count(b" polgate") >= _HOPS:
        raise WireError(508, "loop-detected", f"the request has come through {_HOPS} gateways of this kind")
    id = sane_id(said.get(b"x-request-id", b""))
    trace_id = trace_id_of(said[b"traceparent"]) if parents == 1 else ""
    drop = left_out(id, trace_id)
    claims: Claims | None = None
    if trusted:
        claims = Claims(*(said.get(name) or None for name in _BELIEVED))
        if not any(claims):
            claims = None
    kept = [field for field in headers if field[0] not in drop]
    dropped = tuple(name for name in said if name in drop)
    token = said.get(TOKEN, b"")
    return Seen(kept if dropped else headers, id, via, claims, trace_id, dropped, token)


class RequestIds:
    """Ids that do not repeat: random bits, renewed with every 4,096 requests, and a place in a shuffled list.

    They are names for logs, not secrets; who sees one cannot tell how many requests were served before or since.
    """

    __slots__ = ("_next", "_prefix")

    def __init__(self) -> None:
        self._next = 0
        self._prefix = ""

    def new(self) -> str:
        number = self._next
        if not number:
            self._prefix = secrets.token_hex(10)
            number = len(_TAILS)
        self._next = number = number - 1
        return self._prefix + _TAILS[number]


_TAILS: Final = [f"{number:04x}" for number in random.SystemRandom().sample(range(0x10000), 4096)]
