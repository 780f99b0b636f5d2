"""Connections that stall in their TLS handshake, or after it, cost little memory and are closed by their deadline.

200 of them; 1,000 with POLGATE_SOAK=1, which is what the promise (150 MB) is about.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from certificates import authority

STALLED = 1000 if os.environ.get("POLGATE_SOAK") else 200
EACH = 150_000_000 // 1000
DEADLINE = STALLED / 100 + 2.0


class Child:
    def __init__(self, port: int) -> None:
        self.port = port
        self.context = authority().client()
        self.asking = self.connect()

    def connect(self) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self.context.wrap_socket(raw, server_hostname="gate.example")

    def hello(self) -> bytes:
        """The first flight of a client."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.context.wrap_bio(incoming, outgoing, server_hostname="gate.example")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        return outgoing.read()

    def memory(self) -> dict[str, int]:
        self.asking.sendall(b"GET /memory HTTP/1.1\r\nHost: gate.example\r\n\r\n")
        said = b""
        while not said.endswith(b"}"):
            data = self.asking.recv(65536)
            assert data, "the gateway has closed"
            said += data
        found: dict[str, int] = json.loads(said.partition(b"\r\n\r\n")[2])
        return found

    def until(self, name: str, wanted: int) -> dict[str, int]:
        deadline = time.monotonic() + 20
        while (found := self.memory())[name] != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found[name] == wanted, found
        return found


@pytest.fixture
def child() -> Iterator[Child]:
    pair = authority().issue("gate.example", file="gate")
    command = [sys.executable, str(Path(__file__).parent / "secure_child.py"), *pair, str(DEADLINE)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield Child(int(process.stdout.readline()))
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_stalled_connections_are_small_and_end(child: Child) -> None:
    for _ in range(3):
        with child.connect() as warm:
            warm.sendall(b"GET /memory HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n")
            assert warm.recv(4096)
    before = child.memory()
    raw: list[Any] = []
    for number in range(STALLED // 2):
        one = socket.create_connection(("127.0.0.1", child.port), timeout=20)
        hello = child.hello()
        # Nothing at all, a part of the first flight, or all of it: then the gateway waits with its own flight sent.
        one.sendall((b"", hello[:100], hello, hello)[number % 4])
        raw.append(one)
    within = child.until("handshakes", len(raw))
    done = [child.connect() for _ in range(STALLED // 2)]
    for secure in done:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: gate.example\r\nX-Slow: " + b"x" * 500)
    after = child.until("connections", len(done) + 1)
    assert within["resident"] - before["resident"] < len(raw) * EACH
    assert after["resident"] - before["resident"] < STALLED * EACH
    record = os.environ.get("POLGATE_FIGURES")
    if record:
        shaking = (within["resident"] - before["resident"]) / len(raw)
        opened = (after["resident"] - within["resident"]) / len(done)
        Path(record).write_text(f"{STALLED} stalled: {shaking:,.0f} bytes in a handshake, {opened:,.0f} after it\n")
    child.until("handshakes", 0)
    for one in raw:
        one.settimeout(20)
        try:
            while one.recv(65536):
                pass
        except ConnectionResetError:
            pass
        one.close()
    for secure in done:
        secure.close()
