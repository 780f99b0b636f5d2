"""What room a million keys take in the embedded store: `python tests/bench/store_room.py [--keys 1000000]`.

The keys come in random order. First each is admitted once; then as often as its state grows at all, 80 units at
different times. Printed are the bytes of the pages in use, of all and of one key, and the CPU of one admission.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from runtime.stores.embedded import EmbeddedStore
from runtime.stores.folder import FolderClaim

S = 10**9
ROOM = 1 << 30


def report(what: str, store: EmbeddedStore, count: int, spent: float, calls: int) -> None:
    stat = store._env.stat()
    used = (stat["leaf_pages"] + stat["branch_pages"] + stat["overflow_pages"]) * stat["psize"]
    print(f"{what:<44}{used / 1e6:>8.0f} MB{used / count:>8.0f} bytes a key{spent / calls * 1e6:>8.2f} µs")


def run(folder: Path, count: int, grown: int) -> None:
    claim = FolderClaim.take(folder / "store", rates_bytes=ROOM)
    store = EmbeddedStore.open(claim.folder)
    # Eight bytes of prefix, a letter, an address or a token's id, a letter: as `per: client.ip` makes them.
    keys = [b"8bytes..s%08d-4711-%04d.s" % (number, number % 9973) for number in range(count)]
    random.Random(1).shuffle(keys)
    now = time.monotonic_ns()
    began = time.process_time()
    for key in keys:
        store.admit(key, 64, 3600 * S, 0, now)
    report(f"{count:,} keys, one admission each", store, count, time.process_time() - began, count)
    began = time.process_time()
    for turn in range(1, grown):
        for key in keys:
            store.admit(key, 64, 3600 * S, 0, now + turn * S)
    report(f"{count:,} keys, {grown} admissions each", store, count, time.process_time() - began, count * (grown - 1))
    store.close()
    claim.release()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--grown", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        run(Path(made), given.keys, given.grown)
