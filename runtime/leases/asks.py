"""What the leases of a key are asked, and the times and numbers that all of them go by."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from policylang.sdk import Waiter
from policylang.sdk.window import Decision

SKEW_MS = 2000
"""By so much the wall clocks of two gateways may differ."""

EXACT = 64
"""A limit up to this is exact: nothing is leased that nobody waits for."""

SPENDING = 50
"""What is leased beyond need may be spent for a window divided by this."""

LOOKS = 200
"""A refused key is looked at again after a window divided by this, while anybody asks for it,"""
LONGEST_POLL = 1_000_000_000
"""but at least so often (ns)."""


def grace_of(window: int, deadline: int) -> int:
    """How long (ns) after it has asked for a unit a holder may still spend it: a call may take `deadline` (ns)."""
    return window // SPENDING + 2 * deadline


class Holder:
    """Who leases: `id`, 8 bytes, is no other process's. `count`: how many holders live, as far as is known."""

    __slots__ = ("count", "id")

    def __init__(self, id: bytes, count: int) -> None:
        self.id = id
        self.count = count


class Ask:
    """Some units that somebody wants. `at`: since when; `kept`: they are to be reserved, not spent; `count` False: only
    how the key stands; `dead`: nobody waits any more. `until`: how long what is reserved may be spent."""

    __slots__ = ("at", "cost", "count", "dead", "kept", "limit", "until", "waiter")

    def __init__(self, cost: int, limit: int, at: int, count: bool = True, kept: bool = False) -> None:
        self.cost = cost
        self.limit = limit
        self.at = at
        self.count = count
        self.kept = kept
        self.dead = False
        self.until = 0
        self.waiter: Waiter[Decision] = Waiter()


Section: TypeAlias = tuple[Any, ...]


class Found(NamedTuple):
    """What a change of an entry has come to. `verdicts`: one for each ask; `extra`: units leased beyond need; `others`:
    what the others have; `inherited`: what this holder had there and knew nothing of; `value`: the entry from then on;
    `kept`: the others' sections; `wrote`: whether anything changed; `own`: what this holder has, as it stands there;
    `part`: of a bucket's draining."""

    verdicts: list[bool]
    extra: int
    others: int
    inherited: int
    value: bytes | None
    kept: list[Section]
    wrote: bool
    own: int
    part: int = 0


class Seen(NamedTuple):
    """Another holder's section as this holder knows it. `number`: of its last change; `first`: when this holder first
    saw it; `since`: when it knew for certain that it was not yet written, if ever. Monotonic ns of this holder."""

    number: int
    first: int
    since: int | None


def spare_of(limit: int, holders: int) -> int:
    """How much a holder may lease beyond need: all of them together less than 2 % of the limit."""
    return 0 if limit <= EXACT else max(0, (2 * limit - 1) // (100 * holders))
