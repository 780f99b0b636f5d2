"""Changing to another protocol on the same connection (RFC 9110 7.8): what may be offered, what may be agreed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from runtime.wire.fields import Field

_PROTOCOL: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?")
# HTTP within HTTP would be requests that no policy has seen.
_NEVER: Final = frozenset({b"h2c", b"h2", b"http"})


def offered(headers: Iterable[Field]) -> bytes:
    """What of the Upgrade fields of a request goes on; nothing where they list what cannot be a protocol."""
    found = protocols(b",".join(value for lower, _, value in headers if lower == b"upgrade"))
    return b", ".join(each for each in found if each.lower().partition(b"/")[0] not in _NEVER)


def agreed(offer: bytes, answer: bytes) -> bytes:
    """The protocols of a 101's Upgrade, if they are some of those that were offered, else nothing."""
    chosen = protocols(answer)
    return b", ".join(chosen) if {each.lower() for each in chosen} <= set(protocols(offer.lower())) else b""


def protocols(field: bytes) -> list[bytes]:
    found = [each.strip(b" \t") for each in field.split(b",")]
    return found if all(_PROTOCOL.fullmatch(each) for each in found) else []
