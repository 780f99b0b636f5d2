"""Reloads under load, for long, over what is open; and policies that are read by themselves when they change."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

sys.path.insert(0, str(Path(__file__).parent))
from daemons import ROOT, WAIT, Daemon, alive, ask, daemon, eventually
from pace import Paced

SOAK = os.environ.get("POLGATE_SOAK") == "1"
RELOADS, RATE = (50, 1000) if SOAK else (5, 300)

POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers WORKERS
    access_log "off"
}

EXTRA

upstream echo {
    server "http://127.0.0.1:UPSTREAM"
}

service hello "/hello" {
    respond 200, body: "TEXT"
}

service echo "/echo" {
    route echo
    set response.header["X-Policy"] = "TEXT"
}
"""


MANY = "".join(
    f"""
service more_{number} "/more/{number}/{{id}}" {{
    match request.header["X-Tier"] {{
        "gold" -> rate_limit {number + 10}/s, per: path.id
        "tin" -> rate_limit {number + 1}/s, per: [path.id, client.ip]
        else -> require path.id matches r"[a-z]{{1,9}}" and request.query.page != "{number}"
    }}
    respond 200, body: "${{path.id}} of {number}"
}}
"""
    for number in range(100 if SOAK else 20)
)


def write(folder: Path, text: str, workers: int = 1, upstream: int = 9, extra: str = "") -> None:
    source = POLICY.replace("WORKERS", str(workers)).replace("UPSTREAM", str(upstream)).replace("EXTRA", extra)
    (folder / "policy.pol").write_text(source.replace("TEXT", text))


@contextmanager
def polgate(folder: Path, *flags: str) -> Iterator[Daemon]:
    with daemon(["-m", "runtime.main", "run", *flags, "policy.pol"], folder) as started:
        yield started


def command(folder: Path, *arguments: str, code: int | None = 0) -> str:
    """A command of polgate's beside the daemon that runs in this folder."""
    done = subprocess.run(
        [sys.executable, "-m", "runtime.main", *arguments], cwd=folder, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def status(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(command(folder, "status", "--format", "json", code=None))
    return found


def resident(pid: int) -> int:
    """Bytes of a process's own memory: what it shares with others is not counted."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Private_"))


def open_files(started: Daemon) -> int:
    """Of the supervisor and its workers."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (started.process.pid, *started.children()))


class Echo:
    """An upstream that switches protocols and then sends back what it is sent."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.connected = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self.listening.accept()
            except OSError:
                return
            self.connected += 1
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    @staticmethod
    def _serve(one: socket.socket) -> None:
        with one:
            one.settimeout(WAIT)
            head = b""
            try:
                while b"\r\n\r\n" not in head:
                    head += one.recv(4096) or b"\r\n\r\n"
                if b"upgrade: echo" not in head.lower():
                    one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nidle")
                    return
                one.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
                while data := one.recv(4096):
                    one.sendall(data)
            except OSError:
                pass

    def close(self) -> None:
        self.listening.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    upstream = Echo()
    yield upstream
    upstream.close()


def upgraded(port: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
    one.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        data = one.recv(4096)
        assert data, head
        head += data
    assert head.startswith(b"HTTP/1.1 101 "), head
    return one


def said(one: socket.socket, text: bytes) -> bytes:
    one.sendall(text)
    return one.recv(4096)


def test_reloads_under_load_lose_nothing_and_leave_nothing_behind(tmp_path: Path, echo: Echo) -> None:
    write(tmp_path, "0", workers=2, upstream=echo.port, extra=MANY)
    with polgate(tmp_path) as started:
        port = started.ready()
        workers = started.children()
        tunnel = upgraded(port)
        assert said(tunnel, b"before") == b"before"
        sizes: list[int] = []
        files = open_files(started)
        with Paced(port, "/hello", RATE) as load:
            for number in range(1, RELOADS + 1):
                after = load.count
                write(tmp_path, str(number), workers=2, upstream=echo.port, extra=MANY)
                command(tmp_path, "reload")
                assert said(tunnel, b"still %d" % number) == b"still %d" % number
                eventually(lambda after=after: load.count > after + RATE // 10, "the load stands still")  # type: ignore[misc]
                if number in (RELOADS * 2 // 5, RELOADS):
                    sizes.append(sum(map(resident, [started.process.pid, *workers])))
        assert load.failures == []
        bodies = {body for _, body in load.answers}
        assert {status for status, _ in load.answers} == {200}
        assert bodies == {str(number).encode() for number in range(RELOADS + 1)}, "a policy was never served"
        assert load.dropped == 0, "connections were closed"
        assert started.children() == workers
        assert said(tunnel, b"after") == b"after"
        # The admin listener opens each worker's counters when it first looks at them, and once more.
        eventually(lambda: open_files(started) <= files + 10, f"many more than {files} files are open")
        tunnel.close()
        print(f"{load.count} requests, slowest {load.slowest * 1000:.0f} ms, memory {sizes}")
        if SOAK:
            assert sizes[1] - sizes[0] < 3 * 2_000_000, f"three processes grew from {sizes[0]} to {sizes[1]} bytes"


def ready(admin: int) -> int:
    """How many workers are, as the admin listener has it."""
    workers = json.loads(ask(admin, "/status")[1])["workers"]
    return sum(worker["state"] == "ready" for worker in workers)


def test_a_worker_killed_under_load_takes_only_what_it_held(tmp_path: Path, free_port: Callable[[], int]) -> None:
    write(tmp_path, "one", workers=2)
    admin, place = free_port(), tmp_path / "policy.pol"
    place.write_text(place.read_text().replace('"off"', f'"off"\n    admin "127.0.0.1:{admin}"'))
    with polgate(tmp_path) as started:
        port = started.ready()
        victim = started.children()[0]
        with Paced(port, "/hello", RATE) as load:
            eventually(lambda: load.count > RATE // 2, "no load")
            killed = time.monotonic()
            os.kill(victim, 9)
            eventually(lambda: ready(admin) == 2 and not alive(victim), "not replaced")
            replaced = time.monotonic() - killed
            after = load.count
            eventually(lambda: load.count > after + RATE, "the load stands still")
            assert json.loads(ask(admin, "/status")[1])["restarts"] == 1
        # What it was answering at that moment, and what it had accepted and not yet read.
        assert len(load.failures) <= 16, load.failures
        assert all(began < killed + 0.5 for began, _ in load.failures), load.failures
        print(
            f"{len(load.failures)} of {load.count} requests failed, slowest {load.slowest * 1000:.0f} ms, "
            f"replaced after {replaced:.2f} s"
        )
        assert replaced < 10 and load.slowest < 10


def test_a_reload_says_what_came_of_it(tmp_path: Path) -> None:
    write(tmp_path, "one")
    with polgate(tmp_path) as started:
        port = started.ready()
        before = status(tmp_path)
        assert before["last_reload"] is None
        write(tmp_path, "two")
        assert command(tmp_path, "reload").startswith("every worker serves policy ")
        assert ask(port, "/hello") == (200, b"two")
        (tmp_path / "policy.pol").write_text('service a "/" {\n    rspond 200\n}\n')
        told = command(tmp_path, "reload", code=1)
        assert "there is no assertion `rspond`" in told and "policy.pol:2:5" in told
        (tmp_path / "policy.pol").unlink()
        assert "cannot read `policy.pol`" in command(tmp_path, "reload", code=1)
        after = status(tmp_path)
        assert after["policy"] != before["policy"] and ask(port, "/hello") == (200, b"two")
        last = after["last_reload"]
        assert isinstance(last, dict) and last["ok"] is False and "policy.pol" in last["text"]


def test_options_of_a_listener_change_without_closing_it(tmp_path: Path) -> None:
    write(tmp_path, "one")
    good = (tmp_path / "policy.pol").read_text()
    with polgate(tmp_path) as started:
        port = started.ready()
        kept = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        proxied = good.replace('listen "127.0.0.1:0"', 'listen "127.0.0.1:0", proxy_protocol: true')
        (tmp_path / "policy.pol").write_text(proxied)
        command(tmp_path, "reload")
        kept.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert kept.recv(4096).startswith(b"HTTP/1.1 200 "), "a connection that was open takes the new options"
        kept.close()
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as one:
            one.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
        (tmp_path / "policy.pol").write_text(good)
        command(tmp_path, "reload")
        assert ask(port, "/hello") == (200, b"one")
        assert started.ports() == [port]


def test_a_listener_takes_up_tls_without_closing(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "pair.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    write(tmp_path, "one")
    good = (tmp_path / "policy.pol").read_text()
    with polgate(tmp_path) as started:
        port = started.ready()
        plain = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        (tmp_path / "policy.pol").write_text(good.replace('"127.0.0.1:0"', '"127.0.0.1:0", cert: "pair.pem"'))
        command(tmp_path, "reload")
        raw = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as secure:
            secure.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            assert secure.recv(4096).startswith(b"HTTP/1.1 200 ")
        plain.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        assert plain.recv(4096).startswith(b"HTTP/1.1 200 "), "a connection that was open is not what it was"
        plain.close()
        assert status(tmp_path)["listeners"] == [f"https://127.0.0.1:{port}"]


def test_a_certificate_that_cannot_be_read_keeps_the_policy(tmp_path: Path) -> None:
    write(tmp_path, "one")
    good = (tmp_path / "policy.pol").read_text()
    with polgate(tmp_path) as started:
        port = started.ready()
        (tmp_path / "policy.pol").write_text(good.replace('"127.0.0.1:0"', '"127.0.0.1:0", cert: "absent.pem"'))
        told = command(tmp_path, "reload", code=1)
        assert "absent.pem" in told
        assert ask(port, "/hello") == (200, b"one")


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    write(tmp_path, "one")
    with polgate(tmp_path) as started:
        started.ready()
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "runtime.main", "status"], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE,
            timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        os.close(writer)
        assert (done.returncode, done.stderr) == (0, b"")


# --- by itself -------------------------------------------------------------------------------------


def test_changes_are_taken_up_by_themselves(tmp_path: Path) -> None:
    """A map, a file that is wrong for a while, an editor that puts a new file in the place of the old one."""
    use = 'map names, file: "names.json"'
    write(tmp_path, 'now ${map(\\"names\\").a}'.replace("\\", ""), extra=use)
    (tmp_path / "policy.pol").write_text(
        'gateway { listen "127.0.0.1:0" }\nmap names, file: "names.json"\n'
        'service hello "/hello" {\n    let entry = map("names")["a"]\n    respond 200, body: "${entry.text}"\n}\n'
    )
    (tmp_path / "names.json").write_text('{"a": {"text": "one"}}')
    with polgate(tmp_path, "--watch") as started:
        port = started.ready()
        assert ask(port, "/hello") == (200, b"one")
        (tmp_path / "names.json").write_text('{"a": {"text": "two"}}')
        eventually(lambda: ask(port, "/hello")[1] == b"two", "a map is not watched")
        after = len(started.lines)
        (tmp_path / "names.json").write_text('{"a": ')
        started.await_line("not reloaded, the old one goes on", after)
        started.await_line("names.json", after)
        assert ask(port, "/hello") == (200, b"two")
        (tmp_path / "names.json").unlink()
        started.await_line("there is no file", after)
        assert ask(port, "/hello") == (200, b"two")
        (tmp_path / "new.json").write_text('{"a": {"text": "six"}}')
        (tmp_path / "new.json").replace(tmp_path / "names.json")
        eventually(lambda: ask(port, "/hello")[1] == b"six", "a file in the place of another is not seen")


def test_a_configmap_that_changes_is_taken_up(tmp_path: Path) -> None:
    for number, text in enumerate(("one", "two")):
        (tmp_path / f"..2026_{number}").mkdir()
        write(tmp_path / f"..2026_{number}", text)
    (tmp_path / "..data").symlink_to("..2026_0")
    (tmp_path / "policy.pol").symlink_to("..data/policy.pol")
    with polgate(tmp_path, "--watch") as started:
        port = started.ready()
        assert ask(port, "/hello") == (200, b"one")
        (tmp_path / "..data_tmp").symlink_to("..2026_1")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        eventually(lambda: ask(port, "/hello")[1] == b"two", "the link's new target is not seen")
