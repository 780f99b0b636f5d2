"""A map that lives in the store: what its declaration says, and how its entries are written there."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from policylang.sdk.store import Space

__all__ = ["LARGEST", "LONGEST", "SharedMap", "lifetime", "packed", "unpacked"]

LONGEST = 400 * 86400
"""Seconds that an entry may live at most."""
LARGEST = 1 << 20
"""Bytes that an entry's value may have at most."""
_LIFETIMES = (3600, 86400, 31 * 86400, LONGEST - 10)
"""The last is shorter by what the clocks of a cluster may differ, as its members keep nothing beyond."""
_HEAD = struct.Struct(">d")


def lifetime(seconds: float) -> float:
    """The `ttl` of a space for what lives so long. There are four, so that a changed time seldom means another space
    (a space is always opened with the same)."""
    return next((float(each) for each in _LIFETIMES if seconds <= each), float(_LIFETIMES[-1]))


@dataclass(frozen=True, slots=True)
class SharedMap:
    """`map NAME, ttl: …`. `ttl`: seconds that an entry lives where nothing shorter is said; `largest`: bytes of a value
    as JSON; `private`: its values are, and its keys are stored as hashes."""

    name: str
    ttl: float
    largest: int = 64 << 10
    private: bool = False
    space: Space = field(init=False, compare=False)

    def __post_init__(self) -> None:
        life = lifetime(self.ttl)
        # What was stored as private is never found by a policy that no longer says so.
        name = f"{'private-map' if self.private else 'map'}.{self.name}.{life:g}"
        object.__setattr__(self, "space", Space(name, "lasting", life))

    @property
    def counter(self) -> str:
        """Names its keys: whoever asks for one of them asks for the same entry."""
        return f"map|{self.name}"


def packed(value: bytes, until: float) -> bytes:
    """An entry as it is stored: when it ends (wall time), and its JSON. The store sees to its end; a change that keeps
    the end must know it."""
    return _HEAD.pack(until) + value


def unpacked(entry: bytes) -> tuple[bytes, float]:
    return entry[_HEAD.size :], _HEAD.unpack_from(entry)[0]
