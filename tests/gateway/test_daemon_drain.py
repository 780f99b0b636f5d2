"""The end of a gateway, in the order that keeps a load balancer from sending to where nobody answers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from daemons import WAIT, Daemon, ask, daemon, eventually
from pace import Paced

POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers WORKERS
    access_log "off"
    admin "127.0.0.1:ADMIN"
    timeouts drain: 10s, drain_delay: DELAY
}

service hello "/hello" {
    respond 200, body: "one"
}
"""


def command(folder: Path, delay: str, admin: int, workers: int = 1) -> list[str]:
    text = POLICY.replace("DELAY", delay).replace("ADMIN", str(admin)).replace("WORKERS", str(workers))
    (folder / "policy.pol").write_text(text)
    return ["-m", "runtime.main", "run", "policy.pol"]


BY_POLICY = {"POLGATE_DRAIN_DELAY": ""}
"""Else the tests' own, none, stands over what the policy says."""


def refuses(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return False
    return True


def field(port: int, path: str, name: str) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    answer.read()
    connection.close()
    return answer.getheader(name)


def forced(started: Daemon) -> None:
    began = time.monotonic()
    assert started.end(signal.SIGINT) == 0
    assert time.monotonic() - began < 5


def test_the_load_balancer_hears_first_and_everybody_is_served(tmp_path: Path, free_port: Callable[[], int]) -> None:
    admin = free_port()
    with daemon(command(tmp_path, "60s", admin), tmp_path, BY_POLICY) as started:
        port = started.ready()
        kept = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        kept.request("GET", "/hello")
        answer = kept.getresponse()
        assert answer.read() == b"one" and answer.getheader("Connection") is None
        assert ask(admin, "/readyz")[0] == 200
        started.send(signal.SIGTERM)
        eventually(lambda: ask(admin, "/readyz")[0] == 503, "/readyz does not say so")
        assert ask(admin, "/livez")[0] == 200
        assert field(port, "/hello", "Connection") == "close", "a new connection is not served, or stays"
        kept.request("GET", "/hello")  # the idle one was not closed: its request may be on the way
        answer = kept.getresponse()
        assert answer.status == 200 and answer.getheader("Connection") == "close"
        kept.close()
        forced(started)


def test_a_worker_that_dies_meanwhile_is_replaced(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with daemon(command(tmp_path, "60s", free_port()), tmp_path, BY_POLICY) as started:
        port = started.ready()
        started.send(signal.SIGTERM)
        started.await_line("draining")
        os.kill(started.children()[0], signal.SIGKILL)
        assert field(port, "/hello", "Connection") == "close"
        forced(started)


def test_a_rolling_restart_loses_no_request(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """users.md 17: who asks while the old one drains is answered; who asks afterwards goes elsewhere."""
    with daemon(command(tmp_path, "1s", free_port(), workers=2), tmp_path, BY_POLICY) as started:
        port = started.ready()
        with Paced(port, "/hello", 300) as load:
            eventually(lambda: load.count > 50, "no load")
            began = time.monotonic()
            started.send(signal.SIGTERM)
            eventually(lambda: time.monotonic() - began > 0.8, "a clock that stands still")
        assert load.failures == [], "requests were lost while it still accepted"
        assert {status for status, _ in load.answers} == {200}
        assert started.wait() == 0
        assert refuses(port)


def test_off_a_terminal_it_accepts_for_15_s_more(tmp_path: Path) -> None:
    (tmp_path / "policy.pol").write_text(
        'gateway { listen "127.0.0.1:0" }\nservice a "/a" { respond 200, body: "a" }\n'
    )
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path, BY_POLICY) as started:
        port = started.ready()
        started.send(signal.SIGTERM)
        assert "for at most 45 s" in started.await_line("draining")
        assert ask(port, "/a") == (200, b"a")
        forced(started)


def test_polgate_drain_ends_it(tmp_path: Path) -> None:
    (tmp_path / "policy.pol").write_text('gateway { listen "127.0.0.1:0" }\nservice a "/a" { respond 200 }\n')
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as started:
        started.ready()
        with daemon(["-m", "runtime.main", "drain"], tmp_path) as asking:
            assert asking.wait() == 0
        assert started.wait() == 0
        assert "an operator asks" in started.await_line("draining")
