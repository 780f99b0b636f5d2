"""What an entry of this machine costs: `python tests/bench/entries_cost.py [FOLDER]`.

Prints microseconds of CPU (the best of some rounds) for reads and changes of each kind, on one hot key and among
100,000; and for what lasts, microseconds of time for each of many changes that wait at once, which is how far one
sync of FOLDER's disk is shared. FOLDER: a new one in the temporary folder, unless it is given.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from policylang.sdk.store import Changed, Space
from runtime.edge.environment import SystemClock
from runtime.edge.loop import new_loop
from runtime.stores.entries import EmbeddedEntries
from runtime.stores.folder import FolderClaim

ROUNDS, REQUESTS, KEYS = 5, 20_000, 100_000
AT_ONCE, CHANGES = (1, 10, 100, 1000), 3000
BODY = 16 << 10

PASSING, LASTING, CACHE = (Space("bench", kind, 3600.0) for kind in ("passing", "lasting", "cache"))


def add_one(before: bytes | None) -> Changed:
    number = int.from_bytes(before or b"") + 1
    return Changed(number, number.to_bytes(8))


def keep(before: bytes | None) -> Changed:
    return Changed(None, before)


def best(ask: Callable[[], object], requests: int = REQUESTS) -> float:
    """Microseconds of CPU for one call."""
    least = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _request in range(requests):
            ask()
        least = min(least, time.process_time() - started)
    return least / requests * 1e6


def report(what: str, figure: float, unit: str = "µs") -> None:
    print(f"{what:<58} {figure:8.2f} {unit}")


class Crowd:
    """So many changes of lasting entries under way at once, each followed by another, until all are made."""

    def __init__(self, entries: EmbeddedEntries, loop: Any, at_once: int, changes: int) -> None:
        self._entries, self._loop = entries, loop
        self._left = self._unended = changes
        spent, started = time.process_time(), time.perf_counter()
        for _ in range(at_once):
            loop.call_soon(self._begin)
        loop.run_forever()
        self.each = (time.perf_counter() - started) / changes * 1e6
        self.cpu = (time.process_time() - spent) / changes * 1e6

    def _begin(self) -> None:
        if self._left:
            self._left -= 1
            self._step(self._entries.update(LASTING, b"key %d" % (self._left % 997), add_one))

    def _step(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            waiter = coroutine.send(None)
        except StopIteration:
            self._unended -= 1
            if not self._unended:
                self._loop.stop()
            self._begin()
        else:
            waiter.callback = lambda: self._step(coroutine)


def run(folder: Path) -> None:
    claim = FolderClaim.take(folder / "store")
    loop = new_loop()
    entries = EmbeddedEntries(claim.folder, loop, SystemClock(loop), print)
    for space in (PASSING, CACHE):
        entries.update(space, b"k", add_one)
        report(f"{space.kind}: read, there", best(partial(entries.read, space, b"k")))
        report(f"{space.kind}: read, not there", best(partial(entries.read, space, b"x")))
        report(f"{space.kind}: change, one hot key", best(partial(entries.update, space, b"k", add_one)))
        report(f"{space.kind}: change that leaves it as it is", best(partial(entries.update, space, b"k", keep)))
        report(f"{space.kind}: version", best(partial(entries.version, space)))
        keys = [b"client-%08d" % i for i in range(KEYS)]
        random.Random(1).shuffle(keys)
        for what in ("new keys", "changes of keys"):
            started = time.process_time()
            for key in keys:
                entries.update(space, key, add_one)
            report(f"{space.kind}: {KEYS:,} {what} in random order", (time.process_time() - started) / KEYS * 1e6)
        started = time.process_time()
        for key in keys:
            entries.read(space, key)
        report(f"{space.kind}: a random one of {KEYS:,} read", (time.process_time() - started) / KEYS * 1e6)
        report(f"{space.kind}: listing of 1,000", best(partial(entries.scan, space), 20))
        used, most = entries.room()[space.kind]
        report(f"{space.kind}: bytes an entry takes", used / KEYS, "")
    body = random.Random(1).randbytes(BODY)

    def keep_body(_: bytes | None) -> Changed:
        return Changed(None, body)

    entries.update(CACHE, b"body", keep_body)
    report(f"cache: read, {BODY >> 10} KiB", best(partial(entries.read, CACHE, b"body")))
    report(f"cache: written, {BODY >> 10} KiB", best(partial(entries.update, CACHE, b"body", keep_body), 2000))
    number = 0

    def another() -> None:
        nonlocal number
        number += 1
        entries.update(CACHE, b"body %d" % number, keep_body)

    while used < most * 0.99:
        another()
        used, most = entries.room()["cache"]
    report(f"cache: written, {BODY >> 10} KiB, into a full one", best(another, 2000))
    for at_once in AT_ONCE:
        crowd = Crowd(entries, loop, at_once, CHANGES if at_once > 1 else CHANGES // 10)
        report(f"lasting: change, {at_once:,} at once, time for each", crowd.each)
        report(f"lasting: change, {at_once:,} at once, CPU for each", crowd.cpu)
    report("lasting: read, there", best(partial(entries.read, LASTING, b"key 1")))
    entries.close()
    claim.release()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder))
