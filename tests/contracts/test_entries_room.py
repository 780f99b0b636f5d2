"""How much room the entries of a machine take, what happens when there is none, and how it is made."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from entries_machine import CACHE, LASTING, PASSING, SPACES, Machine, caught, databases, on_this_machine, put

from policylang.sdk import Unavailable
from runtime.stores.cached import LARGEST
from runtime.stores.kept import SWEPT_PER_TRANSACTION
from runtime.stores.prepared import LEAST_BYTES


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Machine]:
    with on_this_machine(tmp_path / "store") as made:
        yield made


@pytest.mark.parametrize("kind", ["passing", "lasting"])
def test_a_full_store_refuses_new_keys_and_goes_on_with_the_old_ones(store: Machine, kind: str) -> None:
    space = SPACES[kind]
    size = 100 if kind == "passing" else 5000  # each takes a sync
    keys = store.fill(space, size)
    assert len(keys) > 100
    used, most = store.machine.room()[kind]
    assert used >= most
    (report,) = store.reports
    assert f"{kind} entries in `" in report
    assert "90 % full: give the store more room" in report
    with pytest.raises(Unavailable, match=r"^store$"):
        store.put(space, b"new", b"v")
    assert len(store.reports) == 1
    # One without room does not take those beside it along.
    values = store.all(*(caught(store, store.machine.update, space, key) for key in (b"new", *keys[:2])))
    assert [type(value) for value in values] == [Unavailable, bytes, bytes]
    for key in keys[: len(keys) // 2]:
        assert store.put(space, key, None) == (b"v" * size if key not in keys[:2] else b"x")
    assert store.put(space, b"new", b"v") is None
    assert store.machine.errors == 3


@pytest.mark.parametrize("kind", ["passing", "lasting"])
def test_what_outgrows_the_store_is_refused_and_nothing_is_lost(store: Machine, kind: str) -> None:
    space = SPACES[kind]
    for number in range(5):
        store.put(space, b"%d" % number, b"v")
    with pytest.raises(Unavailable):
        store.put(space, b"0", b"v" * 2 * LEAST_BYTES)
    assert "have no room left: give the store more room" in store.reports[-1]
    big = b"v" * 2 * LEAST_BYTES

    async def grow(key: bytes) -> Any:
        try:
            return await store.machine.update(space, key, put(big if key == b"3" else b"w"))
        except Unavailable:
            return "refused"

    if kind == "lasting":
        assert store.all(*(grow(b"%d" % number) for number in range(5))) == [b"v", b"v", b"v", "refused", b"v"]
    else:
        for number in (0, 1, 2, 4):
            store.put(space, b"%d" % number, b"w")
    assert [value for _, value in store.machine.scan(space)] == [b"w", b"w", b"w", b"v", b"w"]


def test_a_cache_never_fails_for_want_of_room(store: Machine) -> None:
    draw = secrets.SystemRandom()
    for number in range(3000):
        size = draw.choice([10, 1000, 5000, 40_000, 100_000])
        store.put(CACHE, b"%d" % number, b"%d:" % number + b"v" * size)
        used, most = store.machine.room()["cache"]
        assert used <= most * 1.1
    found = {int(key): value for key, value in store.machine.scan(CACHE)}
    assert 2999 in found
    assert min(found) > 2000  # the oldest have given way
    assert all(value.startswith(b"%d:v" % key) for key, value in found.items())
    assert len(found) == sum(map(int, databases(store).values())) // 2
    assert store.reports == []
    assert store.machine.errors == 0


def test_what_is_too_large_for_the_cache_replaces_the_old_one_with_nothing(store: Machine) -> None:
    store.put(CACHE, b"k", b"old")
    assert store.put(CACHE, b"k", b"v" * (LEAST_BYTES // LARGEST + 1)) == b"old"
    assert store.machine.read(CACHE, b"k") is None
    assert databases(store) == {"_entries": 0, "_order": 0}


def test_an_entry_of_the_cache_is_read_whole_or_not_at_all(store: Machine) -> None:
    for key in (b"torn", b"moved", b"cut", b"short", b"well"):
        store.put(CACHE, key, b"value of " + key)
    cache = store.machine._cache
    with cache._begin(write=True) as txn:
        torn = bytearray(txn.get(b"s\0torn"))
        torn[-1] ^= 1
        txn.put(b"s\0torn", bytes(torn))
        txn.put(b"s\0moved", txn.get(b"s\0well"))
        txn.put(b"s\0cut", txn.get(b"s\0cut")[:15])
        txn.put(b"s\0short", b"")
    assert [store.machine.read(CACHE, key) for key in (b"torn", b"moved", b"cut", b"short")] == [None] * 4
    assert store.machine.scan(CACHE) == [(b"well", b"value of well")]
    for key in (b"torn", b"moved", b"cut", b"short"):
        assert store.put(CACHE, key, b"new") is None
        assert store.machine.read(CACHE, key) == b"new"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A store whose `durable` and `cache` lie on file systems of 256 KiB each."""
    mounted: list[Path] = []
    (tmp_path / "store").mkdir(0o700)
    try:
        for name in ("durable", "cache"):
            path = tmp_path / "store" / name
            path.mkdir(0o700)
            command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(path)]
            if subprocess.run(command, capture_output=True, timeout=10).returncode:
                pytest.skip("NOT TESTED here: a full disk; it needs to mount one (be root)")
            mounted.append(path)
        yield tmp_path / "store"
    finally:
        for path in mounted:
            subprocess.run(["umount", "-l", str(path)], check=True, timeout=10)


def test_a_full_disk_is_told_and_harms_nothing(small_disk: Path) -> None:
    store = Machine(small_disk)
    filler = small_disk / "durable" / "filler"
    filler.write_bytes(b"x" * 64_000)
    keys = store.fill(LASTING, 1000)
    assert len(keys) > 20
    (report,) = store.reports
    assert report.startswith(f"the disk of `{small_disk}/durable` has no room for the lasting entries (mdb_")
    assert [store.machine.read(LASTING, key) for key in keys] == [b"v" * 1000] * len(keys)
    assert store.machine.read(LASTING, b"key %06d" % len(keys)) is None
    filler.unlink()
    store.put(LASTING, b"new", b"v")
    store.leave()
    store.begin()
    assert store.machine.read(LASTING, b"new") == b"v"
    assert len(store.machine.scan(LASTING)) == len(keys) + 1
    # A cache has as much as there is.
    (small_disk / "cache" / "filler").write_bytes(b"x" * 64_000)
    for number in range(500):
        store.put(CACHE, b"%d" % number, b"v" * 1000)
    kept = store.machine.scan(CACHE)
    assert all(value == b"v" * 1000 for _, value in kept)
    assert 10 < len(kept) < 400
    assert store.machine.errors == 0
    store.leave()
    store.loop.close()


@pytest.mark.parametrize("kind", SPACES)
def test_sweeps_take_what_has_expired_a_few_at_a_time(store: Machine, kind: str) -> None:
    space = SPACES[kind]

    async def put_all() -> None:
        for number in range(300):
            await store.drive(store.machine.update(space, b"%03d" % number, put(b"v", 50.0 if number % 3 else 5.0)))

    store.loop.run_until_complete(put_all())
    store.clock.offset = 10.0
    env = store.env(kind)
    if kind == "cache":
        def left() -> int:
            return databases(store)["_order"]
    else:
        def left() -> int:
            return env.stat()["entries"] - (kind == "lasting")  # the layout's

    counts = [left()]

    def swept() -> bool:
        store.machine.sweep()
        counts.append(left())
        return counts[-1] == 200

    store.until(swept, "it does not end")
    assert all(0 <= before - after <= SWEPT_PER_TRANSACTION for before, after in pairwise(counts))
    assert len(store.machine.scan(space)) == 200


def test_sweeps_go_where_there_is_much(store: Machine) -> None:
    for number in range(300):
        store.put(PASSING, b"%d" % number, b"v", 1.0)
    store.clock.offset = 2.0
    told = [store.machine.sweep() for _ in range(12)]
    assert store.env("passing").stat()["entries"] == 0
    # In turns until the one is found, then again and again until it is done.
    first = told.index(True)
    assert (first < 3, told[first: first + 5]) == (True, [True] * 4 + [False])


def test_an_entry_written_anew_before_its_sweep_is_left(store: Machine) -> None:
    store.put(PASSING, b"k", b"old", 1.0)
    store.clock.offset = 2.0
    passing = store.machine._passing
    expired = passing.expired()
    assert expired == [b"s\0k"]
    store.put(PASSING, b"k", b"new")
    with passing._begin(write=True) as txn:
        assert passing.delete(txn, expired) == 0
    assert store.machine.read(PASSING, b"k") == b"new"
