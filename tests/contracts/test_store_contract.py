"""What every store of rates keeps to; an implementation joins by an entry in IMPLEMENTATIONS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from policylang.sdk.store import Limit
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
def test_peek_tells_what_is_left_and_counts_nothing(store: EmbeddedStore, burst: int) -> None:
    for i in range(40):
        seen = store.peek(b"ann", 10, S, burst, START + i, 2)
        assert store.peek(b"ann", 10, S, burst, START + i, 2) == seen
        decision = store.admit(b"ann", 10, S, burst, START + i, 2)
        assert decision.admitted == seen.admitted
        assert decision.remaining == seen.remaining - 2 * seen.admitted
        if not seen.admitted:
            assert decision == seen


def test_limits_count_when_all_let_it_pass(store: EmbeddedStore) -> None:
    limits = [Limit(5, S, suffix=b"s"), Limit(8, 60 * S, suffix=b"m"), Limit(3, S, 3 * S, suffix=b"b")]
    for i in range(5):
        decisions = store.admit_all(b"ann", limits, START + i)
        assert [one.admitted for one in decisions] == [True] * 3
        assert [one.remaining for one in decisions] == [4 - i, 7 - i, 8 - i]
    for _ in range(3):
        second, minute, bucket = store.admit_all(b"ann", limits, START + 10)
        assert not second.admitted and second.remaining == 0
        assert (minute.admitted, minute.remaining, bucket.admitted, bucket.remaining) == (True, 3, True, 4)
    passed = [all(one.admitted for one in store.admit_all(b"ann", limits, START + 2 * S + i)) for i in range(6)]
    assert passed == [True] * 3 + [False] * 3
    assert store.peek(b"anns", 5, S, 0, START + 2 * S + 6).remaining == 2
    assert store.peek(b"annm", 8, 60 * S, 0, START + 2 * S + 6).remaining == 0


def test_a_limit_that_is_out_of_range_counts_nothing_of_the_others(store: EmbeddedStore) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        store.admit_all(b"ann", [Limit(5, S), Limit(5, 0, suffix=b"x")], START)
    assert store.peek(b"ann", 5, S, 0, START).remaining == 5


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
    assert store.peek(b"key 4", 10, 10 * S, 0, START + S).remaining == 9
    assert store.peek(b"key 3", 10, S, 0, START + S).remaining == 10
    while store.sweep(START + 10 * S) or store.sweep(START + 10 * S):
        pass
    assert store.sweep(START + 10 * S) == 0
