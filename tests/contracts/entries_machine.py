"""The entries of one machine, opened for a test in a folder that it can leave and take again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
from opened_entries import HandClock, Opened

from policylang.sdk import Unavailable
from policylang.sdk.store import Change, Changed, Space
from runtime.edge.loop import new_loop
from runtime.stores.entries import EmbeddedEntries
from runtime.stores.folder import FolderClaim
from runtime.stores.prepared import LEAST_BYTES

PASSING, LASTING, CACHE = (Space("s", kind, 60.0) for kind in ("passing", "lasting", "cache"))
SPACES = {"passing": PASSING, "lasting": LASTING, "cache": CACHE}


def put(value: bytes | None, ttl: float | None = None) -> Change:
    return lambda before: Changed(before, value, ttl)


def add_one(before: bytes | None) -> Changed:
    number = int(before or b"0") + 1
    return Changed(number, b"%d" % number)


class Machine(Opened):
    """A folder that can be left and taken again; one MiB for each environment."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.options = {"rates_bytes": LEAST_BYTES, "lasting_bytes": LEAST_BYTES, "cache_bytes": LEAST_BYTES, **options}
        super().__init__(None, new_loop(), HandClock())  # type: ignore[arg-type]
        self.begin()

    def begin(self) -> None:
        self.claim = FolderClaim.take(self.folder, **self.options)
        self.open()

    def open(self) -> None:
        self.machine = EmbeddedEntries(self.folder, self.loop, self.clock, self.reports.append)
        self.entries = self.machine

    def leave(self) -> None:
        self.machine.close()
        self.claim.release()

    def env(self, kind: str) -> lmdb.Environment:
        return self.machine._kinds[kind]._env

    def put(self, space: Space, key: bytes, value: bytes | None, ttl: float | None = None) -> Any:
        return self.ask(self.machine.update(space, key, put(value, ttl)))

    def fill(self, space: Space, size: int = 100) -> list[bytes]:
        keys: list[bytes] = []
        while True:
            key = b"key %06d" % len(keys)
            try:
                self.put(space, key, b"v" * size)
            except Unavailable:
                return keys
            keys.append(key)


async def caught(store: Machine, update: Any, space: Space, key: bytes) -> Any:
    try:
        answer = update(space, key, put(b"x"))
        return answer if isinstance(answer, bytes) else await answer
    except Unavailable as error:
        return error


def databases(store: Machine) -> dict[str, int]:
    """How much stands in the two databases of the cache."""
    cache = store.machine._cache
    with cache._env.begin() as txn:
        return {name: txn.stat(getattr(cache, name))["entries"] for name in ("_entries", "_order")}


@contextmanager
def on_this_machine(folder: Path, **options: Any) -> Iterator[Machine]:
    made = Machine(folder, **options)
    try:
        yield made
    finally:
        made.leave()
        made.loop.close()
