"""The store under a real daemon: a worker that hangs with the lock in its hand, and the death of all at once."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from daemons import ROOT, WAIT, alive, ask, daemon, eventually

KILLS = 10 if os.environ.get("POLGATE_SOAK") else 1

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


KEEPING = """
gateway {
    listen "127.0.0.1:0"
    workers 2
}

map things, ttl: 1h

service put "/put/{id}" {
    store path.id, { id: path.id }, in: map("things")
    respond 200
}

service get "/get/{id}" {
    lookup path.id, in: map("things") -> thing
    respond 200, body: json(thing)
}
"""


def test_what_a_client_was_told_is_stored_is_there_after_every_process_was_killed(tmp_path: Path) -> None:
    (tmp_path / "policy.pol").write_text(KEEPING)
    command = ["-m", "runtime.main", "run", str(tmp_path / "policy.pol")]
    told: list[str] = []

    def put_many(number: int, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            for turn in range(10_000):
                name = f"{number}-{turn}"
                connection.request("GET", f"/put/{name}")
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    told.append(name)

    for _ in range(KILLS):
        with daemon(command, tmp_path) as started:
            port, before = started.ready(), len(told)
            clients = [threading.Thread(target=put_many, args=(before + number, port)) for number in range(8)]
            for client in clients:
                client.start()
            eventually(lambda before=before: len(told) > before + 300, "nobody is told")  # type: ignore[misc]
            workers = started.children()
            for pid in (*workers, started.process.pid):
                os.kill(pid, signal.SIGKILL)
            for client in clients:
                client.join()
            eventually(lambda workers=workers: not any(map(alive, workers)), "they live")  # type: ignore[misc]
    with daemon(command, tmp_path) as started:
        port = started.ready()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        with contextlib.closing(connection):
            for name in told:
                connection.request("GET", f"/get/{name}")
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, f'{{"id":"{name}"}}'.encode())
        assert started.end() == 0
    assert len(told) > 300 * KILLS
