"""Daemons under test: started with a deadline, watched through their standard error, always ended by their own id."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
WAIT = 20.0
"""Seconds: the deadline of every wait here; generous, since other work may share the machine."""


class Daemon:
    """A process whose standard error is read line by line as it comes."""

    def __init__(
        self, command: Sequence[str], cwd: Path, environ: dict[str, str] | None = None, passed: Sequence[int] = ()
    ) -> None:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        env = {
            **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "POLGATE_DRAIN_DELAY": "0s",
            **(environ or {}),
        }  # fmt: skip
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=passed,
        )  # fmt: skip
        self.lines: list[str] = []
        self.output: list[str] = []
        self._news = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, kept), daemon=True)
            for stream, kept in ((self.process.stderr, self.lines), (self.process.stdout, self.output))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, kept: list[str]) -> None:
        for line in stream:
            with self._news:
                kept.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._news.notify_all()

    def await_line(self, text: str, after: int = 0, among: list[str] | None = None) -> str:
        """The first line with that text among those from number `after` on."""
        lines = self.lines if among is None else among
        deadline = time.monotonic() + WAIT
        with self._news:
            while True:
                for line in lines[after:]:
                    if text in line:
                        return line
                left = deadline - time.monotonic()
                assert left > 0, f"no line with {text!r} in:\n" + "\n".join(lines)
                self._news.wait(min(left, 0.2))

    def ports(self) -> list[int]:
        return [int(line.rpartition(":")[2]) for line in self.lines if line.startswith("listening on ")]

    def ready(self) -> int:
        """Wait until it serves; gives the first port."""
        self.await_line("ready")
        return self.ports()[0]

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its exit status."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        status = self.process.wait(timeout=WAIT)
        for reader in self._readers:
            reader.join(timeout=WAIT)
        return status

    def children(self) -> list[int]:
        """Its workers' process ids."""
        with contextlib.suppress(FileNotFoundError):
            pid = self.process.pid
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []


@contextlib.contextmanager
def daemon(
    command: Sequence[str], cwd: Path, environ: dict[str, str] | None = None, passed: Sequence[int] = ()
) -> Iterator[Daemon]:
    """`passed`: descriptors that the process inherits."""
    started = Daemon([sys.executable, *command], cwd, environ, passed)
    try:
        yield started
    finally:
        workers = started.children()
        if started.process.poll() is None:
            started.process.kill()
        started.wait()
        for pid in workers:
            eventually(lambda pid=pid: not alive(pid), f"worker {pid} outlives its supervisor")  # type: ignore[misc]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends between opening and reading
        return False


def eventually(true: Callable[[], Any], what: str, within: float = WAIT) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.01)


def ask(port: int, path: str = "/", timeout: float = WAIT, **headers: str) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()


def ask_json(port: int, path: str = "/") -> dict[str, Any]:
    status, body = ask(port, path)
    assert status == 200, (status, body)
    answer: dict[str, Any] = json.loads(body)
    return answer
