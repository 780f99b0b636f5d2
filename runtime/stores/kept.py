"""Entries in one LMDB environment: keys, expiry, room, sweeps, and how others hear of changes.

A key is the space's name, a zero byte, and the caller's key. A value is the wall time at which it expires
(milliseconds, 8 bytes), then the caller's bytes. No read transaction outlives a call, and while the write lock is held
nothing but the caller's `change` runs. Environments are for one process and its one loop, and never cross a fork.
"""

from __future__ import annotations

import errno
import mmap
import os
import weakref
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, TypeAlias
from zlib import crc32

import lmdb

from policylang.sdk import Change, Clock, Space
from policylang.sdk.store import own_object
from runtime.stores import StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from lmdb import _StatDict

Report: TypeAlias = Callable[[str], None]

LAYOUT = 1
"""Rises when keys or values are laid out in another way."""

KEY_BYTES = 511
"""LMDB's longest key. A stored key of just so many bytes ends with a digest, and no other is so long."""
NAME_BYTES = 128
"""A space's name of just so many bytes ends with a digest, and no other is so long."""
DIGEST_BYTES = 20

HEAD = 8
"""Bytes of a value before the caller's: when it expires."""

FULL_PERCENT = 90
"""How full the store may be for a new key to be taken; the rest is kept for the growth of those that it holds."""
SWEPT_PER_TRANSACTION = 64
"""How many expired entries one sweep deletes: the write lock is held for so long."""
SEEN_PER_SWEEP = 512
"""How many entries one sweep looks at, in a read transaction, which holds up nobody."""
SCANNED = 1000
"""The most that one scan gives."""

CELLS = 4096
"""How many numbers tell of changes; spaces that share one hear of each other's."""
VERSIONS = "versions"
VERSIONS_BYTES = CELLS * 8

DOUBTFUL = "doubtful"
"""A file that a worker leaves where it found an environment damaged: the next start begins it anew."""
_NO_ROOM = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO))
_DAMAGE = (lmdb.CorruptedError, lmdb.PageNotFoundError)


class Place(NamedTuple):
    """Where a space's keys begin, and which number tells of its changes."""

    prefix: bytes
    cell: int


class Kept:
    """One environment that the supervisor has prepared. Its subclasses say how it is kept.

    Raises StoreUnavailable where nothing is prepared, or where this process has opened it already.
    """

    what: ClassVar[str]
    options: ClassVar[dict[str, Any]]

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._wall = clock.wall
        self._places: dict[str, Place] = {}
        self._swept_to = b""
        self._versions = _mapped(path / VERSIONS)
        self._open()
        known = weakref.ref(self)

        def disown() -> None:
            if (kept := known()) is not None:
                kept._disown()

        os.register_at_fork(after_in_child=disown)

    def _open(self) -> None:
        data = self.path / "data.mdb"
        try:
            self._env = lmdb.open(
                os.fspath(self.path), map_size=data.stat().st_size, create=False, mode=0o600, readahead=False,
                max_spare_txns=1, **self.options,
            )  # fmt: skip
        except (OSError, lmdb.Error) as error:
            raise StoreUnavailable(f"cannot open the {self.what} in `{self.path}`: {error}") from error
        self._begin: Any = self._env.begin
        self._page = self._env.stat()["psize"]
        self._full_pages = self._env.info()["map_size"] // self._page * FULL_PERCENT // 100

    def _disown(self) -> None:
        """In a forked child: LMDB's locks and reader slots are the parent's."""
        self._begin = _refuse_after_fork

    # --- keys ---

    def place(self, name: str) -> Place:
        found = self._places.get(name)
        if found is None:
            text = name.encode(errors="surrogatepass")
            if not 0 < len(text) < NAME_BYTES or b"\0" in text:
                digest = blake2b(text, digest_size=DIGEST_BYTES).hexdigest().encode()
                kept = NAME_BYTES - len(digest)
                text = text.replace(b"\0", b"")[:kept].ljust(kept, b"~") + digest
            found = self._places[name] = Place(text + b"\0", crc32(text) % CELLS)
        return found

    def raw(self, place: Place, key: bytes) -> bytes:
        raw = place.prefix + key
        if len(raw) < KEY_BYTES:
            return raw
        return raw[: KEY_BYTES - DIGEST_BYTES] + blake2b(raw, digest_size=DIGEST_BYTES).digest()

    # --- reading ---

    def read(self, space: Space, key: bytes) -> bytes | None:
        raw = self.raw(self._places.get(space.name) or self.place(space.name), key)
        try:
            with self._begin() as txn:
                found: bytes | None = txn.get(raw)
        except lmdb.Error as error:
            raise self.unavailable(error) from error
        if found is None or int.from_bytes(found[:HEAD]) <= self._wall() * 1000:
            return None
        return found[HEAD:]

    def scan(self, space: Space, after: bytes, count: int) -> list[tuple[bytes, bytes]]:
        prefix = self.place(space.name).prefix
        start = (prefix + after)[:KEY_BYTES]
        found: list[tuple[bytes, bytes]] = []
        try:
            with self._begin(buffers=True) as txn, txn.cursor() as cursor:
                there = cursor.set_range(start)
                if there and after and bytes(cursor.key()) == start:
                    there = cursor.next()
                while there and len(found) < min(count, SCANNED):
                    raw = bytes(cursor.key())
                    if not raw.startswith(prefix):
                        break
                    value = self.live(raw, cursor.value())
                    if value is not None:
                        found.append((raw[len(prefix):], value))
                    there = cursor.next()
        except lmdb.Error as error:
            raise self.unavailable(error) from error
        return found

    def live(self, raw: bytes, value: Any) -> bytes | None:
        """The caller's bytes of what stands there, unless it has expired."""
        return bytes(value[HEAD:]) if int.from_bytes(value[:HEAD]) > self._wall() * 1000 else None

    def version(self, space: Space) -> int:
        """Rises whenever a change of the space is committed, by whichever process.

        Each writing transaction leaves its number with the space before it commits: until it has, the last committed
        one is below that.
        """
        cell: int = self._versions[self.place(space.name).cell]
        try:
            with self._begin() as txn:
                committed: int = txn.id()
            return min(cell, committed)
        except lmdb.Error as error:
            raise self.unavailable(error) from error

    def room(self) -> tuple[int, int]:
        """Bytes that are taken, and of how many: where it is all of them, no new key is taken in."""
        try:
            with self._begin() as txn:
                return self.used(txn) * self._page, self._full_pages * self._page
        except lmdb.Error as error:
            raise self.unavailable(error) from error

    def used(self, txn: Any) -> int:
        """Pages in use; free ones between them are not counted."""
        return pages(txn.stat())

    # --- writing ---

    def step(
        self, txn: lmdb.Transaction[bytes], place: Place, raw: bytes, ttl: float, change: Change
    ) -> tuple[Any, bool]:
        """Make a change within a write transaction; gives its answer, and whether there is anything to commit.

        Raises StoreFull for a new key in a full store, and whatever `change` raises: then nothing was written.
        """
        found, now = txn.get(raw), self._wall()
        before = None
        if found is not None and int.from_bytes(found[:HEAD]) > now * 1000:
            before = found[HEAD:] if len(found) > HEAD + 1 else own_object(found[HEAD:])
        answer, value, seconds = change(before)
        if value is None:
            if found is None:
                return answer, False
            txn.delete(raw)
        elif value is before:
            return answer, False
        else:
            if found is None and self.used(txn) >= self._full_pages:
                raise StoreFull(f"the {self.what} in `{self.path}` are {FULL_PERCENT} % full: give the store more room")
            txn.put(raw, expiry(now + (ttl if seconds is None else min(seconds, ttl))) + value)
        # Only under the write lock, so that it only rises; it counts from the commit on: see `version`.
        self._versions[place.cell] = txn.id()
        return answer, True

    def sweep(self) -> int:
        """Delete up to SWEPT_PER_TRANSACTION entries that have expired, going on where the last sweep ended.

        Returns how many: while it is SWEPT_PER_TRANSACTION there are probably more.
        """
        try:
            expired = self.expired()
            while expired:
                try:
                    with self._begin(write=True) as txn:
                        deleted = self.delete(txn, expired)
                    return deleted
                except lmdb.MapFullError:
                    # Deleting takes pages, too: in a store without room only a few at a time can go.
                    if len(expired) == 1:
                        raise
                    del expired[len(expired) // 4 or 1:]
        except lmdb.Error as error:
            raise self.unavailable(error) from error
        return 0

    def expired(self) -> list[bytes]:
        """The next SWEPT_PER_TRANSACTION keys at most whose time is over."""
        expired: list[bytes] = []
        now = self._wall() * 1000
        with self._begin(buffers=True) as reading, reading.cursor() as cursor:
            found = cursor.set_range(self._swept_to) if self._swept_to else cursor.first()
            for _ in range(SEEN_PER_SWEEP):
                if not found or len(expired) == SWEPT_PER_TRANSACTION:
                    break
                if int.from_bytes(cursor.value()[:HEAD]) <= now:
                    expired.append(bytes(cursor.key()))
                found = cursor.next()
            self._swept_to = bytes(cursor.key()) if found else b""
        return expired

    def delete(self, txn: Any, keys: list[bytes]) -> int:
        """Delete those of the keys that are still expired: another process may have written one meanwhile."""
        now, deleted = self._wall() * 1000, 0
        for key in keys:
            value = txn.get(key)
            if value is not None and int.from_bytes(value[:HEAD]) <= now:
                deleted += txn.delete(key)
        return deleted

    # --- the end ---

    def close(self) -> None:
        """Give the files back; from then on every call raises StoreUnavailable. May be called twice."""
        self._env.close()

    def _panic(self) -> None:
        """A write of LMDB's own page has failed: the environment refuses everything until it is opened anew."""
        self._env.close()
        self._open()

    def unavailable(self, error: lmdb.Error) -> StoreUnavailable:
        """What to raise outside of any transaction."""
        if isinstance(error, lmdb.MapFullError):
            return StoreFull(f"the {self.what} in `{self.path}` have no room left: give the store more room")
        if no_room(error):
            return StoreFull(f"the disk of `{self.path}` has no room for the {self.what} ({error}): free some")
        if isinstance(error, lmdb.PanicError):
            self._panic()
        if isinstance(error, _DAMAGE):
            try:
                os.close(os.open(self.path / DOUBTFUL, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            except OSError:
                pass  # what is wrong is told anyway
        return StoreUnavailable(f"cannot use the {self.what} in `{self.path}`: {error}")


def expiry(wall: float) -> bytes:
    """The first millisecond at which it is no more there, in the bytes of a head."""
    return max(0, int(wall * 1000) + 1).to_bytes(HEAD)


def no_room(error: lmdb.Error) -> bool:
    """Whether map or disk are full. Of a write that found room for its first part only, LMDB makes EIO."""
    return isinstance(error, lmdb.MapFullError) or str(error).endswith(_NO_ROOM)


def pages(stat: _StatDict) -> int:
    return stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]


def _mapped(path: Path) -> memoryview:
    """A file of numbers that all processes see at once; aligned, each is read and written whole."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return memoryview(mmap.mmap(descriptor, VERSIONS_BYTES)).cast("Q")
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise StoreUnavailable(f"nothing is prepared in `{path.parent}`: the supervisor prepares it") from error
    except (OSError, ValueError) as error:
        raise StoreUnavailable(f"cannot open `{path}`: {error}") from error


def _refuse_after_fork(*_: object, **__: object) -> NoReturn:
    raise StoreUnavailable("a store is not for a process forked from the one that opened it: open it after the fork")
