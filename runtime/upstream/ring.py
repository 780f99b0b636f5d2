"""Consistent hashing: what is equal goes to the same server, and few keys move when one comes or goes."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from hashlib import shake_128
from typing import Final
from zlib import crc32

from runtime.upstream.balance import FULL, Balance, C

POINTS: Final = 200
"""Places on the ring of a server of average weight: their shares differ by some 7 %."""
_MIX: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_BITS: Final = 20
"""Of a place's number: whose it is. So many servers no upstream has."""
_INDEX: Final = (1 << _BITS) - 1
_PLACE: Final = _MASK ^ _INDEX


class Ring(Balance[C]):
    """Each server stands at many places, in proportion to its weight; a key belongs to the next place's server.

    Where a place stands follows from the server's name alone, and a key's place from its text: every worker, and the
    gateway after a restart, comes to the same choice. Who may not be asked is passed over, so its keys go to many
    others and come back with it; one that has a part of its share keeps that part of its places.
    """

    def __init__(self, candidates: Sequence[C]) -> None:
        # Against the average, and not the total, so that a further server leaves the places of the others alone.
        average = sum(one.weight for one in candidates) / max(1, len(candidates))
        # A place and whose it is in one number: sorted faster, and looked through without an object for each.
        ring: list[int] = []
        for index, one in enumerate(candidates):
            places = max(1, round(POINTS * one.weight / average))
            ring += (place & _PLACE | index for place in _places(one.name, places))
        ring.sort()
        self._all = array("Q", ring)
        self._on_ring = len(candidates)
        self._set(self._all)
        super().__init__(candidates)

    def _set(self, ring: array[int]) -> None:
        """`_first`: where the places begin that are in each of as many equal parts of the ring."""
        bits = len(ring).bit_length()
        self._ring, self._shift = ring, 64 - bits
        self._first = array("I", [0]) * ((1 << bits) + 1)
        part = 0
        for at, place in enumerate(ring):
            while part <= place >> self._shift:
                self._first[part] = at
                part += 1
        while part <= 1 << bits:
            self._first[part] = len(ring)
            part += 1

    def changed(self) -> None:
        super().changed()
        # With many of them away the way to the next one would be long. Without them the choice is the same.
        if len(self._usable) * 2 < self._on_ring:
            self._only_usable()
        elif self._on_ring < len(self.candidates):
            if len(self._usable) * 2 > len(self.candidates):
                self._on_ring = len(self.candidates)
                self._set(self._all)
            else:
                self._only_usable()

    def _only_usable(self) -> None:
        candidates = self.candidates
        self._on_ring = len(self._usable)
        self._set(array("Q", [place for place in self._all if candidates[place & _INDEX].share]))

    def choose(self, key: str, now: int) -> C | None:
        return self._walk(key, ())

    def other(self, tried: Sequence[C], key: str, now: int) -> C | None:
        return self._walk(key, tried)

    def _walk(self, key: str, tried: Sequence[C]) -> C | None:
        ring = self._ring
        size = len(ring)
        place = crc32(key.encode()) * _MIX & _MASK
        at = self._first[place >> self._shift]
        while at < size and ring[at] < place:
            at += 1
        for step in range(at, at + size):
            found = ring[step if step < size else step - size]
            one = self.candidates[found & _INDEX]
            if (found >> _BITS) % FULL < one.share and one not in tried:
                return one
        # A share so small that it has no place of its own left, and nobody else is there.
        return self._any_other(tried)


def _places(name: str, count: int) -> tuple[int, ...]:
    return struct.unpack(f">{count}Q", shake_128(name.encode()).digest(8 * count))
