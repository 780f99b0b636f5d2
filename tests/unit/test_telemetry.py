"""What a worker tells of itself while policies come and go: where the lines and the counts of each of them end up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from exchanges_over import ROUTES, over, tell

from runtime.observe.catalog import LOG_LOST
from runtime.observe.cells import METRICS_FOLDER
from runtime.observe.events import EventLog
from runtime.observe.telemetry import LATE, LogSettings, Telemetry


class Clock:
    def __init__(self) -> None:
        self.ns = 1_000_000_000_000

    def monotonic(self) -> int:
        return self.ns

    def wall(self) -> float:
        return 1_800_000_000 + self.ns / 1e9

    def sleep(self, seconds: float) -> Any:
        raise AssertionError("nothing waits here")


class Worker:
    def __init__(self, folder: Path, counted: bool = True) -> None:
        self.folder = folder
        self.clock = Clock()
        self.events = EventLog("worker-0", str(folder / "first.err"))
        self.telemetry = Telemetry(self.events, self.clock, folder, 0)
        self.counted = counted

    def take_up(self, access: str = "off", errors: str = "stderr") -> Any:
        place = access if access == "off" else str(self.folder / access)
        errors = errors if errors == "stderr" else str(self.folder / errors)
        settings = LogSettings("0123", ROUTES, place, 1.0, errors, "policy.pol", self.counted)
        self.telemetry.prepare(settings)
        return self.telemetry.install(settings, lambda make: None)

    def lines(self, name: str) -> int:
        self.telemetry.flush()
        return (self.folder / name).read_bytes().count(b"\n")


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def test_an_exchange_is_logged_where_it_began(worker: Worker) -> None:
    one = worker.take_up("a.log")
    other = worker.take_up("b.log")
    tell(one, over())
    tell(other, over())
    assert (worker.lines("a.log"), worker.lines("b.log")) == (1, 1)
    worker.clock.ns += int(LATE * 1e9) + 1
    worker.telemetry.flush()
    assert not worker.telemetry._former, "by then everything has ended"
    worker.telemetry.close()


def test_the_same_log_stays_open_over_policies(worker: Worker) -> None:
    one = worker.take_up("a.log")
    log = worker.telemetry.access_log
    other = worker.take_up("a.log")
    assert worker.telemetry.access_log is log
    tell(one, over())
    tell(other, over())
    assert worker.lines("a.log") == 2
    worker.telemetry.close()


def test_a_policy_that_is_not_taken_up_leaves_everything_as_it_was(worker: Worker) -> None:
    one = worker.take_up("a.log", "a.err")
    worker.telemetry.prepare(LogSettings("x", {}, str(worker.folder / "b.log"), error_log=str(worker.folder / "b.err")))
    worker.telemetry.abandon()
    with pytest.raises(OSError, match="No such file") as caught:
        worker.telemetry.prepare(LogSettings("x", {}, str(worker.folder / "none" / "c.log")))
    assert caught.value.filename == str(worker.folder / "none" / "c.log")
    worker.telemetry.abandon()
    tell(one, over())
    worker.events.write("info", "here")
    assert (worker.lines("a.log"), worker.lines("a.err"), worker.lines("b.err")) == (1, 1, 0)
    worker.telemetry.close()


def test_the_count_of_lost_lines_does_not_fall_when_a_log_moves(worker: Worker) -> None:
    class Edge:
        connections: tuple[Any, ...] = ()

    class Store:
        calls = errors = 0
        room = dict[str, tuple[int, int]]

    def lost() -> tuple[int, int]:
        worker.telemetry.measure(Edge, {}, Store, {})
        counts = worker.telemetry.counts
        assert counts is not None
        return counts.row[counts.series(LOG_LOST, "access")], counts.row[counts.series(LOG_LOST, "error")]

    def full(name: str, errors: str) -> None:
        (worker.folder / name).symlink_to("/dev/full")
        (worker.folder / errors).symlink_to("/dev/full")

    full("a.log", "a.err")
    tell(worker.take_up("a.log", "a.err"), over())
    worker.events.write("info", "lost")
    worker.telemetry.flush()
    assert lost() == (1, 1)
    worker.take_up("b.log", "b.err")
    assert lost() == (1, 1)
    full("c.log", "c.err")
    tell(worker.take_up("c.log", "c.err"), over())
    worker.events.write("info", "lost")
    worker.telemetry.flush()
    assert lost() == (2, 2)
    worker.take_up("b.log", "stderr")
    worker.clock.ns += int(LATE * 1e9) + 1
    worker.telemetry.flush()
    assert lost() == (2, 2)
    worker.telemetry.close()


def test_without_log_and_counts_nothing_is_told(tmp_path: Path) -> None:
    worker = Worker(tmp_path, counted=False)
    assert worker.take_up() is None
    assert not (tmp_path / METRICS_FOLDER).exists()
    observer = worker.take_up("a.log")
    tell(observer, over())
    assert worker.lines("a.log") == 1 and worker.telemetry.counts is None
    worker.counted = True
    assert worker.take_up() is not None and worker.telemetry.counts is not None
    worker.telemetry.close()


def test_without_room_for_counters_the_worker_says_so_and_serves(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    observer = worker.take_up("a.log", "a.err")
    tell(observer, over())
    assert worker.lines("a.log") == 1
    assert "nothing is counted" in (worker.folder / "a.err").read_text()
    worker.telemetry.measure(None, {}, None, {})
    worker.telemetry.close()


def test_the_error_log_moves_and_comes_back(worker: Worker) -> None:
    worker.take_up(errors="a.err")
    worker.events.write("info", "one")
    worker.take_up(errors="b.err")
    worker.events.write("info", "two")
    worker.take_up()
    worker.events.write("info", "three")
    worker.events.say("to a reader")
    assert [worker.lines(name) for name in ("a.err", "b.err", "first.err")] == [1, 1, 2]
    worker.telemetry.close()
    worker.events.close()
