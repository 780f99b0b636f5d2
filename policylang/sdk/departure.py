"""What the gateway itself says to an upstream of a request, wherever it is sent: over the network, or to a stub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from policylang.sdk.arrival import NEVER_PASSED
from policylang.sdk.hop_by_hop import HOP_BY_HOP

WRITTEN_ANEW: Final = (
    HOP_BY_HOP | NEVER_PASSED | {b"host", b"content-length", b"expect", b"http2-settings", b"via", b"x-request-id"}
)
"""The gateway speaks for itself about these, and about framing: what came in is not passed on."""
BODY_EXPECTED: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose request says that its body is empty (RFC 9110 8.6)."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def of_client(chain: Sequence[str], first: tuple[str, str], last: tuple[str, str]) -> list[tuple[str, str]]:
    """The fields that say who asks, over what and for which host (RFC 7239, and those that were there before it).

    `chain`: addresses, the client's first, our peer's last, which may be the same. `first`, `last`: scheme and host as
    the client named them, and as our peer did.
    """
    elements: list[str] = []
    for place, each in enumerate(chain):
        node = f'"[{each}]"' if ":" in each else each
        ways = first if place == 0 else last if place == len(chain) - 1 else ("", "")
        host_at = ways[1] if _TOKEN.fullmatch(ways[1]) else f'"{ways[1]}"'
        at = f";host={host_at}" if ways[1] else ""
        elements.append(f"for={node}{at}" + (f";proto={ways[0]}" if ways[0] else ""))
    fields = [
        ("Forwarded", ", ".join(elements)), ("X-Forwarded-For", ", ".join(chain)), ("X-Forwarded-Proto", first[0]),
    ]  # fmt: skip
    if first[1]:
        fields.append(("X-Forwarded-Host", first[1]))
    return fields


def via_of(before: bytes, version: str) -> bytes:
    """The field Via with this gateway at its end (RFC 9110 7.6.3). `before`: as it came, or nothing."""
    return (before + b", " if before else b"") + f"{version} polgate".encode("ascii")
