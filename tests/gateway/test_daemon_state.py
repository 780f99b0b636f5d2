"""State in policies on a whole gateway: exact among its workers, there after a restart and after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemons import ROOT, WAIT, Daemon, ask, daemon
from state_rounds import SERVICES, check_all

POLICY = 'gateway {\n    listen "127.0.0.1:0"\n    workers 2\n    access_log "off"\n}\n' + SERVICES


@contextmanager
def started(folder: Path) -> Iterator[tuple[Daemon, int]]:
    (folder / "policy.pol").write_text(POLICY)
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder) as running:
        yield running, running.ready()


def command(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "runtime.main", "map", *words], cwd=folder, timeout=WAIT, check=True, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.stdout


def test_workers_agree_whoever_is_asked(tmp_path: Path) -> None:
    with started(tmp_path) as (_, port):
        check_all([port], "k", 25)


def test_what_was_acknowledged_outlives_the_processes(tmp_path: Path) -> None:
    with started(tmp_path) as (running, port):
        assert ask(port, "/put/ann")[0] == ask(port, "/once/id")[0] == 204
        assert [ask(port, "/guess/ann")[0] for _ in range(6)] == [403] * 5 + [429]
        assert ask(port, "/count/n") == (200, b"1")
        for pid in [running.process.pid, *running.children()]:
            os.kill(pid, signal.SIGKILL)
        running.wait()
    with started(tmp_path) as (running, port):
        assert json.loads(ask(port, "/get/ann")[1]) == {"user": "ann"}
        assert ask(port, "/once/id")[0] == 403
        assert ask(port, "/guess/ann?pin=right")[0] == 429
        assert ask(port, "/count/n") == (200, b"2")
        assert running.end() == 0
    with started(tmp_path) as (_, port):
        assert ask(port, "/get/ann")[0] == 200


def test_the_operator_ends_a_session_for_all_workers(tmp_path: Path) -> None:
    with started(tmp_path) as (_, port):
        assert ask(port, "/put/ann")[0] == 204
        assert command(tmp_path, "show", "sessions").startswith('"ann"  {"user": "ann"}  until ')
        assert command(tmp_path, "remove", "sessions", "ann") == "removed\n"
        assert [ask(port, "/get/ann")[0] for _ in range(8)] == [403] * 8
        command(tmp_path, "set", "sessions", "bob", '{"user": "bob"}')
        assert [json.loads(ask(port, "/get/bob")[1]) for _ in range(8)] == [{"user": "bob"}] * 8
