"""The store under a real daemon: what a worker that hangs with the store's lock in its hand does to the others."""

from __future__ import annotations

import contextlib
import http.client
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from daemons import ROOT, ask, daemon, eventually

POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers 3
}

service counted "/counted" {
    rate_limit 100_000/s
    respond 200
}
"""

# Python imports a module of this name at every start. Whoever finds the file stops between begin and commit.
STOPPING = """
import os, signal
import policylang.sdk.window as window

plain = window.admit_window

def stopping(*arguments):
    try:
        os.unlink(os.environ["STOP_HERE"])
    except FileNotFoundError:
        pass
    else:
        os.kill(os.getpid(), signal.SIGSTOP)
    return plain(*arguments)

window.admit_window = stopping
"""


def test_a_worker_stopped_in_a_transaction_is_killed_and_no_other_is(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STOPPING)
    (tmp_path / "policy.pol").write_text(POLICY)
    stop_here = tmp_path / "stop-here"
    environ = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "STOP_HERE": str(stop_here)}
    with daemon(["-m", "runtime.main", "run", str(tmp_path / "policy.pol")], tmp_path, environ) as started:
        port = started.ready()
        before = set(started.children())
        done = threading.Event()

        def load() -> None:
            while not done.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException):
                    ask(port, "/counted")

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            stop_here.touch()
            line = started.await_line("no sign of life")
            started.await_line("was killed by SIGKILL: another one starts")
            eventually(lambda: len(started.children()) == 3, "nobody takes its place")
            assert ask(port, "/counted")[0] == 200
        finally:
            done.set()
            for client in clients:
                client.join()
        (stopped,) = before - set(started.children())
        assert line.endswith(f"pid={stopped}")
        assert sum("no sign of life" in one for one in started.lines) == 1
