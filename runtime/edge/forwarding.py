"""What the gateway tells an upstream about the client, and the ids of requests.

Whatever a client says about its own address, protocol or host is removed: nobody has vouched for it. The lines that
take its place are the same for all requests of a connection to one host, so they are put together once.
"""

from __future__ import annotations

import random
import re
import secrets
from typing import Final

from policylang.sdk import Field
from runtime.wire.limits import WireError

CLAIMS: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip"}
)
NOTICED: Final = CLAIMS | {b"via", b"x-request-id"}
"""Fields without which a request needs no closer look."""

_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOPS: Final = 10


def opening(ip: str, host: str, scheme: str, version: str, via: bytes = b"") -> bytes:
    """A request's head from behind the target to `X-Request-ID: `.

    `host` as it goes upstream and as the client named it, `version` of the request (`1.1`), `via` as it came. RFC 7239
    (Forwarded; an IPv6 address and what is no token stand in quotes), RFC 9110 7.6.3 (Via).
    """
    node = f'"[{ip}]"' if ":" in ip else ip
    lines = [f"Forwarded: for={node};proto={scheme}", f"X-Forwarded-For: {ip}", f"X-Forwarded-Proto: {scheme}"]
    if host:
        at = host if _TOKEN.fullmatch(host) else f'"{host}"'
        lines[0] = f"Forwarded: for={node};host={at};proto={scheme}"
        lines.append(f"X-Forwarded-Host: {host}")
    passed = via + b", " if via else b""
    return b" HTTP/1.1\r\nHost: %b\r\nVia: %b%b polgate\r\n%b\r\nX-Request-ID: " % (
        host.encode("ascii"), passed, version.encode("ascii"), "\r\n".join(lines).encode("ascii"),
    )  # fmt: skip


def inspect(headers: list[Field]) -> tuple[list[Field], str, bytes]:
    """The fields without a client's claims, the request id it gave (empty if none is sane), and Via as it came.

    Raises WireError 508 for a request that has come through so many gateways of this kind that it must be going round.
    """
    id, via = b"", b""
    ids = 0
    for lower, _, value in headers:
        if lower == b"x-request-id":
            ids += 1
            id = value
        elif lower == b"via":
            via = via + b", " + value if via else value
    if via.count(b" polgate") >= _HOPS:
        raise WireError(508, "loop-detected", f"the request has come through {_HOPS} gateways of this kind")
    sane = ids == 1 and _SANE_ID.fullmatch(id) is not None
    kept = [field for field in headers if field[0] not in CLAIMS and (sane or field[0] != b"x-request-id")]
    return kept, id.decode() if sane else "", via


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
