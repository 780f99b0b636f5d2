"""Counters in mapped files, their sum as Prometheus text, and what an exchange that is over counts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from exchanges_over import ENTRIES, MANY, MS, PASSED, PLACES, ROUTES, TEXT, Head, over, place, tell
from hypothesis import given
from hypothesis import strategies as st
from prometheus import Family, parse

from policylang.sdk import Failure
from policylang.sdk.limits_told import EXCEEDED, UNCOUNTED, LimitPolicy
from policylang.tree.outcome import Entry
from runtime.observe import cells as layout
from runtime.observe.catalog import (
    ASSERTION,
    CERTIFICATES,
    CONNECTIONS,
    LIMITS,
    MOST_SERIES,
    OF_WORKERS,
    OTHER,
    REFUSED,
    REQUEST_BOUNDS,
    RETRIES,
    SERVER,
    SERVER_STATE,
)
from runtime.observe.cells import METRICS_FOLDER, Cells, Written
from runtime.observe.counts import Counts
from runtime.observe.exposition import Exposition
from runtime.observe.observer import Observer
from runtime.observe.timed import TimedJournal

ROOT = Path(__file__).resolve().parent.parent.parent


def status(**changed: Any) -> Any:
    return {
        "name": "polgate", "version": "0.1.0", "pid": os.getpid(), "started": 100.0, "policy": "0123", "generation": 1,
        "loaded": 100.0, "workers_wanted": 1, "workers": [{"slot": 0, "pid": os.getpid(), "state": "ready",
        "policy": "0123", "generation": 1, "started": 100.0}], "listeners": [], "reloading": False, "draining": False,
        "running": True, "restarts": 2, "store": "", "last_reload": None, **changed,
    }  # fmt: skip


class Folder:
    """A store's folder with its reader, and workers that are made and die."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.exposition = Exposition(path)
        self.slots = 0

    def worker(self) -> Counts:
        self.slots += 1
        return Counts(Cells.create(self.path, self.slots))

    def read(self, **changed: Any) -> dict[str, Family]:
        return parse(self.exposition.text(status(**changed)))

    def files(self) -> list[str]:
        return sorted(found.name for found in (self.path / METRICS_FOLDER).glob("*"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# --- files ---------------------------------------------------------------------------------------


def test_workers_are_summed_and_the_dead_stay_in_the_sum(folder: Folder) -> None:
    one, other = folder.worker(), folder.worker()
    for counts, number in ((one, 3), (other, 4)):
        counts.row[counts.series(REFUSED, "bad-host", "400")] += number
        counts.gauges(CONNECTIONS, [((), number)])
    assert folder.read()[REFUSED.name].value(failure="bad-host", http_response_status_code="400") == 7
    assert folder.read()[CONNECTIONS.name].value() == 7
    one.row[one.series(REFUSED, "bad-host", "400")] += 10  # after the last look, before its death
    one.close()
    found = folder.read()
    assert found[REFUSED.name].value(failure="bad-host", http_response_status_code="400") == 17
    assert found[CONNECTIONS.name].value() == 4, "the connections of a dead worker are closed"
    (left,) = folder.files()
    assert left.startswith(f"worker-2-{os.getpid()}-")
    other.close()
    folder.exposition.fold()
    assert folder.files() == []
    assert folder.read()[REFUSED.name].value(failure="bad-host", http_response_status_code="400") == 17


def test_what_an_earlier_run_has_left_is_removed_and_not_counted(tmp_path: Path) -> None:
    left, alive = Counts(Cells.create(tmp_path, 0)), Counts(Cells.create(tmp_path, 1))
    for counts in (left, alive):
        counts.row[counts.series(REFUSED, "old", "400")] += 5
    left.close()
    (tmp_path / METRICS_FOLDER / "worker-3-1.new").write_bytes(b"killed while it made its file")
    folder = Folder(tmp_path)
    assert REFUSED.name not in folder.read()
    assert len(folder.files()) == 1, "its last worker may still be at its end"
    alive.close()
    assert REFUSED.name not in folder.read() and folder.files() == []


@pytest.mark.parametrize("junk", [b"", b"x" * 100, b"\0" * layout.SIZE])
def test_what_is_no_file_of_counters_is_removed(folder: Folder, junk: bytes) -> None:
    counts = folder.worker()
    counts.row[counts.series(REFUSED, "a", "400")] += 1
    (folder.path / METRICS_FOLDER / "worker-9-1.cells").write_bytes(junk)
    assert folder.read()[REFUSED.name].total() == 1
    (left,) = folder.files()
    assert left.startswith(f"worker-1-{os.getpid()}-")


def test_a_line_that_is_not_whole_is_read_the_next_time(folder: Folder) -> None:
    counts = folder.worker()
    counts.series(REFUSED, "first", "400")
    writer = counts._cells
    used = writer._header[layout.TABLE_USED]
    line = orjson.dumps({"c": layout.NOWHERE, "m": REFUSED.name, "l": ["x", "400"]}) + b"\n"
    writer._table[used : used + 9] = line[:9]
    writer._header[layout.TABLE_USED] = used + 9
    reader = Written(writer.path)
    reader.refresh()
    known = len(reader.series)
    writer._table[used : used + len(line)] = line
    writer._header[layout.TABLE_USED] = used + len(line)
    reader.refresh()
    assert len(reader.series) == known + 1 and reader.series[-1] == (REFUSED.name, ("x", "400"), layout.NOWHERE)
    reader.close()


def test_without_room_on_the_disk_series_are_lost_and_nothing_else(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = folder.worker()
    counts.row[counts.series(REFUSED, "early", "400")] += 1

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(1500):
        counts.row[counts.series(SERVER, "GET", str(number), "/", "", "1.1")] += 1
    found = folder.read()
    lost = found["polgate_metrics_series_lost_total"].value()
    assert 0 < lost < 1500 and found[REFUSED.name].total() == 1
    assert found[SERVER.name].total("_bucket", le="0.005") == 1500 - lost
    monkeypatch.undo()
    counts.row[counts.series(RETRIES, "late")] += 1
    assert folder.read()[RETRIES.name].total() == 1, "there is room again"


def test_a_worker_that_finds_no_room_at_all_serves_without_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        Cells.create(tmp_path, 0)
    assert list((tmp_path / METRICS_FOLDER).iterdir()) == []


def test_on_a_real_disk_that_is_full_nobody_is_killed(tmp_path: Path) -> None:
    """A file system of 400 KB: a store to a page without a block behind it would be SIGBUS."""
    work = f"""
import pathlib, sys
sys.path.insert(0, {str(ROOT)!r})
from runtime.observe.cells import Cells
from runtime.observe.counts import Counts
from runtime.observe.catalog import SERVER
counts = Counts(Cells.create(pathlib.Path({str(tmp_path / "disk")!r}), 0))
for number in range(1900):
    row = counts.series(SERVER, "GET", str(number), "/" * 200, "", "1.1")
    for cell in range(16):
        counts.row[row + cell] += 1
for cell in range(64):
    counts.row[cell] += 1
print("lost", counts._cells.lost > 0)
"""
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "work.py").write_text(work)
    mount = f"mount -t tmpfs -o size=400k tmpfs {disk} && exec {sys.executable} {tmp_path}/work.py"
    run = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    if "unshare:" in run.stderr or "mount:" in run.stderr:
        pytest.skip(f"no file system of our own: {run.stderr[:100]}")
    assert (run.returncode, run.stdout) == (0, "lost True\n"), run.stderr


def test_no_read_is_torn_and_no_counter_falls_while_a_worker_counts(folder: Folder) -> None:
    """Each step adds 2^32 + 1: a half-written cell would have two halves that differ."""
    step = (1 << 32) + 1
    writer = subprocess.Popen(
        [sys.executable, "-c", f"""
import pathlib, sys
sys.path.insert(0, {str(ROOT)!r})
from runtime.observe.cells import Cells
from runtime.observe.counts import Counts
from runtime.observe.catalog import RETRIES
counts = Counts(Cells.create(pathlib.Path({str(folder.path)!r}), 7))
cell = counts.series(RETRIES, "up")
row = counts.row
print("ready", flush=True)
while True:
    row[cell] += {step}
"""], stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert writer.stdout is not None and writer.stdout.readline() == b"ready\n"
        (path,) = (folder.path / METRICS_FOLDER).glob("worker-7-*.cells")
        reader = Written(path)
        reader.refresh()
        (first,) = [line[2] for line in reader.series if line is not None and line[0] == RETRIES.name]
        last, seen = 0, set()
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            (value,) = reader.values(first, 1)
            assert value >> 32 == value & 0xFFFFFFFF and value >= last
            last = value
            seen.add(value)
        assert len(seen) > 100 and not reader.left()
        reader.close()
    finally:
        writer.kill()
        writer.wait(20)
        assert writer.stdout is not None
        writer.stdout.close()
    assert folder.read()[RETRIES.name].value(upstream="up") >= float(last), "what a killed worker has counted stays"
    assert folder.files() == []


# --- series --------------------------------------------------------------------------------------


def test_a_metric_has_a_bounded_number_of_series_in_a_worker_and_over_all(folder: Folder) -> None:
    for half in (0, 1):
        counts = folder.worker()
        for number in range(MOST_SERIES + 100):
            counts.row[counts.series(REFUSED, f"{half}-{number}", "400")] += 1
    family = folder.read()[REFUSED.name]
    assert family.total() == 2 * (MOST_SERIES + 100), "nothing is lost by it"
    assert len(family.samples) == MOST_SERIES + 1
    assert family.value(failure=OTHER, http_response_status_code=OTHER) == MOST_SERIES + 200
    before = dict(family.samples)
    assert folder.read()[REFUSED.name].samples == before, "which ones have a name of their own does not change"


@MANY
@given(values=st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_any_text_is_a_label(tmp_path_factory: pytest.TempPathFactory, values: list[tuple[str, str]]) -> None:
    folder = Folder(tmp_path_factory.mktemp("labels"))
    counts = folder.worker()
    for one, other in values:
        counts.row[counts.series(REFUSED, one, other)] += 1
    found = folder.read()
    assert (found[REFUSED.name].total() if values else 0) == len(values)
    for one, other in values:
        if re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", one + other):
            continue  # these read as their escapes
        wanted = {key: said for key, said in (("failure", one), ("http_response_status_code", other)) if said}
        assert found[REFUSED.name].value(**wanted) >= 1
    counts.close()


def test_a_gauge_forgets_what_is_no_more(folder: Folder) -> None:
    counts = folder.worker()
    counts.gauges(SERVER_STATE, [(("up", "10.0.0.1:80", "healthy"), 1), (("up", "10.0.0.2:80", "healthy"), 1)])
    counts.gauges(SERVER_STATE, [(("up", "10.0.0.1:80", "failed"), 1)])
    family = folder.read()[SERVER_STATE.name]
    assert family.value(upstream="up", server="10.0.0.1:80", state="failed") == 1
    assert family.total(state="healthy") == 0


def test_of_a_certificate_the_first_expiry_of_all_workers_counts(folder: Folder) -> None:
    for when in (2_000, 1_000, 3_000):
        folder.worker().gauges(CERTIFICATES, [(("api.example",), when)])
    assert folder.read()[CERTIFICATES.name].value(certificate="api.example") == 1_000


def test_what_the_supervisor_knows_is_there_too(folder: Folder) -> None:
    found = folder.read(last_reload={"at": 123.5, "ok": False, "text": "no"}, draining=True)
    assert found["polgate_build_info"].total(version="0.1.0") == 1
    assert found["polgate_policy_info"].value(hash="0123") == 1
    assert found["polgate_worker_policy_info"].value(worker="0", hash="0123") == 1
    assert found["polgate_reload_last_success"].value() == 0
    assert found["polgate_reload_last_timestamp_seconds"].value() == 123.5
    assert found["polgate_worker_restarts_total"].value() == 2
    assert found["polgate_draining"].value() == 1
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"):
        assert found[name].value(process="worker-0") > 0
    began = found["process_start_time_seconds"].value(process="supervisor")
    assert 0 <= time.time() - began < 86400


def test_a_worker_that_has_just_gone_has_no_process_metrics(folder: Folder) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(20)
    worker = {"slot": 0, "pid": gone.pid, "state": "ready", "policy": "", "generation": 1, "started": 1.0}
    found = folder.read(workers=[worker])
    assert found["process_open_fds"].samples.keys() == {("process_open_fds", frozenset({("process", "supervisor")}))}


def test_the_catalog_speaks_of_seconds_and_totals() -> None:
    for metric in OF_WORKERS.values():
        assert len(metric.labels) == len(set(metric.labels)) and metric.help.endswith(".")
        assert metric.name.endswith("_seconds") == (metric.kind in ("histogram", "summary") or metric is CERTIFICATES)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert [bound / 1e9 for bound in REQUEST_BOUNDS] == [
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
    ]  # fmt: skip


# --- exchanges -----------------------------------------------------------------------------------

def observed(folder: Folder, **given: Any) -> tuple[Observer, Counts]:
    counts = folder.worker()
    return Observer(counts, None, ROUTES, "policy.pol", **given), counts


def test_an_exchange_is_counted_by_how_it_ended(folder: Folder) -> None:
    observer, _ = observed(folder)
    asked = {"pool": "orders", "server": "127.0.0.1:9000", "attempts": 1}
    tell(observer, over(upstream=2 * MS, status=200, **asked))
    tell(observer, over(upstream=2 * MS, status=200, **asked), took=7 * MS)
    tell(observer, over(upstream=40 * MS, status=503, **asked), 503, took=41 * MS)
    away = Failure("upstream-unreachable", 502)
    tell(observer, over(upstream=MS, failure=away, **{**asked, "attempts": 3}), 502)
    tell(observer, over(service=""), 404, head=Head("PROPFIND"))
    found = folder.read()
    plain = {
        "http_request_method": "GET", "http_response_status_code": "200", "http_route": "/orders/{id}",
        "network_protocol_version": "1.1",
    }  # fmt: skip
    server = found["http_server_request_duration_seconds"]
    assert server.value("_count", **plain) == 2
    assert server.value("_sum", **plain) == pytest.approx(0.010)
    assert [server.value("_bucket", **plain, le=le) for le in ("0.005", "0.01", "+Inf")] == [1, 2, 2]
    assert server.total("_count", http_response_status_code="503", error_type="503") == 1
    assert server.total("_count", http_response_status_code="502", error_type="upstream-unreachable") == 1
    assert server.total("_count", http_request_method="_OTHER") == 1
    client = found["http_client_request_duration_seconds"]
    at = {"upstream": "orders", "server_address": "127.0.0.1", "server_port": "9000", "http_request_method": "GET"}
    assert client.value("_count", **at, http_response_status_code="200") == 2
    assert client.value("_sum", **at, http_response_status_code="503", error_type="503") == pytest.approx(0.040)
    assert client.value("_count", **at, error_type="upstream-unreachable") == 1
    assert found["polgate_request_own_duration_seconds"].value("_sum", service="orders") == pytest.approx(0.009)
    assert found["polgate_upstream_retries_total"].value(upstream="orders") == 2


def test_a_time_on_a_bound_is_within_it(folder: Folder) -> None:
    observer, _ = observed(folder)
    for took in (5 * MS, 5 * MS + 1, 10_000 * MS, 10_000 * MS + 1):
        tell(observer, over(), took=took)
    buckets = folder.read()["http_server_request_duration_seconds"]
    assert [buckets.total("_bucket", le=le) for le in ("0.005", "0.01", "7.5", "10", "+Inf")] == [1, 2, 2, 3, 4]


@MANY
@given(ends=st.lists(st.tuples(st.sampled_from(["orders", "carts", ""]), ENTRIES), max_size=30))
def test_assertions_are_counted_as_a_slow_count_has_them(
    tmp_path_factory: pytest.TempPathFactory, ends: list[tuple[str, list[Entry]]]
) -> None:
    folder = Folder(tmp_path_factory.mktemp("paths"))
    observer, counts = observed(folder)
    wanted: Counter[tuple[str, str, str, str]] = Counter()
    for number, (service, journal) in enumerate(ends):
        failures = [entry.outcome for entry in journal if isinstance(entry.outcome, Failure)]
        made = over(service=service, journal=list(journal), failure=failures[-1] if number % 2 and failures else None)
        tell(observer, made)
        for one, outcome in journal:
            line = str(one.line) if one.file == "policy.pol" else f"{one.file}:{one.line}"
            said = "passed" if outcome is None else outcome.name if isinstance(outcome, Failure) else outcome
            wanted[service, one.name, line, said] += 1
    found = folder.read()
    counted = {
        tuple(dict(labels).get(name, "") for name in ASSERTION.labels): value
        for (_, labels), value in (found[ASSERTION.name].samples.items() if ASSERTION.name in found else ())
        if value
    }
    assert counted == dict(wanted)
    counts.close()


def test_paths_that_no_cell_is_left_for_are_counted_all_the_same(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.observe.counts.MOST_PATHS", 1)
    observer, _ = observed(folder)
    for _ in range(3):
        tell(observer, over(journal=[PASSED[0]]))
        tell(observer, over(journal=[PASSED[0], PASSED[1]]))
    family = folder.read()[ASSERTION.name]
    assert family.total(line="2") == 6 and family.total(line="3") == 3


def test_what_a_policy_keeps_in_memory_is_bounded(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.observe.observer.MOST_VERDICTS", 4)
    monkeypatch.setattr("runtime.observe.observer.MOST_ROWS", 4)
    observer, _ = observed(folder)
    for number in range(50):
        tell(observer, over(journal=[Entry(PLACES[0], Failure(f"f{number}", 403))]), 200 + number)
        tell(observer, over(journal=[PASSED[0]]), 200 + number)
    assert len(observer._verdicts) <= 4
    assert max(len(verdict.rows) for verdict in observer._verdicts.values()) <= 4
    found = folder.read()
    assert found[ASSERTION.name].total() == 100
    assert found["http_server_request_duration_seconds"].total("_count") == 100


def test_a_journal_that_grows_after_its_end_does_not_move_the_count(folder: Folder) -> None:
    observer, _ = observed(folder)
    made = over(journal=[PASSED[0]])
    tell(observer, made)
    made.journal.append(PASSED[1])  # type: ignore[union-attr]  # as what is given up late does
    tell(observer, over(journal=[PASSED[0], PASSED[1]]))
    family = folder.read()[ASSERTION.name]
    assert (family.total(line="2"), family.total(line="3")) == (2, 1)


def test_what_limits_let_through_is_counted_by_their_names(folder: Folder) -> None:
    observer, _ = observed(folder)
    gold, day = LimitPolicy("gold", 5, 1), LimitPolicy("day", 9, 86_400)
    tell(observer, over(limits=[(gold, 4, 1.0, "")]))
    tell(observer, over(limits=[(gold, 4, 1.0, ""), (day, 0, 1.0, EXCEEDED)]))
    tell(observer, over(limits=[(gold, 0, 1.0, UNCOUNTED)]))
    tell(observer, over(limits=[(gold, 0, 1.0, UNCOUNTED)]))
    found = folder.read()[LIMITS.name]
    assert found.value(service="orders", limit="day", outcome="exceeded") == 1
    assert found.value(service="orders", limit="gold", outcome="uncounted") == 2
    assert len(found.samples) == 2


def test_counters_outlive_a_policy_and_the_next_one_adds(folder: Folder) -> None:
    observer, counts = observed(folder)
    tell(observer, over(journal=[PASSED[0]]))
    before = counts._cells._header[layout.CELLS_USED]
    again = Observer(counts, None, ROUTES, "policy.pol")
    tell(again, over(journal=[Entry(place(2), None)]))  # another tree's place, the same line
    assert counts._cells._header[layout.CELLS_USED] == before, "the same series, the same path"
    assert folder.read()[ASSERTION.name].value(service="orders", assertion="require", line="2", outcome="passed") == 2


def test_one_in_a_hundred_is_timed(folder: Folder) -> None:
    now = [0]
    made: list[Any] = [list]

    def time_next(make: Any) -> None:
        made[0] = make

    observer, _ = observed(folder, monotonic=lambda: now[0], time_next=time_next)
    timed = 0
    for _ in range(4000):
        journal, made[0] = made[0](), list
        timed += isinstance(journal, TimedJournal)
        now[0] += 2 * MS
        journal.append(PASSED[0])
        now[0] += 5 * MS
        journal.append(Entry(PLACES[1], Failure("x", 403)))
        journal.extend([PASSED[2]])
        tell(observer, over(journal=journal))
    assert 20 <= timed <= 100
    family = folder.read()["polgate_assertion_sampled_duration_seconds"]
    at = {"service": "orders", "assertion": "require"}
    assert family.value("_count", **at, line="2") == timed
    assert family.value("_sum", **at, line="2") == pytest.approx(timed * 0.002)
    assert family.value("_sum", **at, line="3") == pytest.approx(timed * 0.005)
    assert family.total("_count", line="4") == 0, "what comes in one go has no time of its own"


def test_the_page_names_every_metric_its_kind_and_its_labels(folder: Folder) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in page.splitlines() if line.startswith("| `")]
    said = {name.strip("`"): (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(said) == len(rows)
    for name, metric in OF_WORKERS.items():
        assert said.pop(name) == (metric.kind, metric.labels)
    found = folder.read()
    for name, family in found.items():
        labels = {label for _, series in family.samples for label, _ in series}
        assert (said[name][0], set(said[name][1])) == (family.kind, labels)
    assert said.keys() == found.keys()
