"""Ids that have passed once, as `not_replayed` writes them: a token of whoever let it pass, and until when it holds."""

from __future__ import annotations

import struct

from policylang.sdk.shared_map import LONGEST, lifetime
from policylang.sdk.store import Change, Changed, Space

__all__ = ["TOKEN_BYTES", "first_of", "held_until", "replay_space", "replay_spaces", "written_id"]

TOKEN_BYTES = 16
_UNTIL = struct.Struct(">d")


def replay_space(seconds: float) -> Space:
    """Where ids are kept for so long."""
    life = lifetime(seconds)
    return Space(f"replay.{life:g}", "lasting", life)


def replay_spaces() -> tuple[Space, ...]:
    """All of them."""
    return tuple(dict.fromkeys(replay_space(seconds) for seconds in (1, 3601, 86401, LONGEST)))


def written_id(token: bytes, until: float) -> bytes:
    """`until`: wall time."""
    return token + _UNTIL.pack(until)


def held_until(entry: bytes) -> float:
    found: float = _UNTIL.unpack_from(entry, TOKEN_BYTES)[0]
    return found


def first_of(entry: bytes, seconds: float) -> Change:
    """True where nothing is there, or this very entry: a change whose reply was lost is tried again."""

    def change(before: bytes | None) -> Changed:
        if before is None:
            return Changed(True, entry, seconds)
        return Changed(before == entry, before)

    return change
