"""A process that counts alone keeps to its share, and to its memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from policylang.sdk import Unavailable
from policylang.sdk.alone import LOOKED_AT, Alone
from policylang.sdk.store import Limit
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.folder import FolderClaim
from runtime.stores.machine import MachineStore

S = 10**9


def passed(alone: Alone, limit: int, now: int, burst: int = 0, tries: int = 500) -> int:
    return sum(alone.admit(b"k", limit, S, burst, now).admitted for _ in range(tries))


@pytest.mark.parametrize(("limit", "share"), [(100, 33), (3, 1), (2, 0)])
def test_each_has_its_share_and_less_than_one_is_nothing(limit: int, share: int) -> None:
    alone = Alone(3)
    assert passed(alone, limit, 0) == share
    refused = alone.admit(b"k", limit, S, 0, S // 2)
    assert not refused.admitted and refused.retry_after > 0
    assert passed(alone, limit, S) == share
    alone.holders = 1
    assert passed(alone, limit, 3 * S) == limit


def test_what_the_store_let_pass_is_waited_for() -> None:
    alone = Alone(2)
    alone.answered(5 * S)
    assert passed(alone, 100, 6 * S - 1) == 0
    assert alone.admit(b"k", 100, S, 0, 6 * S - 1).retry_after == 1e-9
    assert passed(alone, 100, 6 * S) == 50
    # Again it was there for a while, in which all may have passed.
    alone.answered(9 * S)
    assert passed(alone, 100, 9 * S + 1) == 0
    assert passed(alone, 100, 10 * S) == 50


def test_a_bucket_fills_from_the_last_answer_on() -> None:
    alone = Alone(2)
    alone.answered(0)
    assert passed(alone, 100, S, burst=2 * S) == 50
    assert passed(alone, 100, 9 * S, burst=2 * S) == 100


def test_asking_counts_nothing_and_limits_count_together() -> None:
    alone = Alone(2)
    limits = [Limit(10, S, suffix=b"s"), Limit(4, 60 * S, suffix=b"m")]
    assert [one.remaining for one in alone.admit_all(b"k", limits, 0, count=False)] == [5, 2]
    assert [all(one.admitted for one in alone.admit_all(b"k", limits, 0)) for _ in range(3)] == [True, True, False]
    assert [one.remaining for one in alone.admit_all(b"k", limits, 0, count=False)] == [3, 0]


def test_as_many_keys_as_there_is_room_for() -> None:
    alone = Alone(1, most_keys=100)
    assert sum(alone.admit(b"%d" % i, 5, S, 0, 0).admitted for i in range(150)) == 100
    assert all(alone.admit(b"%d" % i, 5, S, 0, 1).admitted for i in range(100)), "those that live go on"
    assert sum(alone.admit(b"new %d" % i, 5, S, 0, 2 * S).admitted for i in range(100)) == 100
    assert len(alone) == 100 and LOOKED_AT < 100


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[MachineStore]:
    claim = FolderClaim.take(tmp_path / "store", rates_bytes=1 << 20)
    made = MachineStore(EmbeddedStore.open(claim.folder), lambda text: None, 2)
    yield made
    made.close()
    claim.release()


def test_a_key_that_a_full_store_does_not_know_need_not_wait(machine: MachineStore) -> None:
    with pytest.raises(Unavailable):
        for number in range(100_000):
            machine.admit(b"a key of some length %d" % number, 2, S, 0, 1)
    assert machine.alone.admit(b"new", 10, S, 0, 2).remaining == 4


def test_once_the_store_has_failed_its_last_window_is_waited_for(machine: MachineStore) -> None:
    assert machine.machine is machine
    assert machine.admit(b"k", 10, S, 0, 5 * S).admitted
    machine.close()
    for now in (5 * S + 7, 5 * S + 9):
        with pytest.raises(Unavailable):
            machine.admit_all(b"k", [Limit(10, S)], now)
    assert not machine.alone.admit(b"k", 10, S, 0, 6 * S + 6).admitted
    assert machine.alone.admit(b"k", 10, S, 0, 6 * S + 7).remaining == 4
    assert (machine.calls, machine.errors) == (3, 2)
