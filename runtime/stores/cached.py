"""Entries that may be lost: bounded, unsynced, the oldest give way, and none is ever read that was not written whole.

Two databases in one environment: `entries`, and `order`, in which each entry's key stands under a number that rises
with every write. What gives way is what was written first, whoever has read it since: a read writes nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar
from zlib import crc32

import lmdb

from policylang.sdk import Change, Space
from policylang.sdk.store import own_object
from runtime.stores.kept import HEAD, Kept, Place, expiry, no_room, pages

NUMBER = 8
"""Bytes of an entry's number in the order."""
CHECKED = HEAD + NUMBER
CACHE_HEAD = CHECKED + 4
"""When it expires, its number, the CRC-32 of the caller's bytes, the key, and these two."""
EVICTED_PER_TRANSACTION = 64
ROUNDS = 4
"""How often room is made for one entry; then it is not kept."""
LARGEST = 8
"""An entry that takes more than one part in so many of the room is not kept."""


class Cached(Kept):
    """`update` never fails for want of room: what finds none is not kept, and its answer is given all the same."""

    what: ClassVar = "cached entries"
    options: ClassVar = {"sync": False, "metasync": False, "max_dbs": 2}

    def _open(self) -> None:
        super()._open()
        try:
            self._entries: Any = self._env.open_db(b"entries", create=False)
            self._order: Any = self._env.open_db(b"order", create=False)
        except lmdb.Error as error:
            self._env.close()
            raise self.unavailable(error) from error
        self._begin = partial(self._env.begin, self._entries)
        self._largest = self._env.info()["map_size"] // LARGEST

    def read(self, space: Space, key: bytes) -> bytes | None:
        raw = self.raw(self.place(space.name), key)
        try:
            with self._begin(buffers=True) as txn:
                return self.live(raw, txn.get(raw))
        except lmdb.Error as error:
            raise self.unavailable(error) from error

    def live(self, raw: bytes, value: Any) -> bytes | None:
        if value is None or len(value) < CACHE_HEAD or int.from_bytes(value[:HEAD]) <= self._wall() * 1000:
            return None
        payload = bytes(value[CACHE_HEAD:])
        return payload if value[CHECKED:CACHE_HEAD] == _sum(raw, value[:CHECKED], crc32(payload)) else None

    def update(self, space: Space, key: bytes, change: Change) -> Any:
        place = self.place(space.name)
        raw = self.raw(place, key)
        summed: bytes | None = None
        check = 0
        for _ in range(ROUNDS):
            try:
                with self._begin(write=True, buffers=True) as txn:
                    found = txn.get(raw)
                    before = own_object(self.live(raw, found))
                    answer, value, seconds = change(before)
                    if value is before and (value is not None or found is None):
                        return answer
                    if found is not None:
                        self._remove(txn, raw, found)
                    # Whatever becomes of the new one, the old one is over.
                    self._versions[place.cell] = txn.id()
                    if value is None or len(value) > self._largest:
                        return answer
                    if self._fits(txn, len(value)):
                        if value is not summed:  # a large one takes a millisecond
                            summed, check = value, crc32(value)
                        self._put(txn, raw, value, check, space.ttl if seconds is None else min(seconds, space.ttl))
                        return answer
            except lmdb.Error as error:
                if not no_room(error):
                    raise self.unavailable(error) from error
                self._make_room()
        return self._give_up(place, raw, change)

    def _give_up(self, place: Place, raw: bytes, change: Change) -> Any:
        """The answer, with nothing there; an old entry that cannot even be removed is no answer."""
        try:
            with self._begin(write=True) as txn:
                answer = change(self.live(raw, txn.get(raw))).answer
                if txn.delete(raw):
                    self._versions[place.cell] = txn.id()
            return answer
        except lmdb.Error as error:
            raise self.unavailable(error) from error

    def _put(self, txn: Any, raw: bytes, value: bytes, check: int, seconds: float) -> None:
        with txn.cursor(db=self._order) as cursor:
            last = int.from_bytes(cursor.key()) if cursor.last() else 0
        number = (last + 1).to_bytes(NUMBER)
        head = expiry(self._wall() + seconds) + number
        txn.put(number, raw, db=self._order)
        txn.put(raw, head + _sum(raw, head, check) + value)

    def _fits(self, txn: Any, size: int) -> bool:
        """Make room for so many bytes; False where one transaction cannot."""
        most = self._full_pages - size // self._page - 2
        for _ in range(EVICTED_PER_TRANSACTION):
            if self.used(txn) < most:
                return True
            if not self._evict(txn, 1):
                break
        return self.used(txn) < most

    def used(self, txn: Any) -> int:
        return pages(txn.stat(self._entries)) + pages(txn.stat(self._order))

    def _evict(self, txn: Any, count: int) -> int:
        """Delete what was written first; gives how many there were."""
        with txn.cursor(db=self._order) as cursor:
            for done in range(count):
                if not cursor.first():
                    return done
                number, raw = bytes(cursor.key()), bytes(cursor.value())
                value = txn.get(raw)
                if value is not None and value[HEAD:CHECKED] == number:
                    txn.delete(raw)
                cursor.delete()
        return count

    def _make_room(self) -> None:
        """Deleting takes pages, too: where there is no room at all, only a few can go at a time.

        What one transaction frees the next but one can use.
        """
        for part in (16, 64, 1 << 30):
            try:
                with self._begin(write=True, buffers=True) as txn:
                    there: int = txn.stat(self._order)["entries"]
                    self._evict(txn, max(1, min(there // part, EVICTED_PER_TRANSACTION)))
                return
            except lmdb.Error as error:
                if not no_room(error):
                    raise self.unavailable(error) from error

    def delete(self, txn: Any, keys: list[bytes]) -> int:
        now, deleted = self._wall() * 1000, 0
        for key in keys:
            value = txn.get(key)
            if value is not None and int.from_bytes(value[:HEAD]) <= now:
                self._remove(txn, key, value)
                deleted += 1
        return deleted

    def _remove(self, txn: Any, raw: bytes, value: Any) -> None:
        number = bytes(value[HEAD:CHECKED])
        if len(number) == NUMBER:  # one that is torn may have none; who evicts looks for no more than is there
            txn.delete(number, db=self._order)
        txn.delete(raw)


def _sum(raw: bytes, head: Any, check: int) -> bytes:
    """`check`: the CRC-32 of the caller's bytes."""
    return crc32(head, crc32(raw, check)).to_bytes(4)
