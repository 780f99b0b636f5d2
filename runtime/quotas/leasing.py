"""How a gateway's share of a quota grows and shrinks: pure changes of the record that the store keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from policylang.sdk import Change, Changed
from runtime.quotas.held import Held
from runtime.quotas.record import Record, Share, merged, unpack

CLOSE: Final = 16
"""No lease takes more of what is left than one part in so many, beyond what is asked for now: near the end others
shall not be refused what lies idle here."""


def fitting(needs: Sequence[int], there: int) -> int:
    """How much of what is asked for can be had, first come first served; what does not fit leaves room for others."""
    sum_ = 0
    for need in needs:
        if sum_ + need <= there:
            sum_ += need
    return sum_


def grow(gateway: bytes, held: Held, known: Record, needs: Sequence[int], limit: int, batch: int) -> Change:
    """Lease what is needed, and a batch on top of it while there is room. Answers with the record.

    `held`, `known`: what the machine has spent, and has seen of the record: what is missing in the store is put back.
    What was spent beyond the share (overdrawn) is added to it, whatever the limit says.
    """

    def change(data: bytes | None) -> Changed:
        stored = unpack(data)
        record = merged(stored, known)
        mine = share_of(record, gateway, held)
        free = mine.units - (held.spent if held.epoch == record.epoch else 0)
        room = limit - record.total + record.share(gateway).units - mine.units
        fits = fitting(needs, free + max(room, 0))
        grant = max(0, fits - free, -free)
        if grant and fits:
            grant = max(grant, min(batch, room // CLOSE))
        if mine.units + grant != record.share(gateway).units:
            record = record.with_share(gateway, mine.units + grant, limit, mine.number)
        elif record is stored:
            return Changed(record, data)
        return Changed(record, record.pack())

    return change


def shrink(gateway: bytes, held: Held, known: Record) -> Change:
    """Give back what the machine has laid down, unless it has leased anew meanwhile. Answers with the record."""

    def change(data: bytes | None) -> Changed:
        stored = unpack(data)
        record = merged(stored, known)
        mine = record.share(gateway)
        if record.epoch == held.epoch and mine.number == held.number and mine.units > held.spent:
            record = record.with_share(gateway, held.spent, record.limit)
        elif record is stored:
            return Changed(record, data)
        return Changed(record, record.pack())

    return change


def share_of(record: Record, gateway: bytes, held: Held) -> Share:
    """What counts as the gateway's share: the store's word, unless the machine knows better."""
    share = record.share(gateway)
    if held.epoch == record.epoch and held.number >= share.number:
        # Of the same number: some of it was laid down and not given back yet, which nobody can spend any more.
        return Share(held.number, held.leased)
    return share


def keep(record: Record) -> Change:
    """Remember the whole record on the machine's disk."""

    def change(data: bytes | None) -> Changed:
        stored = unpack(data)
        after = merged(record, stored)
        return Changed(after, data if after is stored or after == stored else after.pack())

    return change


def put_back(known: Record) -> Change:
    """Let the store have what the machine has seen. Answers with the record."""

    def change(data: bytes | None) -> Changed:
        stored = unpack(data)
        record = merged(stored, known)
        return Changed(record, data if record is stored else record.pack())

    return change
