"""Entries among processes: no change is lost, and a kill or a stop at any moment harms nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from entries_machine import CACHE, LASTING, PASSING, SPACES, Machine, add_one, caught, on_this_machine, put
from store_workers import DEADLINE, ENTRIES, begin, said, workers

from policylang.sdk import Unavailable
from runtime.stores import lasting

ROUNDS = 30 if os.environ.get("POLGATE_SOAK") else 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Machine]:
    sizes = {"rates_bytes": 4 << 20, "lasting_bytes": 4 << 20, "cache_bytes": 4 << 20}
    with on_this_machine(tmp_path / "store", **sizes) as made:
        yield made


def kill(worker: subprocess.Popen[str]) -> None:
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(DEADLINE)


@pytest.mark.parametrize("kind", SPACES)
def test_no_change_is_lost(store: Machine, kind: str) -> None:
    code = f"""
space = SPACES["{kind}"]
for _ in range(20):
    store.all(*(entries.update(space, b"key %d" % (i % 7), add_one) for i in range(70)))
print("done", flush=True)
"""
    with workers(store.folder, 2, code, ENTRIES) as both:
        for worker in both:
            begin(worker)
        for worker in both:
            assert said(worker) == "done\n"
    assert [store.machine.read(SPACES[kind], b"key %d" % i) for i in range(7)] == [b"400"] * 7


# Every value is as long as many pages, so that half of one would be seen.
COUNTING = """
def grow(before):
    number = int(before.split()[0]) + 1 if before else 1
    return Changed(number, b"%d " % number * 2000)

turn = 0
while True:
    turn += 1
    keys = [b"key %d" % (i % 7) for i in range(turn, turn + 14)]
    answers = store.all(*(entries.update(SPACES[{kind!r}], key, grow) for key in keys))
    print(" ".join(f"{{key.decode()[4:]}}:{{number}}" for key, number in zip(keys, answers)), flush=True)
"""


@pytest.mark.parametrize("kind", SPACES)
def test_what_was_acknowledged_outlives_kills_at_any_moment(store: Machine, kind: str) -> None:
    space, acknowledged = SPACES[kind], set[tuple[str, str]]()
    for round_ in range(ROUNDS):
        with workers(store.folder, 2, COUNTING.format(kind=kind), ENTRIES) as both:
            for worker in both:
                begin(worker)
            for worker in both:
                for _ in range(5 + 9 * round_ % 40):
                    for pair in said(worker).split():
                        key, _, number = pair.partition(":")
                        assert (key, number) not in acknowledged  # no two changes saw the same
                        acknowledged.add((key, number))
            for worker in both:
                kill(worker)
        if round_ % 2 == 0:  # nobody is left
            store.leave()
            store.begin()
            assert store.claim.discarded == ""
        for name in range(7):
            words = (store.machine.read(space, b"key %d" % name) or b"").split()
            assert (len(words), len(set(words))) == (2000, 1)
            assert int(words[0]) >= max(int(number) for of, number in acknowledged if of == str(name))


KILLED_WITHIN = """
def die(before):
    os.kill(os.getpid(), signal.{signal})
    return Changed(None, b"of the dead")
store.ask(entries.update(SPACES[{kind!r}], b"k", die))
"""


@pytest.mark.parametrize("kind", SPACES)
def test_a_writer_killed_in_its_transaction_holds_up_nobody(store: Machine, kind: str) -> None:
    store.put(SPACES[kind], b"k", b"before")
    with workers(store.folder, 1, KILLED_WITHIN.format(kind=kind, signal="SIGKILL"), ENTRIES) as (worker,):
        begin(worker)
        assert worker.wait(DEADLINE) == -signal.SIGKILL
    started = time.monotonic()
    assert store.put(SPACES[kind], b"k", b"after") == b"before"
    assert time.monotonic() - started < 1


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")


def test_while_a_writer_of_what_lasts_is_stopped_others_have_a_deadline(
    store: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "DEADLINE", 0.1)
    store.put(LASTING, b"k", b"before")
    with workers(store.folder, 1, KILLED_WITHIN.format(kind="lasting", signal="SIGSTOP"), ENTRIES) as (worker,):
        begin(worker)
        store.until(lambda: stopped(worker.pid), "it does not stop")
        started = store.loop.time()
        found = store.all(*(caught(store, store.machine.update, LASTING, b"k") for _ in range(5)))
        assert [type(one) for one in found] == [Unavailable] * 5
        assert store.loop.time() - started < 2
        assert "took over 0.1 s: the disk is too slow" in store.reports[0]
        # The loop has its turns, and what needs no lock is given.
        assert store.machine.read(LASTING, b"k") == b"before"
        assert store.put(PASSING, b"k", b"v") is None
        monkeypatch.undo()
        kill(worker)
    # The first of them had been taken up; the others were dropped when their time was over.
    assert store.put(LASTING, b"k", b"after") in (b"before", b"x")
    assert store.machine.read(LASTING, b"k") == b"after"


def check_readers(store: Machine) -> int:
    """As the supervisor does, which has no environment open."""
    store.machine.close()
    found = store.claim.check_readers()
    store.open()
    return found


def test_a_reader_killed_in_its_transaction_is_cleared_away(store: Machine) -> None:
    code = """
held = [kept._env.begin() for kept in entries._kinds.values()]
print("reading", flush=True)
sys.stdin.readline()
"""
    with (
        workers(store.folder, 1, "sys.stdin.readline()", ENTRIES),  # with nobody left LMDB begins its table anew
        workers(store.folder, 1, code, ENTRIES) as (reader,),
    ):
        begin(reader)
        assert said(reader) == "reading\n"
        assert check_readers(store) == 0
        # No page that was freed since is used again.
        with pytest.raises(Unavailable):
            for number in range(5000):
                store.put(PASSING, b"%d" % (number % 50), b"v" * 1000)
        kill(reader)
        assert check_readers(store) == 3
        assert check_readers(store) == 0
        for number in range(500):
            store.put(PASSING, b"%d" % (number % 50), b"v" * 1000)
        for space in (LASTING, CACHE):
            store.put(space, b"k", b"v")
            assert store.machine.read(space, b"k") == b"v"


@pytest.mark.parametrize("kind", SPACES)
def test_a_copy_is_never_older_than_what_the_version_tells(store: Machine, kind: str) -> None:
    space = SPACES[kind]
    code = f"""
for i in range({3000 if kind != "lasting" else 300}):
    store.ask(entries.update(SPACES["{kind}"], b"n", add_one))
    print(i + 1, flush=True)
"""
    version, copy, reads = -1, 0, 0
    with workers(store.folder, 1, code, ENTRIES) as (worker,):
        begin(worker)
        while line := said(worker):
            if (seen := store.machine.version(space)) != version:
                assert seen > version
                version, copy, reads = seen, int(store.machine.read(space, b"n") or b"0"), reads + 1
            assert copy >= int(line)
    assert reads > 1
    assert store.ask(store.machine.update(space, b"n", add_one)) == copy + 1
    assert store.ask(store.machine.update(space, b"n", put(None))) == b"%d" % (copy + 1)
