"""What the workers of one machine hold of a quota in one period, as bytes in the machine's passing entries.

A request spends from it without waiting for a disk or the network: a change here is one write transaction of LMDB.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Final, NamedTuple

from policylang.sdk import Change, Changed
from runtime.quotas.record import Record

_HELD: Final = Struct("<IQqqqq")
_unpack, _pack = _HELD.unpack, _HELD.pack
_new: Any = tuple.__new__  # the constructors that NamedTuple generates cost twice as much


class Held(NamedTuple):
    """`number`: of the share's last change that was seen here; `leased`: the share then, or less, where some of it is
    being given back; `others`: what else counts against the limit; `bound`: the lowest limit that all of the shares
    were last compared with, 0 where nobody else can have a share."""

    epoch: int
    number: int
    leased: int
    spent: int
    others: int
    bound: int

    @property
    def free(self) -> int:
        return self.leased - self.spent

    @classmethod
    def of(cls, data: bytes) -> Held:
        return cls(*_unpack(data))

    def pack(self) -> bytes:
        return _pack(*self)


def spend(units: int, limit: int) -> Change:
    """Answers with what is left of the limit and the epoch; with the entry as it is, where it does not suffice."""

    def change(data: bytes | None) -> Changed:
        if data is not None:
            epoch, number, leased, spent, others, bound = _unpack(data)
            spent += units
            left = limit - others - spent
            if spent <= leased and left >= 0 and limit >= bound:
                changed = _pack(epoch, number, leased, spent, others, bound)
                return _new(Changed, ((left, epoch), changed, None))  # type: ignore[no-any-return]
        return Changed(data, data)

    return change


def overdraw(units: int, limit: int) -> Change:
    """Spend what there is not. Answers with what is left of the limit and the epoch."""

    def change(data: bytes | None) -> Changed:
        held = Held.of(data) if data is not None else Held(0, 0, 0, 0, 0, 0)
        held = held._replace(spent=held.spent + units)
        return Changed((limit - held.others - held.spent, held.epoch), held.pack())

    return change


def give_back(units: int, epoch: int) -> Change:
    def change(data: bytes | None) -> Changed:
        if data is None:
            return Changed(None, None)
        held = Held.of(data)
        if held.epoch != epoch:  # an operator has set what is used since
            return Changed(None, data)
        return Changed(None, held._replace(spent=max(0, held.spent - units)).pack())

    return change


def begin(record: Record, gateway: bytes) -> Change:
    """Where the machine knows nothing (any more): what it has leased before counts as spent. Answers with the entry."""

    def change(data: bytes | None) -> Changed:
        if data is not None:
            return Changed(data, data)
        share = record.share(gateway)
        held = Held(record.epoch, share.number, share.units, share.units, record.total - share.units, 0)
        packed = held.pack()
        return Changed(packed, packed)

    return change


def take_up(record: Record, gateway: bytes, bound: int) -> Change:
    """What the store has now. Answers with the entry.

    The share stands for all that the machine has leased, so that it does not matter which worker has asked for it, nor
    in which order they hear of it.
    """

    def change(data: bytes | None) -> Changed:
        share = record.share(gateway)
        others = record.total - share.units
        if data is None:
            held = Held(record.epoch, share.number, share.units, share.units, others, bound)
        else:
            held = Held.of(data)
            if record.epoch > held.epoch:
                held = Held(record.epoch, share.number, share.units, 0, others, bound)
            elif record.epoch == held.epoch and share.number >= held.number:
                leased = share.units if share.number > held.number else held.leased
                held = held._replace(number=share.number, leased=leased, others=others, bound=bound)
        packed = held.pack()
        return Changed(packed, data if packed == data else packed)

    return change


def lay_down(data: bytes | None) -> Changed:
    """Stop spending, so that what is left can be given back. Answers with what was there, None if nothing is left."""
    if data is None:
        return Changed(None, None)
    held = Held.of(data)
    if held.free <= 0:
        return Changed(None, data)
    return Changed(held, held._replace(leased=held.spent).pack())
