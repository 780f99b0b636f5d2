"""Too much of everything: heads, chunk extensions, pipelined requests, connections, answers that nobody reads."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from attack import MIB, SOAK, Flood, Gate, bad_side, figure, raise_file_limit, settle, undisturbed
from daemons import eventually

BOMBS = 50 if SOAK else 2
MORE = """
upstream bad {
    server "http://127.0.0.1:BAD"
    timeouts idle: 500ms
}
service bad "/bad/**" { route bad }
service body "/body", methods: ["POST"] {
    let text? = request.text
    respond 200, body: text ?? ""
}
"""


def more(bad: int = 9) -> str:
    return MORE.replace("BAD", str(bad))


def status(said: bytes) -> bytes:
    return said[9:12]


def test_header_bombs_and_chunk_extensions(tmp_path: Path) -> None:
    start = b"GET /here/1 HTTP/1.1\r\nHost: a\r\n"
    bombs = {
        "many fields": (start + b"".join(b"X-%d: y\r\n" % number for number in range(100_000)), b"431"),
        "long field": (start + b"X: " + b"y" * (4 << 20), b"431"),
        "long name": (start + b"X" * (4 << 20), b"431"),
        "complete": (start + b"a: b\r\n" * 101 + b"\r\n", b"431"),
        "request line": (b"GET /" + b"a" * (4 << 20), b"414"),
        "line of a good head": (b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
        "empty lines": (b"\r\n" * (2 << 20), b"431"),
        "chunk extensions": (
            b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * (18 << 20), b"400"
        ),
        "a little in each chunk": (
            b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"1;" + b"x" * 1000 + b"\r\na\r\n") * 18_000, b"400",
        ),
        "piped extensions": (
            b"POST /good/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * (18 << 20), b"400"
        ),
        "trailers": (
            b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * (3 << 20),
            b"400",
        ),
    }  # fmt: skip
    with undisturbed(tmp_path, more=more()) as made:
        used = made.processor()
        for name, (bomb, expected) in bombs.items():
            for _ in range(BOMBS):
                assert status(made.ask(bomb)) == expected, name
        figure("bombs", sent=BOMBS * len(bombs), seconds=made.processor() - used, MiB=made.growth() / MIB)
        assert made.growth() < 20 * MIB


def pour(one: socket.socket, data: bytes) -> int:
    """Send without waiting; how much was taken."""
    one.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < len(data):
            sent += one.send(data[sent : sent + (1 << 18)])
    return sent


def rests(made: Gate) -> bool:
    """Whether the worker has little to do."""
    used = made.processor()
    time.sleep(0.5)
    return made.processor() - used < 0.1


@pytest.mark.parametrize("path", [b"/here/" + b"p" * 500, b"/good/" + b"p" * 3000], ids=["here", "routed"])
def test_pipelined_requests_and_no_reader(tmp_path: Path, path: bytes) -> None:
    flood = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path * 3000
    count = 20 if SOAK else 8
    with undisturbed(tmp_path, more=more()) as made:
        wires = [made.connect(receive_buffer=4096) for _ in range(count)]
        sent = [pour(one, flood) for one in wires]
        until = time.monotonic() + (10 if SOAK else 0.5)
        growth = 0
        while time.monotonic() < until:
            sent = [done + pour(one, flood[done:]) for one, done in zip(wires, sent, strict=True)]
            growth = max(growth, made.growth())
            time.sleep(0.1)
        figure("pipelined", sent=sum(sent) // count, growth_KiB_each=growth // count // 1024)
        eventually(lambda: rests(made), "what nobody reads is left alone")
        assert growth < count * MIB
        # One of them reads after all, and gets every answer.
        one = wires[0]
        one.settimeout(20)
        got, left = 0, flood[sent[0] :]
        while got < 3000 and sent[0] + len(left) == len(flood):
            data = one.recv(1 << 16)
            assert data
            got += data.count(b"HTTP/1.1 200 OK\r\n")
            if left:
                left = left[pour(one, left) :]
                sent[0] = len(flood) - len(left)
                one.settimeout(20)
            if got >= 2990 and not left:
                break
        for wire in wires:
            wire.close()


def test_many_idle_connections(tmp_path: Path) -> None:
    count = 10_000 if SOAK else 1000
    if not raise_file_limit(count + 500):
        pytest.skip(f"this process may not open {count} files")
    with undisturbed(tmp_path, "limits connections: 20_000", more()) as made, Flood(made) as flood:
        made.before = made.resident()
        while len(flood.open) < count - 20:  # beside the good client's
            flood.add(min(200, count - 20 - len(flood.open)), b"GET /here/1 HTTP/1.1\r\nHost: a\r\n\r\n")
            flood.look(0.05)
        flood.await_words()
        wrong = {said[:12] for said in flood.said.values()} - {b"HTTP/1.1 200"}
        assert not wrong, wrong
        each = made.growth() / len(flood.open)
        used = made.processor()
        flood.look(5.0 if SOAK else 1.0)
        figure("idle", connections=len(flood.open), bytes_each=each, idle_processor=made.processor() - used)
        assert each < 12_000
        assert len(flood.open) == count - 20


def alone(made: Gate) -> bool:
    """Whether the misbehaving upstream has one connection, the one over which it is asked."""
    return made.ask(b"GET /bad/connections HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").endswith(b"\r\n\r\n1")


def test_slow_readers_and_readers_that_leave(tmp_path: Path) -> None:
    count = 100 if SOAK else 40
    with bad_side() as bad, undisturbed(tmp_path, more=more(bad)) as made:
        slow = [made.connect(receive_buffer=4096) for _ in range(count)]
        for number, one in enumerate(slow):
            one.sendall(b"GET /bad/%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"large/64" if number % 2 else b"endless"))
            # Until the kernel's buffers are full each is a fast download of some MB: not all of them at one moment.
            time.sleep(0.05 if SOAK else 0.005)
        time.sleep(5.0 if SOAK else 1.0)
        growth = made.growth()
        used = made.processor()
        time.sleep(0.5)
        assert made.processor() - used < 0.4  # nothing moves, and nothing spins
        for one in slow:
            assert one.recv(100).startswith(b"HTTP/1.1 200")
        figure("slow readers", connections=count, KiB_each=growth // count // 1024)
        assert growth < count * MIB
        for one in slow:
            one.close()
        settle(lambda: alone(made), "connections to the upstream stay open")


def test_half_closed_and_reset_clients_leave_nothing(tmp_path: Path) -> None:
    with bad_side() as bad, undisturbed(tmp_path, more=more(bad)) as made:
        for number in range(1000 if SOAK else 100):
            one = made.connect()
            one.sendall(b"GET /bad/endless HTTP/1.1\r\nHost: a\r\n\r\n" if number % 2 else b"POST /body HTTP/1.1\r\nHo")
            if number % 3 and number % 5:
                one.shutdown(socket.SHUT_WR)
            if number % 5 == 0 and number % 2:
                assert one.recv(100).startswith(b"HTTP/1.1 200")
            one.close()
        settle(lambda: alone(made), "connections to the upstream stay open")
