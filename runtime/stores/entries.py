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
from runtime.stores.kept import SWEPT_PER_TRANSACTION, Kept, Passing
from runtime.stores.lasting import Lasting
from runtime.workers.settings import StoreSettings


class EmbeddedEntries:
    """Exact among the workers of this machine. `report` hears once a failure begins, and what it was.

    `passing` and `cache` answer at once, and so does `read` of `lasting`; an update of `lasting` is a coroutine.
    `calls`: how often it was asked, `errors`: how often in vain.

    An answer says no more than that the store is away: which folder, and why, is for the log.
    """

    def __init__(self, passing: Passing, lasting: Lasting, cache: Cached, report: Callable[[str], None]) -> None:
        self._passing, self._lasting, self._cache = passing, lasting, cache
        self._kinds: dict[str, Kept] = {"passing": passing, "lasting": lasting, "cache": cache}
        self._turns: list[Kept] = [passing, lasting, cache]
        self._report = report
        self._last = ""
        self.calls = self.errors = 0
        lasting.tell = self._tell

    @classmethod
    def open(
        cls, folder: Path, settings: StoreSettings, loop: asyncio.AbstractEventLoop, clock: Clock,
        report: Callable[[str], None],
    ) -> EmbeddedEntries:  # fmt: skip
        """From a folder that the supervisor has prepared; once per process, and never across a fork.

        Raises StoreUnavailable.
        """
        opened: list[Kept] = []
        try:
            opened.append(passing := Passing.open(folder / "passing", clock))
            opened.append(lasting := Lasting.open(folder / "durable", clock, settings.lasting, loop, report))
            opened.append(cache := Cached.open(folder / "cache", clock, settings.cache))
        except BaseException:
            for one in opened:
                one.close()
            raise
        return cls(passing, lasting, cache, report)

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

    def sweep(self) -> bool:
        """Delete some expired entries of one environment, in turns; True where there are probably more."""
        self._turns.append(one := self._turns.pop(0))
        try:
            many = one.sweep() == SWEPT_PER_TRANSACTION
        except StoreUnavailable as error:
            self._tell(str(error))
            return False
        self._last = ""
        return many

    def _fail(self, error: StoreUnavailable) -> NoReturn:
        self.errors += 1
        self._tell(str(error))
        raise Unavailable("store") from None

    def _tell(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._report(text)

    def close(self) -> None:
        for one in self._turns:
            one.close()
