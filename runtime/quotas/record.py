"""What the store keeps of one quota in one period, as bytes, and how two readings of it become one.

Each gateway has a share: how many units it has leased in the period so far. Only the gateway itself changes it, and
numbers the changes, so that of two readings the later one of each share is known. `base` is what an operator has added
to what is used (or, below zero, taken away), numbered likewise. A new `epoch` voids every share.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from struct import Struct
from typing import Final

_HEAD: Final = Struct("<BIIqqH")  # layout, epoch, number of the base, base, limit, shares
_SHARE: Final = Struct("<8sQq")  # gateway, number, units
_LAYOUT: Final = 1


@dataclass(frozen=True, slots=True)
class Share:
    number: int = 0
    units: int = 0


NO_SHARE: Final = Share()


@dataclass(frozen=True, slots=True)
class Record:
    """`limit`: the one that was asked about last, for operators. `shares`: by gateway."""

    epoch: int = 0
    base_number: int = 0
    base: int = 0
    limit: int = 0
    shares: dict[bytes, Share] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Units that nobody else may have: leased by somebody, or counted by an operator."""
        return self.base + sum(share.units for share in self.shares.values())

    def share(self, gateway: bytes) -> Share:
        return self.shares.get(gateway, NO_SHARE)

    def with_share(self, gateway: bytes, units: int, limit: int, number: int = 0) -> Record:
        """The gateway's next share, numbered above the last and `number`."""
        share = Share(max(self.share(gateway).number, number) + 1, units)
        return replace(self, shares={**self.shares, gateway: share}, limit=limit)

    def moved(self, units: int) -> Record:
        """So many more units count as used; what is leased stays leased."""
        return replace(self, base=self.base + units, base_number=self.base_number + 1)

    def begun_anew(self, used: int) -> Record:
        """So many units are used, whatever anybody has leased or spent until now."""
        return replace(self, epoch=self.epoch + 1, base=used, base_number=0, shares={})

    def pack(self) -> bytes:
        parts = [_HEAD.pack(_LAYOUT, self.epoch, self.base_number, self.base, self.limit, len(self.shares))]
        parts += [_SHARE.pack(gateway, share.number, share.units) for gateway, share in self.shares.items()]
        return b"".join(parts)


NOTHING: Final = Record()


def unpack(data: bytes | None) -> Record:
    """Raises ValueError for what is no record; `NOTHING` of None."""
    if data is None:
        return NOTHING
    if len(data) < _HEAD.size or data[0] != _LAYOUT:
        raise ValueError("what stands in the store is no quota of this version")
    _, epoch, base_number, base, limit, count = _HEAD.unpack_from(data)
    shares = {}
    for place in range(_HEAD.size, _HEAD.size + count * _SHARE.size, _SHARE.size):
        gateway, number, units = _SHARE.unpack_from(data, place)
        shares[gateway] = Share(number, units)
    return Record(epoch, base_number, base, limit, shares)


def merged(one: Record, other: Record) -> Record:
    """The later reading of each part. Gives `one` itself where `other` knows nothing that it does not."""
    if one.epoch != other.epoch:
        return one if one.epoch > other.epoch else other
    later = {
        gateway: share for gateway, share in other.shares.items() if share.number > one.share(gateway).number
    }  # fmt: skip
    base = other.base_number > one.base_number
    if not later and not base:
        return one
    return Record(
        one.epoch, other.base_number if base else one.base_number, other.base if base else one.base, one.limit,
        {**one.shares, **later},
    )  # fmt: skip
