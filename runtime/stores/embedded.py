"""The embedded store, a worker's side: rate limits in LMDB, exact across the processes of one machine.

One write transaction a decision, and between its begin and its commit only bytes move, because the write lock has no
deadline. No read transaction outlives a call: while one lives, LMDB reuses no page that was freed after it began. The
supervisor prepares the files (`runtime.stores.folder`).
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import lmdb

from policylang.sdk.store import Limit
from policylang.sdk.window import MAX_STATE, Decision, admit_bucket, admit_window, expires_at, standing
from runtime.stores import StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from lmdb import _StatDict

ENTRY_BYTES = 400
"""At most so many bytes a key and its state take."""

KEY_BYTES = ENTRY_BYTES - MAX_STATE
"""Longer keys are stored as their BLAKE2b digest."""

DIGEST_BYTES = 20

FULL_PERCENT = 90
"""How full the store may be for a new key to be taken; the rest is kept for the growth of those that it holds."""

SWEPT_PER_TRANSACTION = 64
"""How many expired keys one sweep deletes: the write lock is held for so long."""

SEEN_PER_SWEEP = 512
"""How many keys one sweep looks at, in a read transaction, which holds up nobody."""


class EmbeddedStore:
    """Rate limits in the `rates` environment of a folder that the supervisor has prepared.

    For one process and, like its worker, for one thread. All times are nanoseconds of the machine's monotonic clock,
    which its processes share.
    """

    __slots__ = ("__weakref__", "_begin", "_env", "_full_pages", "_path", "_swept_to")

    def __init__(self, env: lmdb.Environment, path: Path) -> None:
        self._env = env
        self._begin = env.begin
        self._path = path
        self._full_pages = env.info()["map_size"] // env.stat()["psize"] * FULL_PERCENT // 100
        self._swept_to = b""

    @classmethod
    def open(cls, folder: Path) -> EmbeddedStore:
        """Open the prepared folder; once per process, and never across a fork.

        Raises StoreUnavailable where there is nothing prepared, or where this process has opened it already.
        """
        path = folder / "rates"
        try:
            size = os.stat(path / "data.mdb").st_size
            # WRITEMAP writes through the map, whose blocks are all there already: see runtime.stores.folder.
            # Nothing is synced: rates do not outlive the machine's boot, and the page cache outlives processes.
            env = lmdb.open(
                os.fspath(path), map_size=size, writemap=True, sync=False, metasync=False, map_async=True,
                create=False, mode=0o600, readahead=False, max_spare_txns=1,
            )
        except FileNotFoundError as error:
            raise StoreUnavailable(f"nothing is prepared in `{path}`: the supervisor prepares it") from error
        except (OSError, lmdb.Error) as error:
            raise StoreUnavailable(f"cannot open the rates in `{path}`: {error}") from error
        store = cls(env, path)
        opened = weakref.ref(store)

        def disown() -> None:
            if (store := opened()) is not None:
                store._disown()

        os.register_at_fork(after_in_child=disown)
        return store

    def admit(self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1) -> Decision:
        """Count `cost` units for `key` if the limit lets all of them pass: `limit` in any `window` (ns), or, with a
        `burst` above 0 (ns), a bucket of `limit * burst / window`.

        Judged at `now`, or at the key's last admission where that is later. A changed limit, window or burst goes on
        from what the key has counted. Raises StoreFull for a new key in a full store, StoreUnavailable, and ValueError
        as `policylang.sdk.window`.
        """
        if not 0 < len(key) <= KEY_BYTES or len(key) == DIGEST_BYTES:
            key = _digest(key)
        try:
            txn = self._begin(None, None, True)
        except lmdb.Error as error:
            raise self._unavailable(error) from error
        try:
            state = txn.get(key)
            if state is None and _pages(txn.stat()) >= self._full_pages:
                raise self._full()
            if burst:
                decision, changed = admit_bucket(state, limit, window, burst, now, cost)
            else:
                decision, changed = admit_window(state, limit, window, now, cost)
            if changed is None:
                txn.abort()
            else:
                txn.put(key, changed)
                txn.commit()
            return decision
        except lmdb.Error as error:
            txn.abort()
            raise self._unavailable(error) from error
        except BaseException:
            # Whoever keeps this exception would keep the write lock with it.
            txn.abort()
            raise

    def admit_all(self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1) -> tuple[Decision, ...]:
        """As `admit` for every limit in one step: all count, or none does. Where one refuses, the decisions of the
        others say how they stand."""
        places = [_place(key + limit.suffix) for limit in limits]
        try:
            txn = self._begin(None, None, True)
        except lmdb.Error as error:
            raise self._unavailable(error) from error
        try:
            states = [txn.get(place) for place in places]
            if None in states and _pages(txn.stat()) >= self._full_pages:
                raise self._full()
            decisions, passed, changes = [], True, []
            for place, state, (most, window, burst, _) in zip(places, states, limits, strict=True):
                if burst:
                    decision, changed = admit_bucket(state, most, window, burst, now, cost)
                else:
                    decision, changed = admit_window(state, most, window, now, cost)
                decisions.append(decision)
                passed = passed and decision.admitted
                if changed is not None:
                    changes.append((place, changed, decision.admitted))
            for place, changed, counts in changes:
                if passed or not counts:
                    txn.put(place, changed)
            txn.commit()
        except lmdb.Error as error:
            txn.abort()
            raise self._unavailable(error) from error
        except BaseException:
            txn.abort()
            raise
        if passed:
            return tuple(decisions)
        return tuple(
            standing(state, *limit[:3], now, cost) if decision.admitted else decision
            for decision, state, limit in zip(decisions, states, limits, strict=True)
        )

    def peek(self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1) -> Decision:
        """How the key stands, and whether `cost` would pass; nothing is counted."""
        return standing(self.states([key])[0], limit, window, burst, now, cost)

    def states(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What is kept of each key."""
        try:
            with self._begin() as txn:
                return [txn.get(_place(key)) for key in keys]
        except lmdb.Error as error:
            raise self._unavailable(error) from error

    def sweep(self, now: int) -> int:
        """Delete up to SWEPT_PER_TRANSACTION keys that have expired, going on where the last sweep ended.

        Returns how many were deleted: while it is SWEPT_PER_TRANSACTION there are probably more.
        """
        expired: list[bytes] = []
        try:
            with self._begin(buffers=True) as reading, reading.cursor() as cursor:
                found = cursor.set_range(self._swept_to) if self._swept_to else cursor.first()
                for _ in range(SEEN_PER_SWEEP):
                    if not found or len(expired) == SWEPT_PER_TRANSACTION:
                        break
                    if expires_at(cursor.value()) <= now:
                        expired.append(bytes(cursor.key()))
                    found = cursor.next()
                self._swept_to = bytes(cursor.key()) if found else b""
            while expired:
                try:
                    return self._delete(expired, now)
                except lmdb.MapFullError:
                    # Deleting takes pages, too: in a store without room only a few at a time can go.
                    if len(expired) == 1:
                        raise
                    del expired[len(expired) // 4 or 1:]
        except lmdb.Error as error:
            raise self._unavailable(error) from error
        return 0

    def room(self) -> tuple[int, int]:
        """Bytes that are taken, and of how many: where it is all of them, no new key is taken in."""
        try:
            stat = self._env.stat()
            return _pages(stat) * stat["psize"], self._full_pages * stat["psize"]
        except lmdb.Error as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Give the files back; from then on every call raises StoreUnavailable. May be called twice."""
        self._env.close()

    def _delete(self, keys: list[bytes], now: int) -> int:
        """Delete those of the keys that are still expired: another process may have counted for one meanwhile."""
        deleted = 0
        with self._begin(write=True) as txn:
            for key in keys:
                state = txn.get(key)
                if state is not None and expires_at(state) <= now:
                    deleted += txn.delete(key)
        return deleted

    def _unavailable(self, error: lmdb.Error) -> StoreUnavailable:
        if isinstance(error, lmdb.MapFullError):
            return StoreFull(f"the rates in `{self._path}` have no room left: give the store more room")
        return StoreUnavailable(f"cannot use the rates in `{self._path}`: {error}")

    def _full(self) -> StoreFull:
        full = StoreFull(f"the rates in `{self._path}` are {FULL_PERCENT} % full: give the store more room")
        full.unknown = True
        return full

    def _disown(self) -> None:
        """In a forked child: LMDB's locks and reader slots are the parent's."""
        self._begin = _refuse_after_fork


def _refuse_after_fork(*_: object, **__: object) -> NoReturn:
    raise StoreUnavailable("a store is not for a process forked from the one that opened it: open it after the fork")


def _place(key: bytes) -> bytes:
    return _digest(key) if not 0 < len(key) <= KEY_BYTES or len(key) == DIGEST_BYTES else key


def _digest(key: bytes) -> bytes:
    # A text of DIGEST_BYTES is digested as well, so that none can be chosen to equal another's digest.
    return blake2b(key, digest_size=DIGEST_BYTES).digest()


def _pages(stat: _StatDict) -> int:
    """The pages in use; free ones between them are not counted."""
    return stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
