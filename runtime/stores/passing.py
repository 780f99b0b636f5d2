"""Entries that outlive processes, but not the machine's boot."""

from __future__ import annotations

from typing import Any, ClassVar

import lmdb

from policylang.sdk import Change, Space
from runtime.stores.kept import Kept


class Passing(Kept):
    """Written through the map, whose blocks the supervisor has taken from the disk, and never synced: the page cache
    outlives processes."""

    what: ClassVar = "passing entries"
    options: ClassVar = {"writemap": True, "sync": False, "metasync": False, "map_async": True}

    def update(self, space: Space, key: bytes, change: Change) -> Any:
        place = self._places.get(space.name) or self.place(space.name)
        raw = self.raw(place, key)
        try:
            txn = self._begin(None, None, True)
        except lmdb.Error as error:
            raise self.unavailable(error) from error
        try:
            answer, changed = self.step(txn, place, raw, space.ttl, change)
            if changed:
                txn.commit()
            else:
                txn.abort()
            return answer
        except lmdb.Error as error:
            txn.abort()
            raise self.unavailable(error) from error
        except BaseException:
            # Whoever keeps this exception would keep the write lock with it.
            txn.abort()
            raise
