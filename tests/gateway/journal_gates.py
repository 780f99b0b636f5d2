"""A gateway with an upstream of its own whose journals are asked for."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from daemons import ROOT, WAIT, Daemon, daemon

from policylang.trace.reading import from_field
from runtime.admin.address import AdminAddress
from runtime.admin.client import ask as ask_admin

KEY, PASSWORD, SESSION, SECRET = "key-of-ann-1", "hunter2-hunter2", "s3ss10n-s3ss10n", "the-secret-itself"
PRIVATE = (KEY, PASSWORD, SESSION, SECRET)
POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers 2
    access_log "access.log"
}

map clients, file: "clients.json"

upstream back {
    server "http://127.0.0.1:BACK"
}

upstream nobody {
    server "http://127.0.0.1:NOBODY"
}

global after {
    set response.header["X-After"] = "1"
}

service hello "/hello/{name}" {
    let private signature = secret("SECRET")
    let size? = request.query.size
    require path.name != "nobody"
    api_key request.header["X-API-Key"], in: map("clients") -> caller
    require caller.contract == "gold"
    respond 200, body: "TEXT ${path.name}"
}

service up "/up/**" {
    route back
}

service down "/down" {
    route nobody
    on failure {
        respond 502, body: "sorry"
    }
}

service partner "/partner" {
    require same_secret(request.header["X-Partner"] ?? "", secret("SECRET"))
    respond 204
}

service more "/more" {
    set request.header["Polgate-Trace"] = "of the policy"
    mirror back
    route back
}
"""


class Back:
    """An upstream that keeps what it is sent, and says of journals what is not its business."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nPolgate-Journal: x\r\nPolgate-Trace: y\r\nX-Other: z\r\n\r\nok"

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._nobody = socket.socket()  # bound, and does not listen
        self._nobody.bind(("127.0.0.1", 0))
        self.nobody = self._nobody.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with one, contextlib.suppress(OSError):
            data = b""
            while piece := one.recv(65536):
                data += piece
                while b"\r\n\r\n" in data:
                    head, _, rest = data.partition(b"\r\n\r\n")
                    length = 4 if b"content-length: 4" in head.lower() else 0
                    if len(rest) < length:
                        break
                    self.heads.append(head)
                    data = rest[length:]
                    if b" /up/never " in head:
                        continue
                    one.sendall(self.ANSWER)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # who accepts is woken
        self._listening.close()
        self._nobody.close()


class Gateway:
    def __init__(self, running: Daemon, folder: Path, back: Back) -> None:
        self.running = running
        self.back = back
        self.folder = folder
        self.port = running.ready()
        self.admin = AdminAddress(path=str(folder / ".polgate" / "admin.sock"))

    def curl(self, path: str, *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1") -> bytes:
        """The answer as it comes, its head first, as `curl -i` prints it."""
        length = [f"Content-Length: {len(body)}"] if body else []
        lines = [f"{method} {path} HTTP/{version}", "Host: gate", "Connection: close", *length, *fields, "", ""]
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT) as one:
            one.sendall("\r\n".join(lines).encode("latin-1") + body)
            answer = b""
            while piece := one.recv(65536):
                answer += piece
            return answer

    def ask(self, path: str, id: str) -> None:
        self.curl(path, f"X-Request-ID: {id}", f"X-API-Key: {KEY}")

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run([sys.executable, "-m", "runtime.main", *words])

    def run(self, words: Sequence[str | Path], input: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False, input=input,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def token(self, *words: str) -> str:
        found = self.command("trace", "--token", *words)
        assert found.returncode == 0, found
        return found.stdout.strip()

    def change(self, old: str, new: str) -> None:
        policy = self.folder / "policy.pol"
        text = policy.read_text()
        assert old in text
        policy.write_text(text.replace(old, new))
        reload = self.command("reload")
        assert reload.returncode == 0, reload

    def policy(self) -> str:
        found: str = json.loads(ask_admin(self.admin, "GET", "/status")[2])["policy"]
        return found

    def states(self) -> list[str]:
        return [one["state"] for one in json.loads(ask_admin(self.admin, "GET", "/status")[2])["workers"]]

    @contextlib.contextmanager
    def following(self, expression: str = "", service: str = "") -> Iterator[Following]:
        query = {"expression": expression, "service": service}
        path = f"/trace?{urlencode({name: value for name, value in query.items() if value})}"
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(WAIT)
            one.connect(self.admin.path)
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            with one.makefile("rb") as lines:
                yield Following(lines)


class Following:
    """An open stream. It is there as soon as every worker follows."""

    def __init__(self, lines: Any) -> None:
        head = b""
        while (line := lines.readline()) not in (b"\r\n", b""):
            head += line
        self.status = int(head.split()[1])
        self.lines = lines

    def next(self) -> dict[str, Any]:
        """The next journal or note; empty at the end."""
        line = self.lines.readline()
        assert line != b"\n", "nothing has come for 15 s"
        found: dict[str, Any] = json.loads(line) if line else {}
        return found

    def ids(self, count: int) -> list[str]:
        return [self.next()["request"]["id"] for _ in range(count)]


def field(answer: bytes, name: str) -> str | None:
    """Of an answer's head; it stands there once at most."""
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    found = [value for each, _, value in (line.partition(": ") for line in lines) if each.lower() == name.lower()]
    assert len(found) <= 1, found
    return found[0] if found else None


def journal_of(answer: bytes) -> dict[str, Any]:
    value = field(answer, "Polgate-Journal")
    assert value is not None, answer
    return from_field(value)


@contextlib.contextmanager
def gateway(folder: Path, back: Back, workers: int = 2, setting: str = "") -> Iterator[Gateway]:
    text = POLICY.replace("BACK", str(back.port)).replace("NOBODY", str(back.nobody))
    text = text.replace("workers 2", f"workers {workers}\n    {setting}".rstrip())
    (folder / "policy.pol").write_text(text)
    (folder / "clients.json").write_text(json.dumps({KEY: {"id": "ann", "contract": "gold"}}))
    environ = {"SECRET": SECRET, "ADMIN_TOKEN": "sixteen-letters-and-more"}
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder, environ) as running:
        yield Gateway(running, folder, back)
