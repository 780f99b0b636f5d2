"""A whole gateway before servers that die: settings as a policy writes them, the machine's own clock, a reload."""

from __future__ import annotations

import http.server
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from daemons import WAIT, ask, daemon, eventually

POLICY = """
gateway {
    listen "127.0.0.1:0"
    access_log "off"
}

upstream main {
    BALANCE
    server "http://127.0.0.1:PORT0", weight: 2
    server "http://127.0.0.1:PORT1"
    server "http://127.0.0.1:PORT2", backup: true
    health "/up", every: 200ms, timeout: 2s, rise: 1, fall: 2
    outliers failures: 1000
    slow_start 500ms
    retries 2, statuses: [503], per_try: 5s
    circuit_breaker errors: 0.9, requests: 1000
    circuit_breaker per_server: true, errors: 0.9, requests: 1000
    connections 50, per_server: 20, queue: 10, wait: 1s
    timeouts head: HEAD
}

service whole "/**" { route main }
"""


class Named(http.server.ThreadingHTTPServer):
    """Answers with its number."""

    daemon_threads = True

    def __init__(self, name: int, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), NamedRequest)
        self.name = name
        self.well = True
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def end(self) -> None:
        self.shutdown()
        self.thread.join(WAIT)
        self.server_close()


class NamedRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        named: Any = self.server
        self.send_response(503 if self.path == "/up" and not named.well else 200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(str(named.name).encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def three() -> Iterator[list[Named]]:
    servers = [Named(number) for number in range(3)]
    yield servers
    for server in servers:
        server.end()


def said(port: int, count: int = 12) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(count):
        status, body = ask(port)
        found[body.decode() if status == 200 else str(status)] += 1
    return found


@pytest.mark.parametrize("balance", ["balance round_robin", "balance hash, on: [client.ip, request.path]"])
def test_servers_fall_ill_and_come_back_also_over_a_reload(tmp_path: Path, three: list[Named], balance: str) -> None:
    def policy(head: str) -> None:
        text = POLICY.replace("HEAD", head).replace("BALANCE", balance)
        for number, server in enumerate(three):
            text = text.replace(f"PORT{number}", str(server.server_port))
        (tmp_path / "policy.pol").write_text(text)

    policy("10s")
    first, second, backup = three
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as started:
        port = started.ready()
        usual = said(port)
        assert set(usual) <= {"0", "1"}
        if "hash" in balance:
            assert len(usual) == 1
        else:
            assert usual == {"0": 8, "1": 4}
        first.well = False
        eventually(lambda: said(port, 3) == {"1": 3}, "the first is ill, and still asked")
        after = len(started.lines)
        policy("11s")
        started.send(signal.SIGHUP)
        started.await_line("the policy was reloaded", after)
        assert said(port) == {"1": 12}, "that the first is ill was forgotten"
        second.well = False
        eventually(lambda: said(port, 3) == {"2": 3}, "no backup takes over")
        backup.well = False
        eventually(lambda: ask(port)[0] == 503, "all are ill")
        for server in three:
            server.well = True
        eventually(lambda: said(port) == usual, "they have not come back")
        assert started.end() == 0
