"""The embedded store among processes: exact, and unharmed by a kill at any moment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_workers import DEADLINE, ROOT, begin, said, workers

from runtime.stores import StoreUnavailable
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.folder import FolderClaim

S = 10**9
START = 86_400 * S


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[FolderClaim]:
    taken = FolderClaim.take(tmp_path / "store", rates_bytes=4 << 20)
    yield taken
    taken.release()


@pytest.mark.parametrize("burst", [0, S])
@pytest.mark.parametrize("limit", [50, 5000])
def test_two_processes_get_exactly_the_limit_in_a_window(claim: FolderClaim, limit: int, burst: int) -> None:
    code = f"print(sum(store.admit(b'ann', {limit}, {S}, {burst}, {START} + i // 50).admitted for i in range(6000)))"
    # Within 120 ns of a window a bucket refills nothing.
    with workers(claim.folder, 2, code) as both:
        for worker in both:
            begin(worker)
        counts = [int(said(worker)) for worker in both]
    assert sum(counts) == limit


def test_no_update_is_lost(claim: FolderClaim) -> None:
    code = f"for i in range(10000): store.admit(b'key %d' % (i % 7), 10**6, {3600 * S}, 0, {START} + i)\nprint('done')"
    with workers(claim.folder, 2, code) as both:
        for worker in both:
            begin(worker)
        for worker in both:
            assert said(worker) == "done\n"
    store = EmbeddedStore.open(claim.folder)
    left = [store.peek(b"key %d" % i, 10**6, 3600 * S, 0, START + 10_000).remaining for i in range(7)]
    store.close()
    assert 7 * 10**6 - sum(left) == 20_000


def test_by_the_clock_no_window_passes_more_than_the_limit(claim: FolderClaim) -> None:
    limit, window, seconds = 300, S // 10, 1.2
    code = f"""
end, log = time.monotonic() + {seconds}, []
while time.monotonic() < end:
    now = time.monotonic_ns()
    if store.admit(b'ann', {limit}, {window}, 0, now).admitted:
        log.append((now, time.monotonic_ns()))
print(json.dumps(log))
"""
    with workers(claim.folder, 2, code) as both:
        for worker in both:
            begin(worker)
        logs = [json.loads(said(worker)) for worker in both]
    # The decision fell at some moment between the two readings: no limit + 1 of them surely lie within a window.
    before = sorted(at for log in logs for at, _ in log)
    after = sorted(at for log in logs for _, at in log)
    for first, last in zip(before, after[limit:], strict=False):
        assert last - first >= window
    # Both kept asking, so that little was left over; machines that are busy with other things may pause them.
    assert len(before) >= limit * seconds * S / window * 0.5


def test_a_writer_killed_in_its_transaction_holds_up_nobody(claim: FolderClaim) -> None:
    store = EmbeddedStore.open(claim.folder)
    for _ in range(10):
        store.admit(b"ann", 100, S, 0, START)
    code = "txn = store._env.begin(write=True); txn.put(b'ann', b'torn'); print('inside', flush=True); time.sleep(60)"
    with workers(claim.folder, 1, code) as (writer,):
        begin(writer)
        assert said(writer) == "inside\n"
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(DEADLINE)
        started = time.monotonic()
        assert store.admit(b"ann", 100, S, 0, START).remaining == 89
        assert time.monotonic() - started < 2
    store.close()


def test_writers_killed_at_any_moment_leave_a_store_that_counts(claim: FolderClaim) -> None:
    code = f"""
i = 0
while True:
    i += 1
    store.admit(b'key %d' % (i % 50), 10**6, {3600 * S}, 0, {START} + i)
    if i % 1000 == 0:
        print(i, flush=True)
"""
    store = EmbeddedStore.open(claim.folder)
    reported, last = 0, START
    for round_ in range(4):
        with workers(claim.folder, 2, code) as both:
            for worker in both:
                begin(worker)
            for worker in both:
                for _ in range(1 + round_):
                    counted = int(said(worker))
                reported += counted
                last += counted
            for worker in both:
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait(DEADLINE)
        claimed = [store.admit(b"key %d" % i, 10**6, 3600 * S, 0, last) for i in range(50)]
        assert all(decision.admitted for decision in claimed)
    store.close()
    # What was acknowledged is counted.
    assert 50 * 10**6 - sum(decision.remaining for decision in claimed) >= reported


def test_a_dead_reader_is_cleared_away(claim: FolderClaim) -> None:
    code = "txn = store._env.begin(); txn.get(b'ann'); print('reading', flush=True); time.sleep(60)"
    with workers(claim.folder, 1, "print('idle', flush=True); time.sleep(60)") as (idle,):
        begin(idle)
        assert said(idle) == "idle\n"
        with workers(claim.folder, 1, code) as (reader,):
            begin(reader)
            assert said(reader) == "reading\n"
            assert claim.check_readers() == 0
            os.kill(reader.pid, signal.SIGKILL)
            reader.wait(DEADLINE)
            assert claim.check_readers() == 1
            assert claim.check_readers() == 0


def test_the_lock_ends_with_the_supervisor_and_not_with_a_worker(tmp_path: Path) -> None:
    code = """
import subprocess, sys, time
from pathlib import Path
from runtime.stores.folder import FolderClaim
claim = FolderClaim.take(Path(sys.argv[1]), rates_bytes=1 << 20)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"],
                          stdout=subprocess.DEVNULL, close_fds=False)
print(worker.pid, flush=True)
time.sleep(30)
"""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "store")], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    worker = int(said(supervisor))
    try:
        with pytest.raises(StoreUnavailable, match=rf"process {supervisor.pid}\) holds"):
            FolderClaim.take(tmp_path / "store")
        supervisor.kill()
        supervisor.wait(DEADLINE)
        os.kill(worker, 0)  # it lives
        FolderClaim.take(tmp_path / "store", rates_bytes=1 << 20).release()
    finally:
        os.kill(worker, signal.SIGKILL)
        supervisor.kill()
        supervisor.communicate()
