"""What is LMDB's own in the entries of a machine: names, values, versions, the thread that writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest
from entries_machine import LASTING, PASSING, SPACES, Machine, add_one, caught, on_this_machine, put

from policylang.sdk import Unavailable
from policylang.sdk.store import Changed, Space
from runtime.stores import lasting
from runtime.stores.kept import KEY_BYTES, NAME_BYTES


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Machine]:
    with on_this_machine(tmp_path / "store") as made:
        yield made


def test_names_of_any_text_are_kept_apart(store: Machine) -> None:
    long = "n" * NAME_BYTES
    names = ["a", "a\0b", "a\0", "", "ab", long, long[1:], long + "x", "€" * 100, "\ud800"]
    for number, name in enumerate(names):
        store.put(Space(name, "passing", 60.0), b"b", b"%d" % number)
    for number, name in enumerate(names):
        space = Space(name, "passing", 60.0)
        assert store.machine.read(space, b"b") == b"%d" % number
        assert store.machine.scan(space) == [(b"b", b"%d" % number)]
    # A name that was cut is not another's that looks like what it became.
    stored = store.machine._passing.place(long).prefix[:-1].decode()
    assert store.machine.read(Space(stored, "passing", 60.0), b"b") is None


def test_no_key_can_be_chosen_to_equal_a_longer_ones_digest(store: Machine) -> None:
    long = b"k" * 2000
    store.put(PASSING, long, b"long")
    ((stored, value),) = store.machine.scan(PASSING)
    assert (len(stored) + len("s\0"), value) == (KEY_BYTES, b"long")
    assert store.machine.read(PASSING, stored) is None
    assert store.machine.read(PASSING, stored + b"x") is None
    assert store.machine.scan(PASSING, stored) == []


def test_what_is_renewed_for_less_ends_earlier(store: Machine) -> None:
    store.put(PASSING, b"k", b"long", 50.0)
    store.put(PASSING, b"k", b"short", 1.0)
    store.clock.offset = 1.1
    assert store.machine.read(PASSING, b"k") is None


# --- the thread that writes ---


def test_a_disk_that_is_too_slow_costs_a_deadline_and_no_more(store: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "DEADLINE", 0.05)
    store.put(LASTING, b"k", b"1")
    held = store.env("lasting").begin(write=True)
    started = store.loop.time()
    # All of them wait; the loop does not, since its timers fire.
    for error in store.all(*(caught(store, store.machine.update, LASTING, b"k") for _ in range(5))):
        assert isinstance(error, Unavailable)
        assert str(error) == "store"
    assert store.loop.time() - started < 5
    assert store.machine.read(LASTING, b"k") == b"1"
    held.abort()
    monkeypatch.undo()
    # What no transaction has taken up is not made any more. (One of them was.)
    assert store.ask(store.machine.update(LASTING, b"k", put(b"2"))) in (b"1", b"x")
    assert store.reports == [f"a change of the lasting entries in `{store.folder}/durable` took over 0.05 s: "
                             "the disk is too slow"]  # fmt: skip


def test_no_more_than_so_many_wait_for_the_disk(store: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "WAITING", 3)
    held = store.env("lasting").begin(write=True)
    store.loop.call_later(0.05, held.abort)
    found = store.all(*(caught(store, store.machine.update, LASTING, b"k") for _ in range(5)))
    assert found[:3] == [None, b"x", b"x"]
    assert [type(one) for one in found[3:]] == [Unavailable, Unavailable]
    assert "3 changes wait for the disk" in store.reports[0]
    assert store.put(LASTING, b"k", b"y") == b"x"


def test_what_waits_is_written_together(store: Machine) -> None:
    store.put(LASTING, b"n", b"0")
    before = store.env("lasting").info()["last_txnid"]
    assert sorted(store.all(*(store.machine.update(LASTING, b"n", add_one) for _ in range(500)))) == list(range(1, 501))
    assert store.env("lasting").info()["last_txnid"] - before < 50


@pytest.mark.parametrize("kind", SPACES)
def test_an_environment_that_panics_is_opened_anew(
    store: Machine, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SPACES[kind]
    store.put(space, b"k", b"1")

    def panic(*_: object, **__: object) -> None:
        raise lmdb.PanicError("mdb_txn_begin")

    kept = store.machine._kinds[kind]
    env = kept._env
    monkeypatch.setattr(kept, "_begin", panic)
    with pytest.raises(Unavailable):
        store.put(space, b"k", b"2")
    assert f"cannot use the {kept.what}" in store.reports[0]
    assert store.put(space, b"k", b"3") == b"1"
    assert kept._env is not env
    assert store.machine.read(space, b"k") == b"3"


def test_no_read_transaction_is_left_behind(store: Machine) -> None:
    for space in SPACES.values():
        store.put(space, b"k", b"v")
        store.machine.read(space, b"k")
        store.machine.scan(space)
        store.machine.version(space)
    for _ in range(3):
        store.machine.sweep()
    store.put(LASTING, b"k", b"w")
    for kind in SPACES:
        readers = store.env(kind).readers().splitlines()[1:]
        assert all(line.split()[-1] == "-" for line in readers), readers  # a slot without a transaction


# --- versions ---


@pytest.mark.parametrize("kind", SPACES)
def test_a_version_rises_with_each_change_of_its_space(store: Machine, kind: str) -> None:
    space, other = SPACES[kind], Space("other", SPACES[kind].kind, 60.0)
    seen = [store.machine.version(space)]
    for change in (put(b"1"), add_one, put(None), put(b"1")):
        store.ask(store.machine.update(space, b"k", change))
        seen.append(store.machine.version(space))
    assert seen == sorted(set(seen))
    store.ask(store.machine.update(space, b"k", lambda before: Changed(None, before)))
    store.ask(store.machine.update(space, b"nothing", put(None)))
    store.put(other, b"k", b"v")
    assert store.machine.version(space) == seen[-1]


def test_a_change_is_not_told_before_it_is_committed(store: Machine) -> None:
    store.put(PASSING, b"k", b"v")
    before = store.machine.version(PASSING)
    kept = store.machine._passing
    with kept._begin(write=True) as txn:
        kept.step(txn, kept.place("s"), b"s\0k", 60.0, put(b"w"))
        assert (store.machine.version(PASSING), store.machine.read(PASSING, b"k")) == (before, b"v")
    assert store.machine.version(PASSING) > before
