"""`policylang.sdk.Entries` in the maps of a Hazelcast cluster."""

from __future__ import annotations

import heapq
from typing import Any

from policylang.sdk import Change, Clock, Space, Unavailable, Waiter
from policylang.sdk.store import UNKNOWN
from runtime.cluster.calls import Calls, Missed
from runtime.cluster.change import HEAD, EntryChange, Wanted, raw_of
from runtime.cluster.client import Cluster
from runtime.cluster.deadlines import Deadlines
from runtime.cluster.frames import (
    FIRST_POINTERS,
    MapRequests,
    NotOurs,
    data_answer,
    fetch_answer,
    int_answer,
    packed_key,
    unpacked,
)
from runtime.cluster.spaces import map_name

KNOWN_ENTRIES = 10_000
"""Of so many entries of a space the worker knows what it has seen last, for those who guess it."""
KNOWN_BYTES = 1_024
"""Entries above this are not remembered."""
MOST_ENTRIES = 1_000_000
"""A map that has more takes no new keys, and goes on with those that it has; with a cache the members see to it.

Members would keep adding until their heap is full, and then end.
"""
SIZE_INTERVAL = 5.0
"""Seconds between two looks at how many a map has, while keys are added."""
AGAIN = 0.005
"""Seconds until a read is tried again whose member's connection was closed."""
SCANNED_AT_ONCE = 256
"""Entries of a listing in one answer."""
MOST_SCANNED = 1_000


class ClusterEntries:
    """Exact among all gateways of the cluster. Every method gives a coroutine.

    `calls`: how often it was asked, `errors`: how often in vain. Callers hear no more than that the store is away; why,
    is for the log.
    """

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self.calls = self.errors = 0
        self._cluster = cluster
        self._clock = clock
        self._deadlines = Deadlines(cluster.calls.loop, cluster.deadline)
        self._places: dict[Space, _Place] = {}

    async def read(self, space: Space, key: bytes) -> bytes | None:
        reading = _Reading(self._place(space), key, self._deadlines)
        reading.ask()
        return await reading.waiter

    async def update(self, space: Space, key: bytes, change: Change, guess: object = UNKNOWN) -> Any:
        place = self._place(space)
        if place.calls.offline:
            raise place.failed("no member is connected")
        wanted = Wanted(place, change, guess)
        self._deadlines.add(wanted)
        entry = place.changing.get(key)
        if entry is None:
            entry = place.changing[key] = EntryChange(place, key)
        entry.add(wanted)
        return await wanted.waiter

    async def scan(self, space: Space, after: bytes = b"", count: int = MOST_SCANNED) -> list[tuple[bytes, bytes]]:
        """Looks at every entry of the space, some at a time, since a cluster knows no order: its time grows with them.

        The store's deadline holds for each of its calls, not for all of them.
        """
        place = self._place(space)
        count = max(0, min(count, MOST_SCANNED))
        found: list[_Listed] = []  # the smallest keys so far, the largest of them first
        for partition in range(place.calls.partitions):
            pointers = FIRST_POINTERS
            while pointers:
                pointers, entries = await self._some(place, partition, pointers)
                for kept, stored in entries:
                    try:
                        key, value = unpacked(kept), place.payload(raw_of(stored))
                    except NotOurs as error:
                        raise place.not_ours(error) from None
                    if key <= after or value is None or (len(found) == count and (not count or key >= found[0].key)):
                        continue
                    heapq.heappush(found, _Listed(key, value))
                    if len(found) > count:
                        heapq.heappop(found)
        return [(one.key, one.value) for one in sorted(found, reverse=True)]

    async def _some(self, place: _Place, partition: int, pointers: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        waiter: Waiter[tuple[bytes, list[tuple[bytes, bytes]]]] = Waiter()

        def answered(answer: Any, missed: Missed | None) -> None:
            if missed is not None:
                waiter.fail(place.failed(missed.why))
            else:
                waiter.fire(answer)

        request = place.requests.fetch(pointers, SCANNED_AT_ONCE)
        place.calls.ask(request, partition, False, fetch_answer, answered)
        return await waiter

    def _place(self, space: Space) -> _Place:
        self.calls += 1
        place = self._places.get(space)
        if place is None:
            place = self._places[space] = _Place(self, self._cluster, self._clock, space)
        return place


class _Place:
    """A space's map, and what this worker knows of it."""

    def __init__(self, entries: ClusterEntries, cluster: Cluster, clock: Clock, space: Space) -> None:
        self.name = map_name(space)
        self.calls: Calls = cluster.calls
        self.requests = MapRequests(self.name)
        self.ttl = space.ttl
        self.wall = clock.wall
        self.changing: dict[bytes, EntryChange] = {}
        self._entries = entries
        self._cluster = cluster
        self._known: dict[bytes, bytes] = {}
        self._bounded = space.kind != "cache"
        self._full = False
        self._next_look = 0.0

    def payload(self, raw: bytes | None) -> bytes | None:
        if raw is None or HEAD.unpack_from(raw)[1] <= self.wall() * 1000:
            return None
        return raw[HEAD.size :]

    def known(self, key: bytes) -> bytes | None:
        return self._known.get(key)

    def note(self, key: bytes, raw: bytes | None) -> None:
        known = self._known
        known.pop(key, None)
        if raw is not None and len(raw) <= KNOWN_BYTES:
            if len(known) >= KNOWN_ENTRIES:
                del known[next(iter(known))]
            known[key] = raw

    def takes_new(self) -> bool:
        """Whether a key may be added."""
        if self._bounded and (now := self.calls.loop.time()) >= self._next_look:
            self._next_look = now + SIZE_INTERVAL
            self.calls.ask(bytearray(self.requests.size), 0, False, int_answer, self._counted)
        return not self._full

    def _counted(self, size: int | None, missed: Missed | None) -> None:
        if missed is None and size is not None:
            self._full = size >= MOST_ENTRIES
            if self._full:
                self._cluster.complain(f"the map `{self.name}` takes no new keys: it has {MOST_ENTRIES} or more")

    def ended(self, key: bytes) -> None:
        self.changing.pop(key, None)

    def failed(self, why: str) -> Unavailable:
        self._entries.errors += 1
        if self._cluster.connected:  # else the cluster itself says it
            self._cluster.complain(why)
        return Unavailable("store")

    def not_ours(self, error: NotOurs) -> Unavailable:
        return self.failed(f"an entry of the map `{self.name}` is not polgate's own ({error}): it is not read")


class _Reading:
    """Somebody who reads. A call whose connection is closed is made again: the key's copy is elsewhere."""

    __slots__ = ("_deadlines", "_kept", "_key", "_number", "_place", "_tries", "waiter")

    def __init__(self, place: _Place, key: bytes, deadlines: Deadlines) -> None:
        self.waiter: Waiter[bytes | None] = Waiter()
        self._place = place
        self._key = key
        self._number, self._kept = packed_key(key)
        self._deadlines = deadlines
        self._tries = 0

    @property
    def over(self) -> bool:
        return self.waiter.done

    def expire(self) -> None:
        self.waiter.fail(self._place.failed("no answer in time"))

    def ask(self) -> None:
        place = self._place
        if not self.waiter.done:
            place.calls.ask(place.requests.get(self._kept), self._number, False, data_answer, self._answered)

    def _answered(self, stored: bytes | None, missed: Missed | None) -> None:
        place = self._place
        if missed is not None:
            if missed.unsent or missed.late:
                self.waiter.fail(place.failed(missed.why))
                return
            if not self._tries:  # from now on all tries share one time
                self._deadlines.add(self)
            self._tries += 1
            place.calls.loop.call_later(AGAIN, self.ask)
            return
        try:
            raw = raw_of(stored)
        except NotOurs as error:
            self.waiter.fail(place.not_ours(error))
            return
        place.note(self._key, raw)
        self.waiter.fire(place.payload(raw))


class _Listed:
    """An entry; in a heap the largest key comes first."""

    __slots__ = ("key", "value")

    def __init__(self, key: bytes, value: bytes) -> None:
        self.key = key
        self.value = value

    def __lt__(self, other: _Listed) -> bool:
        return self.key > other.key
