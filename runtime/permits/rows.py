"""How permits and their holders stand in the store, and the changes that are made there. Pure.

One entry for each key: for each holder its id and how many permits it has. One entry for all holders: an epoch, whether
it is open, and for each holder its id and a number that it raises as long as it lives.

A holder writes its own row and nothing else; the rows of the dead anybody takes away. Holders are processes, and one
that has been taken for dead has another id when it comes back, so that taking a row away can never hit a living one.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from policylang.sdk import Change, Changed, Space

SPACE: Final = Space("permits", "passing", 86_400.0)
HOLDERS: Final = b"holders"
"""The key of the entry of all holders: no permit's key is as short."""
ID: Final = 8
"""Bytes of a holder's id, and of an epoch."""
NONE: Final = b"\0"
"""An entry that says that there is nothing: it is in the way of a write that may still be on its way."""
NONE_TTL: Final = 60.0

_ROW: Final = struct.Struct(">8sI")
_HEAD: Final = struct.Struct(">8sB")


class Claimed(NamedTuple):
    """`own`: how many permits the holder has now, `all`: all holders. `strangers`: who else has some. `entry`: what is
    there now."""

    own: int
    all: int
    strangers: tuple[bytes, ...]
    entry: bytes | None


def claim(
    me: bytes, sure: int, wanted: int, limit: int, dead: frozenset[bytes] = frozenset(), again: bool = False
) -> Change:
    """Have `wanted` permits, as far as the limit allows, but in any case the `sure` ones, which are in use.

    `again`: nobody knows what became of the change before, so write also what is there already: then that one finds
    another value when it comes late, and changes nothing.
    """

    def change(before: bytes | None) -> Changed:
        after: bytes | None
        if before is None or (len(before) <= _ROW.size and (before == NONE or before.startswith(me))):
            # The usual case: nobody else has one.
            own = wanted if wanted < limit else limit
            if own < sure:
                own = sure
            if own <= 0:
                after = NONE if again else None
                return Changed(Claimed(0, 0, (), after), after, NONE_TTL)
            after = _ROW.pack(me, own)
            return Changed(Claimed(own, own, (), after), before if after == before and not again else after)
        kept, taken = [], 0
        for id, count in _ROW.iter_unpack(before):
            if id != me and id not in dead:
                kept.append((id, count))
                taken += count
        own = max(sure, min(wanted, limit - taken), 0)
        strangers = tuple([id for id, _ in kept])
        if own:
            kept.append((me, own))
        elif not kept:
            after = NONE if again else None
            return Changed(Claimed(0, 0, (), after), after, NONE_TTL)
        after = b"".join([_ROW.pack(*row) for row in kept])
        answer = Claimed(own, own + taken, strangers, after)
        return Changed(answer, before if after == before and not again else after)

    return change


class Roll(NamedTuple):
    """The entry of all holders. `open`: permits may be given. `there`: the holder that asked was in it, or is now."""

    epoch: bytes
    open: bool
    holders: dict[bytes, int]
    there: bool = True


def renewal(
    me: bytes, known: bytes | None, fresh: bytes, dead: frozenset[bytes], opened: bytes | None, at_once: bool
) -> Change:
    """Say that a holder lives; the answer is a Roll.

    `known`: the epoch in which it stands in the entry, None where it does not yet. An entry of that epoch without it
    stays as it is: others have taken it for dead. `fresh`: the epoch where there is no entry, open `at_once` or not.
    `opened`: an epoch that has been closed for long enough.
    """

    def change(before: bytes | None) -> Changed:
        if before is None:
            roll = Roll(fresh, at_once, {me: 1})
            return Changed(roll, _packed(roll))
        found = unpacked(before)
        holders = found.holders
        if me in holders:
            holders[me] = (holders[me] + 1) & 0xFFFFFFFF
        elif found.epoch == known:
            return Changed(found._replace(there=False), before)
        else:
            holders[me] = 1
        for id in dead:
            holders.pop(id, None)
        roll = found._replace(open=found.open or found.epoch == opened)
        return Changed(roll, _packed(roll))

    return change


def _packed(roll: Roll) -> bytes:
    return _HEAD.pack(roll.epoch, roll.open) + b"".join([_ROW.pack(*row) for row in roll.holders.items()])


def unpacked(entry: bytes) -> Roll:
    epoch, open = _HEAD.unpack_from(entry)
    return Roll(epoch, bool(open), dict(_ROW.iter_unpack(entry[_HEAD.size :])))
