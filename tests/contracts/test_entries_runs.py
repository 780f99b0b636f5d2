"""What the entries of a machine keep from run to run, and whom they are not for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from entries_machine import CACHE, LASTING, PASSING, SPACES, Machine, on_this_machine, put
from opened_entries import HandClock

from policylang.sdk import Unavailable
from runtime.edge.loop import new_loop
from runtime.stores import StoreUnavailable
from runtime.stores.entries import EmbeddedEntries
from runtime.stores.folder import FolderClaim
from runtime.stores.machine import SWEEP_BUSY, SWEEP_INTERVAL
from runtime.stores.opened import Stores
from runtime.stores.prepared import LAYOUT_KEY, LEAST_BYTES, NEVER, gateway_id
from runtime.workers.settings import StoreSettings


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Machine]:
    with on_this_machine(tmp_path / "store") as made:
        yield made


def test_what_lasts_outlives_a_boot_and_the_rest_does_not(tmp_path: Path) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first")
    store = Machine(tmp_path / "store", boot_id=boot)
    for boot_id, expected in (("first", [None] * 3), ("first", [b"v"] * 3), ("second", [None, b"v", None])):
        store.leave()
        boot.write_text(boot_id)
        store.begin()
        assert bool(store.claim.discarded) == (boot_id == "second")
        assert [store.machine.read(space, b"k") for space in SPACES.values()] == expected
        for space in SPACES.values():
            store.put(space, b"k", b"v")
    store.leave()
    store.loop.close()


def test_more_room_is_given_to_what_is_there(store: Machine) -> None:
    keys = store.fill(LASTING, 5000)
    store.leave()
    store.options["lasting_bytes"] = 2 * LEAST_BYTES
    store.begin()
    store.put(LASTING, b"new", b"v")
    store.leave()
    # Less is not taken away.
    store.options["lasting_bytes"] = LEAST_BYTES
    store.begin()
    assert len(store.machine.scan(LASTING)) == len(keys) + 1
    store.put(LASTING, b"newer", b"v")


def test_a_newer_layout_of_what_lasts_is_refused_and_left_alone(store: Machine) -> None:
    store.put(LASTING, b"k", b"v")
    with store.env("lasting").begin(write=True) as txn:
        former = txn.get(LAYOUT_KEY)
        assert former is not None
        txn.put(LAYOUT_KEY, NEVER + (2).to_bytes(4))
    store.leave()
    with pytest.raises(StoreUnavailable, match=r"durable` was written by a newer polgate \(layout 2, known is 1\)"):
        store.begin()
    with lmdb.open(str(store.folder / "durable"), map_size=LEAST_BYTES) as env, env.begin(write=True) as txn:
        txn.put(LAYOUT_KEY, former)
    store.begin()
    assert store.machine.read(LASTING, b"k") == b"v"


def test_what_lasts_is_never_discarded(store: Machine) -> None:
    store.leave()
    data = store.folder / "durable" / "data.mdb"
    well = data.read_bytes()
    data.write_bytes(b"no database" * 10_000)
    with pytest.raises(StoreUnavailable, match=r"durable`: .*: restore it from a copy, or move it away to begin with"):
        store.begin()
    assert data.read_bytes() == b"no database" * 10_000
    data.write_bytes(well)
    store.begin()


def test_what_was_found_damaged_begins_anew(store: Machine) -> None:
    for space in SPACES.values():
        store.put(space, b"k", b"v")
    for kept in store.machine._kinds.values():
        assert "cannot use the" in str(kept.unavailable(lmdb.CorruptedError("mdb_get")))
    store.leave()
    store.begin()
    assert store.claim.discarded == "`cache` was found damaged"
    assert [store.machine.read(space, b"k") for space in SPACES.values()] == [None, b"v", None]
    store.leave()
    store.begin()
    assert store.claim.discarded == ""


def test_a_gateway_keeps_its_id(store: Machine) -> None:
    first = gateway_id(store.folder)
    path = store.folder / "gateway-id"
    assert (len(first), path.read_text()) == (8, first.hex() + "\n")
    store.leave()
    store.begin()
    assert gateway_id(store.folder) == first
    path.write_text(first.hex()[:7])  # the machine went down while it was written
    second = gateway_id(store.folder)
    assert second != first
    assert gateway_id(store.folder) == second


# --- processes ---


def test_it_is_opened_once_a_process(store: Machine) -> None:
    with pytest.raises(StoreUnavailable, match="already open in this process"):
        EmbeddedEntries(store.folder, store.loop, store.clock, print)
    store.put(LASTING, b"k", b"v")


def test_nothing_prepared_is_said_so(tmp_path: Path, store: Machine) -> None:
    with pytest.raises(StoreUnavailable, match=r"nothing is prepared in `.*passing`: the supervisor prepares it"):
        EmbeddedEntries(tmp_path, store.loop, store.clock, print)


def test_it_is_not_for_a_forked_child(store: Machine) -> None:
    for space in SPACES.values():
        store.put(space, b"k", b"v")
    child = os.fork()
    if not child:
        refused = 0
        try:
            for ask in (store.machine.read, store.machine.scan):
                for space in SPACES.values():
                    try:
                        ask(space, b"k")
                    except Unavailable:
                        refused += "after the fork" in store.reports[-1]
            for space in (PASSING, CACHE):
                try:
                    store.machine.update(space, b"k", put(b"w"))
                except Unavailable:
                    refused += 1
        finally:
            os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8
    for space in SPACES.values():
        assert store.put(space, b"k", b"v") == b"v"


def test_a_closed_store_is_away(store: Machine) -> None:
    store.put(LASTING, b"k", b"v")
    store.machine.close()
    store.machine.close()
    for space in SPACES.values():
        for ask in (
            lambda space=space: store.machine.read(space, b"k"),
            lambda space=space: store.put(space, b"k", b"v"),
            lambda space=space: store.machine.scan(space),
            lambda space=space: store.machine.version(space),
        ):
            with pytest.raises(Unavailable, match=r"^store$"):
                ask()
    assert not store.machine.sweep()


def test_a_worker_opens_all_of_it_together(tmp_path: Path) -> None:
    claim = FolderClaim.take(tmp_path / "store", rates_bytes=LEAST_BYTES)
    loop, clock, told = new_loop(), HandClock(), list[str]()
    seen: set[bytes] = set()
    for _ in range(2):
        stores = Stores.open(claim.folder, StoreSettings(), 1, loop, clock, told.append)
        assert stores.entries is stores.machine
        assert stores.gateway == gateway_id(claim.folder)
        assert len(stores.incarnation) == 8
        seen.add(stores.incarnation)
        assert set(stores.room()) == {"rates", "passing", "lasting", "cache"}
        assert all(0 <= used < most for used, most in stores.room().values())
        stores.close()
    assert len(seen) == 2
    assert stores.room() == {}
    claim.release()
    loop.close()


def test_sweeps_come_quickly_while_anything_has_much_to_sweep(tmp_path: Path) -> None:
    claim = FolderClaim.take(tmp_path / "store", rates_bytes=LEAST_BYTES)
    loop, clock = new_loop(), HandClock()
    stores = Stores.open(claim.folder, StoreSettings(), 1, loop, clock, print)
    now = clock.monotonic()
    assert 0 < stores.sweep(now) <= SWEEP_INTERVAL
    for number in range(200):
        stores.machine.update(PASSING, b"%d" % number, put(b"v", 1.0))
    clock.offset = 2.0
    delays = []
    for _ in range(10):
        now += int(SWEEP_INTERVAL * 1e9)
        delays.append(stores.sweep(now))
    assert delays.count(SWEEP_BUSY) == 3
    assert max(delays) <= SWEEP_INTERVAL
    assert stores.machine.scan(PASSING) == []
    stores.close()
    claim.release()
    loop.close()
