"""`polgate run` as its users meet it: real processes, real sockets, real faults."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from daemons import ROOT, WAIT, Daemon, alive, ask, daemon, eventually

HELLO = """
gateway {
    listen "127.0.0.1:0"
    workers WORKERS
    access_log "LOG"
}

upstream slow {
    server "http://127.0.0.1:UPSTREAM"
}

service hello "/hello/{name}" {
    require path.name != "nobody"
    respond 200, body: "TEXT"
}

service counted "/counted" {
    rate_limit 20/hour, per: client.ip
    respond 200, body: "in"
}

service slow "/slow" {
    route slow
    set response.header["X-Policy"] = "TEXT"
}
"""


AT_ONCE = {**os.environ, "PYTHONPATH": str(ROOT), "POLGATE_DRAIN_DELAY": "0s"}


def policy(place: Path, text: str = "one", workers: int = 1, log: str = "stdout", upstream: int = 9) -> None:
    source = HELLO.replace("WORKERS", str(workers)).replace("LOG", log).replace("UPSTREAM", str(upstream))
    (place / "policy.pol").write_text(source.replace("TEXT", text))


@contextmanager
def polgate(folder: Path, *flags: str, environ: dict[str, str] | None = None, **changed: Any) -> Iterator[Daemon]:
    if not (folder / "policy.pol").exists():
        policy(folder, **changed)
    with daemon(["-m", "runtime.main", "run", "policy.pol", *flags], folder, environ) as started:
        yield started


class Held(http.server.ThreadingHTTPServer):
    """An upstream whose answers wait for `let_go`; `asked` counts the requests that have come."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HeldRequest)
        self.asked = self.connected = 0
        self.let_go = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def end(self) -> None:
        self.let_go.set()
        self.shutdown()
        self.thread.join(WAIT)
        self.server_close()


class HeldRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        held: Any = self.server
        held.connected += 1
        super().setup()

    def do_GET(self) -> None:
        held: Any = self.server
        held.asked += 1
        held.let_go.wait(WAIT)
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def held() -> Iterator[Held]:
    upstream = Held()
    yield upstream
    upstream.end()


class Asking:
    """A request on its way in a thread of its own."""

    def __init__(self, port: int, path: str) -> None:
        self.status = 0
        self.fields: dict[str, str] = {}
        self._thread = threading.Thread(target=self._ask, args=(port, path))
        self._thread.start()

    def _ask(self, port: int, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            answer = connection.getresponse()
            self.status, self.fields = answer.status, {name.lower(): value for name, value in answer.getheaders()}
            answer.read()
        connection.close()

    def wait(self) -> int:
        self._thread.join(WAIT)
        return self.status


def refuses(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return False
    return True


def reload(started: Daemon, word: str = "the policy was reloaded") -> str:
    after = len(started.lines)
    started.send(signal.SIGHUP)
    return started.await_line(word, after)


# --- the road --------------------------------------------------------------------------------------


def test_it_serves_logs_and_ends(tmp_path: Path) -> None:
    with polgate(tmp_path) as started:
        port = started.ready()
        assert ask(port, "/hello/ann") == (200, b"one")
        assert ask(port, "/hello/nobody")[0] == 403
        line = json.loads(started.await_line('"status":403', among=started.output))
        assert (line["service"], line["route"], line["path"]) == ("hello", "/hello/{name}", "/hello/nobody")
        assert (line["method"], line["client"], line["protocol"]) == ("GET", "127.0.0.1", "HTTP/1.1")
        assert line["verdict"][-1]["file"] == "policy.pol" and line["verdict"][-1]["outcome"] == "failed"
        source = (tmp_path / "policy.pol").read_text().splitlines()
        assert source[line["line"] - 1].strip().startswith("require") and line["assertion"] == "require"
        assert started.end() == 0
        assert [json.loads(line)["status"] for line in started.output] == [200, 403]
        assert started.lines[:2] == [f"listening on http://127.0.0.1:{port}", "ready"]


def test_a_request_that_no_rule_lets_in_is_logged(tmp_path: Path) -> None:
    with polgate(tmp_path) as started, socket.create_connection(("127.0.0.1", started.ready()), timeout=WAIT) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert json.loads(started.await_line('"status":400', among=started.output))["failure"]


def test_the_limit_is_exact_over_all_workers_and_outlives_a_reload(tmp_path: Path) -> None:
    with polgate(tmp_path, workers=2) as started:
        port = started.ready()
        answers = [ask(port, "/counted")[0] for _ in range(30)]
        assert answers == [200] * 20 + [429] * 10
        policy(tmp_path, "two", workers=2)
        reload(started)
        assert ask(port, "/counted")[0] == 429


def test_flags_stand_over_the_policy_and_the_environment_under_the_flags(tmp_path: Path) -> None:
    environ = {"POLGATE_WORKERS": "2", "POLGATE_LISTEN": "127.0.0.1:0 127.0.0.1:1"}
    with polgate(tmp_path, "--listen", "127.0.0.1:0", environ=environ, workers=1) as started:
        port = started.ready()
        assert len(started.ports()) == 1 and len(started.children()) == 2
        assert ask(port, "/hello/ann")[0] == 200


def test_the_usage_is_told(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "runtime.main", *arguments], cwd=tmp_path, capture_output=True, text=True,
            timeout=WAIT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    code, text = run("run", "--help")
    assert code == 0 and "--listen" in text and "POLGATE_" in text
    code, text = run("--version")
    assert code == 0 and text.startswith("polgate ")
    assert run()[0] == run("run")[0] == run("run", "--workers", "many", "x.pol")[0] == 2
    assert run("run", "--listen", "8080", "x.pol")[0] == 2
    code, text = run("run", "absent.pol")
    assert (code, text) == (2, "cannot read `absent.pol`: no such file or directory\n")
    (tmp_path / "bad.pol").write_text('service a "/" {\n    rat_limit 5/s\n    respond 200\n}\n')
    code, text = run("run", "bad.pol")
    assert code == 1 and "rat_limit" in text and "bad.pol:2" in text


def test_what_cannot_start_says_why_and_ends_with_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with polgate(tmp_path, "--listen", address) as started:
            assert started.wait() == 1
            assert "another program listens there" in started.lines[-1]
    with polgate(tmp_path) as first:
        first.ready()
        with polgate(tmp_path) as second:
            assert second.wait() == 1
            assert "another polgate" in second.lines[-1]
    policy(tmp_path, log="/no/such/folder/access.log")
    with polgate(tmp_path) as started:
        assert started.wait() == 1
        assert any("/no/such/folder/access.log" in line for line in started.lines)


def test_a_policy_from_standard_input(tmp_path: Path) -> None:
    policy(tmp_path)
    with (tmp_path / "policy.pol").open() as source:
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime.main", "run", "-"], cwd=tmp_path, stdin=source, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=AT_ONCE,
        )  # fmt: skip
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        assert lines[1] == "ready\n"
        assert ask(int(lines[0].rpartition(":")[2]), "/hello/ann") == (200, b"one")
    finally:
        process.terminate()
        assert process.wait(WAIT) == 0
        process.stderr.close()  # type: ignore[union-attr]


# --- faults ----------------------------------------------------------------------------------------


def test_a_worker_killed_under_load_is_replaced_and_others_do_not_notice(tmp_path: Path) -> None:
    with polgate(tmp_path, workers=2) as started:
        port = started.ready()
        kept = [http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT) for _ in range(8)]
        failed = 0
        victim = started.children()[0]
        for turn in range(40):
            if turn == 10:
                os.kill(victim, signal.SIGKILL)
            for connection in kept:
                try:
                    connection.request("GET", "/hello/ann")
                    assert connection.getresponse().read() == b"one"
                except (OSError, http.client.HTTPException):
                    failed += 1  # was kept by the dead worker: its next request opens another
                    connection.close()
        for connection in kept:
            connection.close()
        assert failed < 8, "the connections of the worker that lives were hit"
        assert ask(port, "/hello/ann") == (200, b"one")
        began = time.monotonic()
        eventually(lambda: len(started.children()) == 2 and victim not in started.children(), "not replaced")
        assert time.monotonic() - began < 10


def test_a_worker_that_stands_still_is_replaced(tmp_path: Path) -> None:
    with polgate(tmp_path, workers=1) as started:
        port = started.ready()
        (worker,) = started.children()
        os.kill(worker, signal.SIGSTOP)
        assert ask(port, "/hello/ann") == (200, b"one")
        assert not alive(worker)
        assert started.await_line("no sign of life")


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with polgate(tmp_path, workers=2) as started:
        started.ready()
        workers = started.children()
        assert len(workers) == 2
        started.send(signal.SIGKILL)
        eventually(lambda: not any(map(alive, workers)), "workers without a supervisor")


def test_a_log_that_nobody_reads_holds_up_nothing(tmp_path: Path) -> None:
    policy(tmp_path)
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime.main", "run", "policy.pol"], cwd=tmp_path, stdin=subprocess.DEVNULL,
        stdout=writer, stderr=subprocess.PIPE, env=AT_ONCE,
    )  # fmt: skip
    os.close(writer)
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        port = int(lines[0].rpartition(b":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        path = "/hello/" + "a" * 2000
        for _ in range(500):  # of 2,500 bytes a line: more than the pipe and what may wait for it
            connection.request("GET", path)
            assert connection.getresponse().read() == b"one"
        os.set_blocking(reader, False)
        data = b""

        def read() -> bool:
            nonlocal data
            with suppress(BlockingIOError):
                while piece := os.read(reader, 65536):
                    data += piece
            return b"lost_lines" in data

        eventually(read, "the loss is not told")
        connection.close()
        records = [json.loads(line) for line in data.splitlines()]
        lost = sum(record.get("lost_lines", 0) for record in records)
        assert lost > 0
    finally:
        process.terminate()
        assert process.wait(WAIT) == 0
        process.stderr.close()  # type: ignore[union-attr]
        os.close(reader)


# --- reload ----------------------------------------------------------------------------------------


def texts(port: int) -> set[bytes]:
    return {ask(port, "/hello/ann")[1] for _ in range(12)}


def test_a_bad_reload_keeps_the_old_policy_and_shows_the_mistake(tmp_path: Path) -> None:
    with polgate(tmp_path, workers=2) as started:
        port = started.ready()
        good = (tmp_path / "policy.pol").read_text()
        (tmp_path / "policy.pol").write_text(good.replace("rate_limit", "rat_limit"))
        reload(started, "rat_limit")
        started.await_line("the old one goes on")
        assert texts(port) == {b"one"}
        (tmp_path / "policy.pol").unlink()
        reload(started, "cannot read `policy.pol`")
        assert texts(port) == {b"one"}
        policy(tmp_path, "two", workers=2)
        line = reload(started)
        assert re.search(r"policy=[0-9a-f]{12}", line)
        assert texts(port) == {b"two"}


def test_a_request_keeps_the_policy_that_it_began_with(tmp_path: Path, held: Held) -> None:
    with polgate(tmp_path, workers=1, upstream=held.server_port) as started:
        port = started.ready()
        before = Asking(port, "/slow")
        eventually(lambda: held.asked == 1, "the upstream is not asked")
        policy(tmp_path, "two", upstream=held.server_port)
        reload(started)
        after = Asking(port, "/slow")
        eventually(lambda: held.asked == 2, "the upstream is not asked again")
        held.let_go.set()
        assert before.wait() == after.wait() == 200
        assert (before.fields["x-policy"], after.fields["x-policy"]) == ("one", "two")
        started.await_line("/slow", among=started.output)
        eventually(lambda: sum("/slow" in line for line in started.output) == 2, "not both are logged")
        first, second = (json.loads(line)["policy"] for line in started.output if "/slow" in line)
        assert first != second


def test_a_reload_under_load_loses_nothing(tmp_path: Path) -> None:
    with polgate(tmp_path, workers=2) as started:
        port = started.ready()
        wrong: list[object] = []
        done = threading.Event()
        seen: set[bytes] = set()

        def load() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
            while not done.is_set():
                try:
                    connection.request("GET", "/hello/ann")
                    seen.add(connection.getresponse().read())
                except (OSError, http.client.HTTPException) as error:
                    wrong.append(error)
            connection.close()

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        texts = [f"policy {number}" for number in range(5)]
        for text in texts:
            policy(tmp_path, text, workers=2)
            reload(started)
            eventually(lambda text=text: text.encode() in seen, "the new policy is not seen")  # type: ignore[misc]
        done.set()
        for thread in threads:
            thread.join(WAIT)
        assert wrong == []
        assert seen == {b"one", *(text.encode() for text in texts)}


def test_listeners_workers_and_kept_upstreams_of_a_reload(
    tmp_path: Path, held: Held, free_port: Callable[[], int]
) -> None:
    held.let_go.set()
    with polgate(tmp_path, workers=1, upstream=held.server_port) as started:
        port, second = started.ready(), free_port()
        assert ask(port, "/slow")[0] == 200
        policy(tmp_path, "two", workers=2, upstream=held.server_port)
        source = (tmp_path / "policy.pol").read_text()
        both = f'listen "127.0.0.1:0"\n    listen "127.0.0.1:{second}"'
        (tmp_path / "policy.pol").write_text(source.replace('listen "127.0.0.1:0"', both))
        reload(started)
        assert texts(port) == texts(second) == {b"two"}
        eventually(lambda: len(started.children()) == 2, "no second worker")
        (tmp_path / "policy.pol").write_text(source.replace('"127.0.0.1:0"', f'"127.0.0.1:{second}"'))
        reload(started)
        assert texts(second) == {b"two"}
        assert refuses(port)
    with polgate(tmp_path, "--listen", "127.0.0.1:0", workers=1) as started:
        policy(tmp_path, "one", upstream=held.server_port)
        port = started.ready()
        reload(started)
        before = held.connected
        for text in ("one", "two", "three"):
            policy(tmp_path, text, upstream=held.server_port)
            reload(started)
            assert ask(port, "/slow")[0] == 200
        assert held.connected == before + 1, "a reload opens connections to an upstream that has not changed"


def test_the_log_is_opened_anew_on_usr1(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with polgate(tmp_path, log="access.log") as started:
        port = started.ready()
        ask(port, "/hello/one")
        eventually(lambda: b"/hello/one" in log.read_bytes(), "not written")
        log.rename(tmp_path / "old.log")
        started.send(signal.SIGUSR1)
        eventually(log.exists, "not opened anew")
        ask(port, "/hello/two")
        assert started.end() == 0
        assert b"/hello/two" in log.read_bytes() and b"/hello/two" not in (tmp_path / "old.log").read_bytes()


def test_a_reload_may_turn_the_log_off_and_on(tmp_path: Path) -> None:
    with polgate(tmp_path, log="off") as started:
        port = started.ready()
        ask(port, "/hello/one")
        policy(tmp_path, "two", log="access.log")
        reload(started)
        ask(port, "/hello/two")
        policy(tmp_path, "three", log="/no/such/folder/log")
        assert "cannot open `/no/such/folder/log`" in reload(started, "the old one goes on")
        policy(tmp_path, "four", log="off")
        reload(started)
        ask(port, "/hello/four")
        assert started.end() == 0
        assert [json.loads(line)["path"] for line in (tmp_path / "access.log").open()] == ["/hello/two"]
        assert started.output == []


# --- drain -----------------------------------------------------------------------------------------


def test_term_finishes_what_has_begun_and_closes_what_is_idle(tmp_path: Path, held: Held) -> None:
    with polgate(tmp_path, workers=1, upstream=held.server_port) as started:
        port = started.ready()
        idle = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        idle.request("GET", "/hello/ann")
        answer = idle.getresponse()
        assert answer.read() == b"one" and answer.getheader("Connection") is None
        slow = Asking(port, "/slow")
        eventually(lambda: held.asked == 1, "the upstream is not asked")
        started.send(signal.SIGTERM)
        assert idle.sock.recv(1) == b"", "an idle connection stays open"
        idle.close()

        eventually(lambda: refuses(port), "it still accepts")
        assert started.process.poll() is None
        held.let_go.set()
        assert slow.wait() == 200 and slow.fields["connection"] == "close"
        assert started.wait() == 0


def test_a_second_term_forces(tmp_path: Path, held: Held) -> None:
    with polgate(tmp_path, workers=1, upstream=held.server_port) as started:
        port = started.ready()
        slow = Asking(port, "/slow")
        eventually(lambda: held.asked == 1, "the upstream is not asked")
        started.send(signal.SIGTERM)
        started.await_line("draining")
        assert started.end(signal.SIGINT) == 0
        assert slow.wait() == 0
