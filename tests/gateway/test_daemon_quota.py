"""A month's quota over kills, restarts and reloads of a whole gateway, to the last one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from daemons import ROOT, WAIT, Daemon, alive, ask, daemon, eventually

POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers 2
    access_log "off"
}

service calls "/calls/{who}" {
    quota LIMIT/month, per: path.who, zone: "Europe/Istanbul", name: "plan" -> remaining
    respond 200, body: "${remaining}"
}

service good "/good/{who}" {
    quota LIMIT/month, per: path.who, name: "good", count: success
    require request.query.bad == none
    respond 200
}

service left "/left/{who}" {
    quota_status LIMIT/month, per: path.who, zone: "Europe/Istanbul", name: "plan" -> limit, remaining, reset
    respond 200, body: "${remaining}"
}
"""


def write(folder: Path, limit: int) -> None:
    (folder / "policy.pol").write_text(POLICY.replace("LIMIT", str(limit)))


@contextmanager
def polgate(folder: Path) -> Iterator[Daemon]:
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder) as started:
        yield started


def kill_all(started: Daemon) -> None:
    """At once, as when the power fails; only that the machine goes on."""
    workers = started.children()
    for pid in [started.process.pid, *workers]:
        os.kill(pid, signal.SIGKILL)
    started.wait()
    eventually(lambda: not any(map(alive, workers)), "a worker lives on")


def spend(port: int, path: str, count: int, threads: int = 4) -> Counter[int]:
    """The statuses of so many requests, on connections that break when a worker dies and are opened anew."""
    statuses: Counter[int] = Counter()
    left = threading.Semaphore(count)

    def go() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        with contextlib.closing(connection):
            while left.acquire(blocking=False):
                try:
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    answer.read()
                    statuses[answer.status] += 1
                except (OSError, http.client.HTTPException):
                    connection.close()
                    statuses[0] += 1

    running = [threading.Thread(target=go) for _ in range(threads)]
    for one in running:
        one.start()
    for one in running:
        one.join(WAIT)
    return statuses


def left(port: int, who: str = "ann") -> int:
    status, body = ask(port, f"/left/{who}")
    assert status == 200
    return int(body)


def test_a_months_quota_stands_over_kills_and_restarts(tmp_path: Path) -> None:
    write(tmp_path, 500)
    with polgate(tmp_path) as started:
        port = started.ready()
        assert left(port) == 500
        assert spend(port, "/calls/ann", 203) == {200: 203}
        assert left(port) == 297
        kill_all(started)
    with polgate(tmp_path) as started:
        port = started.ready()
        assert left(port) == 297
        assert spend(port, "/calls/ann", 100) == {200: 100}
        started.end()
    with polgate(tmp_path) as started:
        port = started.ready()
        assert spend(port, "/calls/ann", 250) == {200: 197, 429: 53}
        assert spend(port, "/calls/bob", 3) == {200: 3}
        kill_all(started)
    write(tmp_path, 600)
    with polgate(tmp_path) as started:
        port = started.ready()
        assert spend(port, "/calls/ann", 150) == {200: 100, 429: 50}
        assert (left(port), left(port, "bob")) == (0, 597)


def test_workers_that_are_killed_under_load_take_nothing_along(tmp_path: Path) -> None:
    write(tmp_path, 6000)
    with polgate(tmp_path) as started:
        port = started.ready()
        found: list[Counter[int]] = []
        load = threading.Thread(target=lambda: found.append(spend(port, "/calls/ann", 6500)))
        load.start()
        for when in (5500, 4000):
            eventually(lambda when=when: left_or(port, 6000) < when, "the load stands still")  # type: ignore[misc]
            os.kill(started.children()[0], signal.SIGKILL)
        load.join(WAIT * 2)
        (statuses,) = found
        # Those whose answer was lost with its worker may have been counted, and nothing else may be missing.
        assert statuses[0] and statuses[200] <= 6000 <= statuses[200] + statuses[0], statuses
        assert left(port) == 0


def left_or(port: int, other: int, who: str = "ann") -> int:
    try:
        return left(port, who)
    except (OSError, http.client.HTTPException):
        return other


def test_after_a_boot_what_was_leased_and_not_spent_counts_as_used(tmp_path: Path) -> None:
    write(tmp_path, 1000)
    with polgate(tmp_path) as started:
        assert spend(started.ready(), "/calls/ann", 300) == {200: 300}
        kill_all(started)
    shutil.rmtree(tmp_path / ".polgate" / "passing")  # as a boot does
    with polgate(tmp_path) as started:
        port = started.ready()
        statuses = spend(port, "/calls/ann", 900)
        assert statuses[200] + statuses[429] == 900
        assert 690 <= statuses[200] <= 700, "more than 1 % of the limit was leased in advance, or some of it twice"
        assert left(port) == 0


def test_a_reload_keeps_the_count_and_what_fails_is_given_back(tmp_path: Path) -> None:
    write(tmp_path, 100)
    with polgate(tmp_path) as started:
        port = started.ready()
        assert spend(port, "/good/ann?bad=1", 150, threads=2) == {403: 150}
        assert spend(port, "/good/ann", 95) == {200: 95}
        assert spend(port, "/good/ann?bad=1", 30, threads=2) == {403: 30}
        assert spend(port, "/good/ann", 10) == {200: 5, 429: 5}
        assert spend(port, "/calls/ann", 80) == {200: 80}
        for limit, granted in ((50, 0), (90, 10), (120, 30)):
            write(tmp_path, limit)
            after = len(started.lines)
            started.send(signal.SIGHUP)
            started.await_line("the policy was reloaded", after)
            assert spend(port, "/calls/ann", 40) == Counter({200: granted, 429: 40 - granted}) - Counter()


def command(folder: Path, *arguments: str, code: int = 0) -> list[str]:
    """What `polgate quota` prints beside the daemon of this folder."""
    done = subprocess.run(
        [sys.executable, "-m", "runtime.main", "quota", *arguments], cwd=folder, capture_output=True, text=True,
        timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return (done.stdout + done.stderr).splitlines()


def shown(folder: Path, *arguments: str) -> dict[str, Any]:
    (line,) = command(folder, *arguments, "--format", "json")
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_operator_reads_and_changes_what_is_used(tmp_path: Path) -> None:
    write(tmp_path, 100)
    with polgate(tmp_path) as started:
        port = started.ready()
        assert command(tmp_path, "list") == ["good  by month in UTC", "plan  by month in Europe/Istanbul"]
        assert "nothing was used" in command(tmp_path, "show", "plan", "ann", code=1)[0]
        assert command(tmp_path, "show", "plan") == []
        spend(port, "/calls/ann", 30)
        spend(port, "/calls/bob", 3)
        found = shown(tmp_path, "show", "plan", "ann")
        assert (found["key"], found["used"], found["left"], found["limit"]) == ("ann", 30, 70, 100)
        lines = command(tmp_path, "show", "plan")
        assert [line.partition(",")[0] for line in lines] == [
            '"ann"  30 of 100 used in this month', '"bob"  3 of 100 used in this month',
        ]  # fmt: skip
        assert shown(tmp_path, "set", "plan", "ann", "95")["used"] == 95
        assert spend(port, "/calls/ann", 10) == {200: 5, 429: 5}
        assert shown(tmp_path, "add", "plan", "ann", "7")["left"] == 7
        assert spend(port, "/calls/ann", 10) == {200: 7, 429: 3}
        assert shown(tmp_path, "reset", "plan", "ann")["used"] == 0
        assert spend(port, "/calls/ann", 110) == {200: 100, 429: 10}
        assert shown(tmp_path, "set", "plan", "cyd", "99")["limit"] is None
        assert spend(port, "/calls/cyd", 3) == {200: 1, 429: 2}
        assert "no quota `plans`" in command(tmp_path, "show", "plans", "ann", code=1)[0]
        kill_all(started)
    with polgate(tmp_path) as started:
        assert left(started.ready(), "ann") == 0
        assert left(started.ports()[0], "bob") == 97
