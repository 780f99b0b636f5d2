"""`policylang.sdk.Entries` on this machine: one LMDB environment for each kind of space."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

from policylang.sdk import Change, Clock, Space, Unavailable
from policylang.sdk.store import UNKNOWN
from runtime.stores import StoreUnavailable
from runtime.stores.cached import Cached
from runtime.stores.kept import SWEPT_PER_TRANSACTION, Kept
from runtime.stores.lasting import Lasting
from runtime.stores.passing import Passing


class EmbeddedEntries:
    """Exact among the workers of this machine. `report` hears once a failure begins, and what it was.

    `passing` and `cache` answer at once, and so does `read` of `lasting`; an update of `lasting` is a coroutine.
    `calls`: how often it was asked, `errors`: how often in vain.

    An answer says no more than that the store is away: which folder, and why, is for the log.
    """

    def __init__(
        self, folder: Path, loop: asyncio.AbstractEventLoop, clock: Clock, report: Callable[[str], None]
    ) -> None:
        """From a folder that the supervisor has prepared; once per process, and never across a fork.

        Raises StoreUnavailable.
        """
        self._report = report
        self._last = ""
        self.calls = self.errors = 0
        self._kinds: dict[str, Kept] = {}
        try:
            self._passing = self._kinds["passing"] = Passing(folder / "passing", clock)
            self._lasting = self._kinds["lasting"] = Lasting(folder / "durable", clock, loop, self._tell)
            self._cache = self._kinds["cache"] = Cached(folder / "cache", clock)
        except BaseException:
            self.close()
            raise
        self._turns = list(self._kinds.values())
        self._busy: set[Kept] = set()

    def read(self, space: Space, key: bytes) -> bytes | None:
        self.calls += 1
        try:
            return self._kinds[space.kind].read(space, key)
        except StoreUnavailable as error:
            self._fail(error)

    def update(
        self, space: Space, key: bytes, change: Change, guess: object = UNKNOWN
    ) -> Any | Coroutine[Any, Any, Any]:
        self.calls += 1
        try:
            if space.kind == "passing":
                return self._passing.update(space, key, change)
            if space.kind == "cache":
                return self._cache.update(space, key, change)
        except StoreUnavailable as error:
            self._fail(error)
        return self._later(space, key, change)

    async def _later(self, space: Space, key: bytes, change: Change) -> Any:
        try:
            return await self._lasting.update(space, key, change)
        except StoreUnavailable as error:
            self._fail(error)
        except Unavailable:
            self.errors += 1
            raise

    def scan(self, space: Space, after: bytes = b"", count: int = 1000) -> list[tuple[bytes, bytes]]:
        self.calls += 1
        try:
            return self._kinds[space.kind].scan(space, after, count)
        except StoreUnavailable as error:
            self._fail(error)

    def version(self, space: Space) -> int:
        """A number that rises with every change of the space, whichever worker of this machine makes it.

        Take it before reading what is to be kept in memory; as long as it stays, nothing has changed since. It may
        rise where nothing has (spaces share numbers, a change may be given up). About 1 us.
        """
        try:
            return self._kinds[space.kind].version(space)
        except StoreUnavailable as error:
            self._fail(error)

    def room(self) -> dict[str, tuple[int, int]]:
        """Bytes of each kind that are taken, and of how many; then no new key is taken in, or old ones give way."""
        try:
            return {kind: kept.room() for kind, kept in self._kinds.items()}
        except StoreUnavailable as error:
            self._tell(str(error))
            return {}

    def sweep(self) -> bool:
        """Delete some expired entries: in turns, and where there was much the last time; True while there is."""
        self._turns.append(self._turns.pop(0))
        for one in self._busy | {self._turns[0]}:
            try:
                many = one.sweep() == SWEPT_PER_TRANSACTION
            except StoreUnavailable as error:
                self._tell(str(error))
                many = False
            else:
                self._last = ""
            (self._busy.add if many else self._busy.discard)(one)
        return bool(self._busy)

    def _fail(self, error: StoreUnavailable) -> NoReturn:
        self.errors += 1
        self._tell(str(error))
        raise Unavailable("store") from None

    def _tell(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._report(text)

    def close(self) -> None:
        for one in self._kinds.values():
            one.close()
