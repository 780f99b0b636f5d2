"""Clients that are slow on purpose: they are cut at their deadlines, cost little, and nobody else notices."""

from __future__ import annotations

import ssl
import sys
import time
from pathlib import Path

import pytest
import trustme

sys.path.insert(0, str(Path(__file__).parent))
from attack import MIB, SOAK, Flood, Gate, figure, raise_file_limit, undisturbed

EACH = 1000 if SOAK else 200
DEADLINE = 10.0 if SOAK else 1.0
"""Seconds for a head. The long form has all defaults, so bodies have 10 s to show their rate."""
SETTINGS = "" if SOAK else "timeouts header: 1s, request: 1s"
LATEST = (14.0, 26.0) if SOAK else (6.0, 12.0)
"""When the last slow head, and the last slow body, must be gone: deadline, a tick, the farewell, and other work."""

SECOND = '"127.0.0.2:0", cert: "gate.pem"'
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


def attack(made: Gate, flood: Flood, each: int, tls: ssl.SSLContext | None = None) -> int:
    """Slow heads and slow bodies, `each` of them, until all are gone. Gives the growth of memory at its highest."""
    began = time.monotonic()
    flood.add(each, HEAD, tls)
    kinds = [kind for kind in BODIES if SOAK or kind != "piped"]
    for kind in kinds:
        flood.add(each // len(kinds), BODIES[kind], tls)
    opened = time.monotonic()
    growth = made.growth()
    while flood.open and time.monotonic() - opened < LATEST[1]:
        flood.look(0.5)
        flood.send(b"x")
        growth = max(growth, made.growth())
        if time.monotonic() - opened > LATEST[0]:
            heads = sum(said.startswith(b"HTTP/1.1 408") for said in flood.said.values())
            assert heads >= each, f"{heads} of {each} slow heads were answered"
    assert not flood.open, f"{len(flood.open)} are still open"
    figure("slow", connections=len(flood.said), seconds=time.monotonic() - began, MiB=growth / MIB)
    answered = sum(said.startswith((b"HTTP/1.1 408", b"HTTP/1.1 50")) for said in flood.said.values())
    assert answered == len(flood.said)
    assert min(flood.ended.values()) - began >= DEADLINE
    return growth


def test_slow_heads_and_slow_bodies(tmp_path: Path) -> None:
    raise_file_limit(2 * EACH + 500)
    with undisturbed(tmp_path, SETTINGS, MORE) as made, Flood(made) as flood:
        assert attack(made, flood, EACH) < 50 * MIB * EACH // 1000


def test_slow_heads_and_slow_bodies_over_tls(tmp_path: Path) -> None:
    each = 1000 if SOAK else 60
    authority = trustme.CA()
    certificate = authority.issue_cert("gate.example")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "gate.pem"))
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    with undisturbed(tmp_path, SETTINGS, MORE, second=SECOND) as made, Flood(made) as flood:
        assert attack(made, flood, each, tls) < 150 * MIB * each // 1000


def test_slow_handshakes(tmp_path: Path) -> None:
    """Who begins TLS and does not end it, or speaks something else, is gone when its time is over."""
    each = 1000 if SOAK else 60
    trustme.CA().issue_cert("gate.example").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "gate.pem"))
    settings = "" if SOAK else "timeouts handshake: 1s"
    with undisturbed(tmp_path, settings, MORE, second=SECOND) as made, Flood(made) as flood:
        began = time.monotonic()
        flood.add(each // 2, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", tls=True)
        flood.add(each // 2, tls=True)
        flood.add(each // 4, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", tls=True)
        growth = 0
        while flood.open and time.monotonic() - began < 15:
            flood.look(0.5)
            growth = max(growth, made.growth())
        assert not flood.open, f"{len(flood.open)} are still open"
        figure("slow handshakes", connections=len(flood.said), MiB=growth / MIB)
        assert growth < 75 * MIB * each // 1000


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
