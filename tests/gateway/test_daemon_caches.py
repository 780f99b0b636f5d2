"""A whole gateway with a cache: its workers share what is kept, a reload keeps it, log and metrics tell of it."""

from __future__ import annotations

import http.client
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from daemons import WAIT, daemon, eventually
from prometheus import parse

from runtime.admin.address import AdminAddress
from runtime.admin.client import ask as ask_admin

POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers 2
    access_log "access.log"
}

upstream up { server "http://127.0.0.1:PORT" }

service pages "/pages/{id}" {
    cache ttl: 10m { route up }
}
"""


class Counting(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Counted)
        self.seen: list[str] = []
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def end(self) -> None:
        self.shutdown()
        self.thread.join(WAIT)
        self.server_close()


class Counted(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Counting = self.server  # type: ignore[assignment]
        server.seen.append(self.path)
        self.send_response(200)
        body = f"{self.path} {len(server.seen)}".encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - so the standard library calls it

    def log_message(self, *_: object) -> None:
        pass


def ask(port: int, path: str, method: str = "GET") -> tuple[str, str]:
    """A request on a connection of its own: what Cache-Status says, and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return (answer.getheader("Cache-Status") or "").partition("; ttl")[0], body
    finally:
        connection.close()


def test_workers_share_what_is_kept_and_a_reload_keeps_it(tmp_path: Path) -> None:
    origin = Counting()
    try:
        policy = POLICY.replace("PORT", str(origin.server_port))
        (tmp_path / "policy.pol").write_text(policy)
        with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as gate:
            port = gate.ready()
            assert ask(port, "/pages/1") == ("polgate; fwd=uri-miss; stored", "/pages/1 1")
            for _ in range(20):  # connections of their own: both workers are asked
                assert ask(port, "/pages/1") == ("polgate; hit", "/pages/1 1")
            (tmp_path / "policy.pol").write_text(policy + "# changed\n")
            before = len(gate.lines)
            gate.send(signal.SIGHUP)
            gate.await_line("reloaded", before)
            assert ask(port, "/pages/1") == ("polgate; hit", "/pages/1 1")
            assert origin.seen == ["/pages/1"]
            assert ask(port, "/pages/1", "POST")[0] == "polgate; fwd=method"
            eventually(lambda: ask(port, "/pages/1")[1] == "/pages/1 3", "it is not forgotten")
            for _ in range(20):
                eventually(lambda: ask(port, "/pages/1") == ("polgate; hit", "/pages/1 3"), "one worker knows better")

            def counted() -> dict[str, float]:
                address = AdminAddress(path=str(tmp_path / ".polgate" / "admin.sock"))
                family = parse(ask_admin(address, "GET", "/metrics")[2]).get("polgate_cache_total")
                if family is None:
                    return {}
                return {dict(labels)["outcome"]: times for (_, labels), times in family.samples.items()}

            eventually(lambda: counted().get("hit", 0) >= 41, "the hits are not counted")
            found = counted()
            assert (found["method"], found["stored"]) == (1, len(origin.seen) - 1)
            assert gate.end() == 0
        said = [json.loads(line).get("cache") for line in (tmp_path / "access.log").read_text().splitlines()]
        assert said.count("method") == 1 and said.count("stored") == len(origin.seen) - 1
        assert set(said) == {"hit", "stored", "method"}
    finally:
        origin.end()
