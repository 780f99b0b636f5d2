"""What is LMDB's own in the embedded store: room, forks, bytes a key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from policylang.sdk.window import EXACT_UNITS
from runtime.stores import StoreFull, StoreUnavailable
from runtime.stores.embedded import ENTRY_BYTES, KEY_BYTES, EmbeddedStore
from runtime.stores.folder import FolderClaim
from runtime.stores.prepared import LEAST_BYTES

S = 10**9
START = 86_400 * S


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[FolderClaim]:
    taken = FolderClaim.take(tmp_path / "store", rates_bytes=LEAST_BYTES)
    yield taken
    taken.release()


@pytest.fixture
def store(claim: FolderClaim) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore.open(claim.folder)
    yield opened
    opened.close()


def fill(store: EmbeddedStore) -> list[bytes]:
    keys: list[bytes] = []
    while True:
        key = b"key %06d" % len(keys)
        try:
            store.admit(key, 100, S, 0, START)
        except StoreFull:
            return keys
        keys.append(key)


def sweep_all(store: EmbeddedStore, now: int) -> int:
    deleted = 0
    # Twice nothing: the first may have ended at the last key.
    while (some := store.sweep(now)) or (some := store.sweep(now)):
        deleted += some
    return deleted


def test_a_full_store_refuses_new_keys_and_counts_the_old_ones(store: EmbeddedStore) -> None:
    keys = fill(store)
    assert len(keys) > 1000
    used, most = store.room()
    assert most <= used < most * 1.01
    with pytest.raises(StoreFull, match="90 % full: give the store more room"):
        store.admit(b"new", 100, S, 0, START)
    for key in keys[::50]:
        for i in range(2):
            assert store.admit(key, 3, S, 0, START + i).admitted
        assert not store.admit(key, 3, S, 0, START + 1).admitted
    assert store.peek(b"new", 100, S, 0, START).admitted
    assert sweep_all(store, START + 2 * S) == len(keys)
    assert store.room()[0] < most * 0.1
    assert store.admit(b"new", 100, S, 0, START + 2 * S).admitted


def test_a_store_that_old_keys_have_filled_up_recovers(store: EmbeddedStore) -> None:
    keys = fill(store)
    message = ""
    for i in range(1, EXACT_UNITS):
        try:
            for key in keys:
                store.admit(key, 100, S, 0, START + i)
        except StoreFull as full:
            message = str(full)
            break
    assert "no room left" in message
    assert sweep_all(store, START + 2 * S) == len(keys)
    assert len(fill(store)) > len(keys) * 0.9


def test_a_key_and_its_state_stay_within_their_bytes(store: EmbeddedStore) -> None:
    key, now = b"k" * KEY_BYTES, START
    for i in range(5000):
        now += S // 1000 if i % 3 else S // 82
        store.admit(key, 1000, S, 0, now)
    with store._env.begin() as txn:
        state = txn.get(key)
    assert state is not None
    assert ENTRY_BYTES - 20 < len(key) + len(state) <= ENTRY_BYTES


def test_it_is_opened_once_a_process(claim: FolderClaim, store: EmbeddedStore) -> None:
    with pytest.raises(StoreUnavailable, match="already open in this process"):
        EmbeddedStore.open(claim.folder)
    assert store.admit(b"ann", 1, S, 0, START).admitted


def test_it_is_not_for_a_forked_child(store: EmbeddedStore) -> None:
    child = os.fork()
    if not child:
        try:
            store.admit(b"ann", 2, S, 0, START)
        except StoreUnavailable as refusal:
            os._exit(7 if "after the fork" in str(refusal) else 2)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert store.admit(b"ann", 2, S, 0, START).remaining == 1


def test_a_closed_store_is_unavailable(store: EmbeddedStore) -> None:
    store.close()
    store.close()
    for ask in (
        lambda: store.admit(b"ann", 1, S, 0, START),
        lambda: store.peek(b"ann", 1, S, 0, START),
        lambda: store.sweep(START),
        lambda: store.room(),
    ):
        with pytest.raises(StoreUnavailable, match="cannot use the rates"):
            ask()


def test_nothing_prepared_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="the supervisor prepares it"):
        EmbeddedStore.open(tmp_path)
