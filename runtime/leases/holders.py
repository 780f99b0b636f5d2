"""How many holders lease from a cluster, and whether it answers: one entry that each of them renews."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from struct import Struct
from typing import Any

from policylang.sdk.store import Changed, Space
from runtime.leases.asks import SKEW_MS, Holder

BEAT = 2_000_000_000
"""Nanoseconds between two renewals."""
PROBE = 250_000_000
"""Nanoseconds to the next one while the store is away."""
GONE = 10_000_000_000
"""Nanoseconds after which a holder that has not renewed lives no more."""
SPACE = Space("holders", "passing", 60.0)
KEY = b"holders"

_SECTION = Struct("<8sIQ")
"""Holder, number of the renewal, wall clock (ms)."""


class Roll:
    """Who lives, as this holder sees it."""

    def __init__(self, me: Holder) -> None:
        self.me = me
        self.guess: bytes | None = None
        self._number = 0
        self._seen: dict[bytes, tuple[int, int]] = {}  # number, when first seen

    def renewal(self, now: int, wall_ms: int) -> Renewal:
        self._number = (self._number + 1) & 0xFFFFFFFF
        return Renewal(self, now, wall_ms, self._number)

    def lives(self, section: tuple[Any, ...], now: int, wall_ms: int) -> bool:
        holder, number, written = section
        seen = self._seen.get(holder)
        if seen is not None and seen[0] == number:
            return now - seen[1] < GONE
        return bool((wall_ms - written - SKEW_MS) * 1_000_000 < GONE)

    def finish(self, found: tuple[list[tuple[Any, ...]], bytes], now: int) -> int:
        """How many live, this one among them."""
        others, self.guess = found
        self._seen = {
            holder: known if (known := self._seen.get(holder)) is not None and known[0] == number else (number, now)
            for holder, number, _ in others
        }
        return len(others) + 1


class Renewal:
    __slots__ = ("_now", "_number", "_roll", "_wall_ms")

    def __init__(self, roll: Roll, now: int, wall_ms: int, number: int) -> None:
        self._roll = roll
        self._now = now
        self._wall_ms = wall_ms
        self._number = number

    def change(self, old: bytes | None) -> Changed:
        """The answer: the others that live, and the new value."""
        roll = self._roll
        found = list(_SECTION.iter_unpack(old)) if old is not None and len(old) % _SECTION.size == 0 else []
        others = [one for one in found if one[0] != roll.me.id and roll.lives(one, self._now, self._wall_ms)]
        own = _SECTION.pack(roll.me.id, self._number, self._wall_ms)
        value = b"".join(_SECTION.pack(*one) for one in others) + own
        return Changed((others, value), value)


class HolderCount:
    """The last known count, in a file: a worker that starts while the store is away divides its limits by it."""

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        self._path = folder / "holders"
        self._report = report

    def read(self) -> int:
        """0 where nothing is known."""
        try:
            text = self._path.read_text("ascii").strip()
        except (OSError, ValueError):
            return 0
        return int(text) if text.isdecimal() and len(text) < 6 else 0

    def write(self, count: int) -> None:
        # Whole or not at all; the workers of a machine write the same sooner or later.
        made = self._path.with_name(f"holders.{os.getpid()}")
        try:
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            try:
                os.write(descriptor, b"%d\n" % count)
            finally:
                os.close(descriptor)
            made.replace(self._path)
        except OSError as error:
            self._report(f"cannot write `{self._path}`: {error.strerror}")
