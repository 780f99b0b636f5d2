"""A daemon under attack, measured from outside, while a good client must notice nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from daemons import ROOT, WAIT, Daemon, daemon, eventually

SOAK = bool(os.environ.get("POLGATE_SOAK"))
"""Whether tests run in their long forms."""
LATENCY = 0.25 if SOAK else 2.5
"""Seconds that 99 in 100 of the good client's requests may take. The short forms run beside other work."""
PAGE = resource.getpagesize()
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20

POLICY = """
gateway {
    listen "127.0.0.1:0"LISTENER
    access_log "access.log"
    SETTINGS
}

upstream good { server "http://127.0.0.1:GOOD" }

service good "/good/**" { route good }
service here "/here/{id}" { respond 200, body: path.id }
"""


class Gate:
    """A running gateway with one worker. `before`: its memory when it had served a little."""

    def __init__(self, started: Daemon) -> None:
        self.started = started
        self.port = started.ready()
        assert len(started.children()) == 1, started.lines
        (self.worker,) = started.children()
        self.tls_port = started.ports()[-1]  # of the second listener, if there is one
        self.before = 0

    def resident(self) -> int:
        """Bytes of memory of the worker."""
        return int(Path(f"/proc/{self.worker}/statm").read_text().split()[1]) * PAGE

    def growth(self) -> int:
        return self.resident() - self.before

    def processor(self) -> float:
        """Seconds of processor time that the worker has used."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.worker}/fd"))

    def connect(self, receive_buffer: int = 0, tls: bool = False) -> socket.socket:
        one = socket.socket()
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.settimeout(WAIT)
        one.connect(("127.0.0.1" if not tls else "127.0.0.2", self.port if not tls else self.tls_port))
        return one

    def ask(self, data: bytes, timeout: float = WAIT) -> bytes:
        """Everything that comes back on a connection of its own until it is closed."""
        with self.connect() as one:
            one.settimeout(timeout)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                one.sendall(data)
            return everything(one)

    def end(self) -> None:
        """At once: what the connections of a test get as a farewell is another test's business."""
        workers = self.started.children()
        self.started.process.kill()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def check(self) -> None:
        """It is the worker that began, and nothing of what it said is a defect."""
        assert self.started.children() == [self.worker], self.started.lines[-5:]
        wrong = [line for line in self.started.lines if re.search(r"defect|Traceback|level=error|Fatal error", line)]
        assert not wrong, wrong[:3]


def everything(one: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while data := one.recv(1 << 16):
            said += data
    return said


class Good:
    """The good side's process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("goodside.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self.upstream = int(self._line())

    def _line(self) -> bytes:
        out: Any = self.process.stdout
        assert select.select([out], [], [], WAIT)[0], "the good side says nothing"
        line: bytes = out.readline()
        return line

    def _say(self, text: str) -> None:
        into: Any = self.process.stdin
        into.write(text.encode() + b"\n")
        into.flush()

    def begin(self, port: int) -> None:
        self._say(f"go {port}")

    def end(self) -> dict[str, Any]:
        self._say("stop")
        seen: dict[str, Any] = json.loads(self._line())
        return seen


@contextlib.contextmanager
def good_side() -> Iterator[Good]:
    good = Good()
    try:
        yield good
    finally:
        good.process.kill()
        good.process.communicate()


@contextlib.contextmanager
def gate(
    folder: Path, settings: str = "", more: str = "", good: Good | None = None, files: int = 0, second: str = ""
) -> Iterator[Gate]:
    """A gateway of its own. `settings` go into the gateway's block, `more` behind the policy.

    `files`: so many descriptors each of its processes may have. `second`: another listener.
    """
    text = POLICY.replace("LISTENER", f"\n    listen {second}" if second else "")
    text = text.replace("SETTINGS", settings).replace("GOOD", str(good.upstream if good is not None else 9))
    (folder / "policy.pol").write_text(text + more)
    command = ["-m", "runtime.main", "run", "policy.pol"]
    if files:
        words = ", ".join(map(repr, command))
        limit = f"resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))"
        command = ["-c", f"import os, resource, sys; {limit}; os.execv(sys.executable, [sys.executable, {words}])"]
    with daemon(command, folder) as started:
        made = Gate(started)
        for number in range(20):
            assert made.ask(b"GET /here/%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % number)
        made.before = made.resident()
        try:
            yield made
        finally:
            made.end()


@contextlib.contextmanager
def undisturbed(folder: Path, settings: str = "", more: str = "", **given: Any) -> Iterator[Gate]:
    """A gateway whose good client is asked at the end: no error, and its answers came soon."""
    with good_side() as good, gate(folder, settings, more, good, **given) as made:
        good.begin(made.port)
        time.sleep(0.3)
        made.before = made.resident()
        yield made
        seen = good.end()
        figure("good client", **seen)
        made.check()
        assert seen["answers"] > 20 and not seen["failed"], seen
        assert seen["p99"] < LATENCY, seen


def figure(what: str, **figures: Any) -> None:
    """Say what was measured (pytest shows it with -s)."""
    said = ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in figures.items())  # fmt: skip
    print(f"\n[{what}] {said}")


class Flood:
    """Many connections at once, watched without a thread each. `said`: what each was sent; `ended`: those closed."""

    def __init__(self, made: Gate) -> None:
        self.made = made
        self.open: dict[int, socket.socket] = {}
        self.said: dict[int, bytes] = {}
        self.ended: dict[int, float] = {}
        self._poll = select.epoll()

    def __enter__(self) -> Flood:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.open.values():
            one.close()
        self._poll.close()

    def add(self, count: int, data: bytes = b"", tls: ssl.SSLContext | bool | None = None) -> None:
        """`tls`: to the second listener; with a context the handshake is made."""
        for _ in range(count):
            one = self.made.connect(tls=bool(tls))
            if isinstance(tls, ssl.SSLContext):
                one = tls.wrap_socket(one, server_hostname="gate.example")
            one.setblocking(False)
            self.open[one.fileno()] = one
            self.said[one.fileno()] = b""
            self._poll.register(one, select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR)
            if data:
                one.send(data)

    def send(self, data: bytes) -> None:
        """To each that is open."""
        for one in list(self.open.values()):
            with contextlib.suppress(OSError):
                one.send(data)

    def await_words(self) -> None:
        """Until each has been sent something."""
        until = time.monotonic() + WAIT
        while not all(self.said.values()) and time.monotonic() < until:
            self.look(0.1)

    def look(self, seconds: float) -> None:
        """Take what comes for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for number, _ in self._poll.poll(left):
                one = self.open[number]
                try:
                    data = one.recv(1 << 16)
                except (BlockingIOError, ssl.SSLWantReadError):
                    continue
                except OSError:
                    data = b""
                self.said[number] += data
                if not data:
                    self._poll.unregister(number)
                    self.ended[number] = time.monotonic()
                    del self.open[number]
                    one.close()


def raise_file_limit(count: int) -> bool:
    """Whether this process may have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count <= hard or (hard == resource.RLIM_INFINITY and soft != hard and soft < count):
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= count


def settle(true: Callable[[], Any], what: str, within: float = WAIT) -> None:
    eventually(true, what, within)


@contextlib.contextmanager
def bad_side(raw: Path | None = None) -> Iterator[int]:
    """The port of an upstream that misbehaves as it is asked to."""
    command = [sys.executable, str(Path(__file__).with_name("badside.py")), *([str(raw)] if raw is not None else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], WAIT)[0], "the bad side says nothing"
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()
