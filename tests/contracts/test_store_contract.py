"""What every store of rates keeps to; an implementation joins by an entry in IMPLEMENTATIONS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from policylang.sdk.window import Decision
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.folder import FolderClaim

S = 10**9
START = 86_400 * S


@contextmanager
def embedded(folder: Path) -> Iterator[EmbeddedStore]:
    claim = FolderClaim.take(folder / "store", rates_bytes=4 << 20)
    store = EmbeddedStore.open(claim.folder)
    try:
        yield store
    finally:
        store.close()
        claim.release()


IMPLEMENTATIONS: dict[str, Callable[[Path], AbstractContextManager[EmbeddedStore]]] = {"embedded": embedded}


@pytest.fixture(params=IMPLEMENTATIONS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedStore]:
    with IMPLEMENTATIONS[request.param](tmp_path) as opened:
        yield opened


def test_a_limit_passes_at_once_then_waits_then_passes_again(store: EmbeddedStore) -> None:
    assert sum(store.admit(b"ann", 500, S, 0, START).admitted for _ in range(600)) == 500
    assert store.admit(b"ann", 500, S, 0, START) == Decision(False, 0, 1.0, 1.0)
    assert sum(store.admit(b"ann", 500, S, 0, START + S).admitted for _ in range(600)) == 500


def test_a_burst_is_a_bucket(store: EmbeddedStore) -> None:
    assert sum(store.admit(b"ann", 100, S, 2 * S, START).admitted for _ in range(300)) == 200
    assert sum(store.admit(b"ann", 100, S, 2 * S, START + S).admitted for _ in range(300)) == 100


def test_every_key_counts_for_itself(store: EmbeddedStore) -> None:
    for key in (b"ann", b"bob", b"", b"\x00", b"an", "Zoë".encode()):
        assert store.admit(key, 1, S, 0, START).admitted
        assert not store.admit(key, 1, S, 0, START).admitted


@pytest.mark.parametrize("length", [19, 20, 21, 34, 35, 36, 511, 512, 100_000])
def test_keys_of_any_length_are_kept_apart(store: EmbeddedStore, length: int) -> None:
    one, other = b"k" * (length - 1) + b"1", b"k" * (length - 1) + b"2"
    assert store.admit(one, 1, S, 0, START).admitted
    assert store.admit(other, 1, S, 0, START).admitted
    assert not store.admit(one, 1, S, 0, START).admitted


def test_a_cost_passes_whole_or_not_at_all(store: EmbeddedStore) -> None:
    assert store.admit(b"ann", 10, S, 0, START, 8).admitted
    assert store.admit(b"ann", 10, S, 0, START, 3) == Decision(False, 2, 1.0, 1.0)
    assert store.admit(b"ann", 10, S, 0, START, 2).admitted


@pytest.mark.parametrize("burst", [0, 3 * S])
def test_peek_answers_as_admit_would_and_counts_nothing(store: EmbeddedStore, burst: int) -> None:
    for i in range(40):
        seen = store.peek(b"ann", 10, S, burst, START + i)
        assert store.peek(b"ann", 10, S, burst, START + i) == seen
        assert store.admit(b"ann", 10, S, burst, START + i) == seen


def test_a_changed_limit_keeps_the_count(store: EmbeddedStore) -> None:
    for _ in range(10):
        store.admit(b"ann", 10, S, 0, START)
    assert store.admit(b"ann", 12, S, 0, START).remaining == 1
    assert not store.admit(b"ann", 5, S, 0, START).admitted
    assert not store.admit(b"ann", 5, 60 * S, 0, START + S // 2).admitted


def test_what_is_out_of_range_leaves_the_store_usable(store: EmbeddedStore) -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="must be at least 1"):
            store.admit(b"ann", 10, S, 0, START, 0)
    assert store.admit(b"ann", 10, S, 0, START).remaining == 9


def test_the_sweep_takes_what_has_expired_a_few_at_a_time(store: EmbeddedStore) -> None:
    for i in range(1000):
        # Every fourth lives longer; buckets expire as they fill up.
        store.admit(b"key %d" % i, 10, 10 * S if i % 4 == 0 else S, 2 * S if i % 4 == 1 else 0, START)
    assert [store.sweep(START + S - 1) for _ in range(5)].count(0) < 5
    deleted = [store.sweep(START + S) for _ in range(60)]
    assert max(deleted) <= 64
    assert store.peek(b"key 4", 10, 10 * S, 0, START + S).remaining == 8
    assert store.peek(b"key 3", 10, S, 0, START + S).remaining == 9
    while store.sweep(START + 10 * S) or store.sweep(START + 10 * S):
        pass
    assert store.sweep(START + 10 * S) == 0
