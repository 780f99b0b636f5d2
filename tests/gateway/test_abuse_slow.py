"""Clients that are slow on purpose: they are cut at their deadlines, cost little, and nobody else notices."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from attack import MIB, SOAK, Flood, figure, undisturbed

EACH = 1000 if SOAK else 300
DEADLINE = 10.0 if SOAK else 1.5
"""Seconds for a head. The long form has all defaults, so bodies have 10 s to show their rate."""
SETTINGS = "" if SOAK else "timeouts header: 1500ms, request: 2s"
LATEST = (14.0, 26.0) if SOAK else (3.5, 5.5)
"""When the last slow head, and the last slow body, must be gone: deadline, a tick, the farewell, and some load."""
MEMORY = 50 * MIB * (2 * EACH) // 2000

HEAD = b"GET /here/1 HTTP/1.1\r\nHost: slow.example\r\nX-Slow: "
BODIES = {
    "length": b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
    "chunked": b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n",
    "extension": b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=",
    "trailer": b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Last: ",
    "piped": b"POST /good/body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
}
MORE = """
service body "/body", methods: ["POST"] {
    let text? = request.text
    respond 200, body: text ?? ""
}
"""


def test_slow_heads_and_slow_bodies(tmp_path: Path) -> None:
    with undisturbed(tmp_path, SETTINGS, MORE) as made, Flood(made) as flood:
        began = time.monotonic()
        flood.add(EACH, HEAD)
        kinds = [kind for kind in BODIES if SOAK or kind != "piped"]
        for kind in kinds:
            flood.add(EACH // len(kinds), BODIES[kind])
        opened = time.monotonic()
        growth = 0
        while flood.open and time.monotonic() - opened < LATEST[1]:
            flood.look(0.5)
            flood.send(b"x")
            growth = max(growth, made.growth())
            if time.monotonic() - opened > LATEST[0]:
                heads = sum(said.startswith(b"HTTP/1.1 408") for said in flood.said.values())
                assert heads >= EACH, f"{heads} of {EACH} slow heads were answered"
        assert not flood.open, f"{len(flood.open)} are still open"
        figure("slow", connections=len(flood.said), seconds=time.monotonic() - began, MiB=growth / MIB)
        assert growth < MEMORY
        answered = sum(said.startswith((b"HTTP/1.1 408", b"HTTP/1.1 50")) for said in flood.said.values())
        assert answered == len(flood.said)
        assert min(flood.ended.values()) - began >= DEADLINE
    time.sleep(0)


@pytest.mark.skipif(not SOAK, reason="the long form")
def test_slow_heads_that_are_large(tmp_path: Path) -> None:
    """What is held of a head that does not end: its bytes and at most so many fields as it may have."""
    large = HEAD + b"x" * 8000 + b"\r\n" + b"a:\r\n" * 90 + b"X-Long: "
    with undisturbed(tmp_path, "", MORE) as made, Flood(made) as flood:
        flood.add(1000, large)
        growth = 0
        while flood.open:
            flood.look(0.5)
            flood.send(b"x")
            growth = max(growth, made.growth())
        figure("large slow heads", MiB=growth / MIB)
        assert growth < 60 * MIB
