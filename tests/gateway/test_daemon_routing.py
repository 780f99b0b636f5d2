"""A policy's own choices of upstream, in a gateway as it runs: hash, canary, copies, circuits over a reload."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from daemons import ask, daemon, eventually

POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers 1
    access_log "off"
}

upstream hashed {
    balance hash, on: request.header["X-Key"] ?? "none"
    server "http://127.0.0.1:ONE"
    server "http://127.0.0.1:TWO"
}

upstream one {
    server "http://127.0.0.1:ONE"
}

upstream two {
    server "http://127.0.0.1:TWO"
}

service hashed "/hashed" {
    route hashed
}

service canary "/canary" {
    split by: request.header["X-Key"] ?? "none" {
        50 -> route one
        50 -> route two
    }
}

service copied "/copied" {
    mirror two, path: "/copy", query: { key: request.header["X-Key"] }
    route one
}

service broken "/broken" {
    circuit_breaker requests: 2, errors: 1, pause: 5m {
        route one, path: "/status/500"
    }
}
"""
KEYS = [f"key-{number}" for number in range(32)]  # all on one side once in two billion runs


@contextmanager
def origin(name: str) -> Iterator[tuple[int, list[str]]]:
    """Says its name, or the status that `/status/…` asks for; its port, and the targets it was asked for."""
    targets: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            targets.append(self.path)
            asked = re.match(r"/status/(\d+)", self.path)
            self.send_response(int(asked[1]) if asked else 200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield server.server_address[1], targets
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def test_hash_canary_copies_and_circuits(tmp_path: Path) -> None:
    with origin("one") as (first, _), origin("two") as (second, copies):
        policy = POLICY.replace("ONE", str(first)).replace("TWO", str(second))
        (tmp_path / "policy.pol").write_text(policy)
        with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as gateway:
            port = gateway.ready()
            chosen = {
                path: [ask(port, path, X_Key=key)[1] for key in KEYS] for path in ("/hashed", "/canary")
            }  # fmt: skip
            assert all(set(names) == {b"one", b"two"} for names in chosen.values()), chosen

            assert ask(port, "/copied", X_Key="a b") == (200, b"one")
            eventually(lambda: "/copy?key=a+b" in copies, f"no copy has come: {copies}")

            assert [ask(port, "/broken")[0] for _ in range(3)] == [500, 500, 503]
            (tmp_path / "policy.pol").write_text(policy + '\nservice more "/more" { respond 200 }\n')
            gateway.send(signal.SIGHUP)
            eventually(lambda: ask(port, "/more")[0] == 200, "the policy was not loaded again")
            status, body = ask(port, "/broken")
            assert (status, json.loads(body)["type"]) == (503, "urn:polgate:circuit-open")
            for path, names in chosen.items():
                assert [ask(port, path, X_Key=key)[1] for key in KEYS] == names
            assert gateway.end() == 0


