"""Journals of a running gateway: for the caller who shows a token, and for operators who follow."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from daemons import ROOT, WAIT, Daemon, daemon, eventually

from policylang.trace.reading import from_field
from runtime.admin.address import AdminAddress
from runtime.admin.client import ask as ask_admin
from runtime.trace.tracing import JOURNALS_A_SECOND
from runtime.workers.followers import MOST_FOLLOWERS

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


@pytest.fixture
def back() -> Iterator[Back]:
    made = Back()
    yield made
    made.close()


@pytest.fixture
def gate(tmp_path: Path, back: Back) -> Iterator[Gateway]:
    with gateway(tmp_path, back) as made:
        yield made


@contextlib.contextmanager
def gateway(folder: Path, back: Back, workers: int = 2, setting: str = "") -> Iterator[Gateway]:
    text = POLICY.replace("BACK", str(back.port)).replace("NOBODY", str(back.nobody))
    text = text.replace("workers 2", f"workers {workers}\n    {setting}".rstrip())
    (folder / "policy.pol").write_text(text)
    (folder / "clients.json").write_text(json.dumps({KEY: {"id": "ann", "contract": "gold"}}))
    environ = {"SECRET": SECRET, "ADMIN_TOKEN": "sixteen-letters-and-more"}
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder, environ) as running:
        yield Gateway(running, folder, back)


# --- tokens --------------------------------------------------------------------------------------


def test_who_shows_a_token_gets_the_journal_and_pol_draws_it(gate: Gateway) -> None:
    token = gate.token("--for", "5m")
    answer = gate.curl("/hello/ann", f"Polgate-Trace: {token}", f"X-API-Key: {KEY}")
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"TEXT ann")
    journal = journal_of(answer)
    assert (journal["service"], journal["status"], journal["user"]) == ("hello", 200, "ann")
    assert [entry["word"] for entry in journal["entries"]] == [
        "let", "let", "require", "api_key", "require", "respond", "set",
    ]  # fmt: skip
    head = answer.partition(b"\r\n\r\n")[0].decode() + "\r\n\r\n"
    drawn = gate.run([Path(sys.executable).parent / "pol", "explain", "--journal", "-"], head)
    assert drawn.returncode == 0 and 'require path.name != "nobody"' in drawn.stdout, drawn


def test_every_way_to_end_is_told(gate: Gateway) -> None:
    token = f"Polgate-Trace: {gate.token()}"
    refused = journal_of(gate.curl("/hello/nobody", token))
    assert (refused["status"], refused["failure"]["name"]) == (403, "requirement-not-met")
    assert [entry["outcome"] for entry in refused["entries"]] == ["passed", "passed", "failed", "passed"]
    nowhere = journal_of(gate.curl("/none", token))
    assert (nowhere["status"], nowhere["service"], nowhere["failure"]["name"]) == (404, "", "no-service")
    assert [entry["word"] for entry in nowhere["entries"]] == ["set"], "what is global runs for nobody's requests too"
    for version, method in (("1.1", "GET"), ("1.0", "GET"), ("1.1", "HEAD")):
        routed = gate.curl("/up/1", token, version=version, method=method)
        assert [entry["word"] for entry in journal_of(routed)["entries"]] == ["route", "set"]
        assert field(routed, "Polgate-Trace") is None and field(routed, "X-Other") == "z"
        assert field(routed, "Cache-Control") == "no-store", "a cache in front must not give it to others"
    sent = gate.curl("/up/1", token, method="POST", body=b"four")
    assert journal_of(sent)["status"] == 200
    failed = journal_of(gate.curl("/down", token))
    assert (failed["status"], failed["failure"]["name"]) == (502, "upstream-unreachable")
    assert [entry["word"] for entry in failed["entries"]] == ["route", "respond", "set"]


def test_a_token_that_grants_nothing_any_more_says_so_and_a_forged_one_is_as_none(gate: Gateway) -> None:
    token = gate.token("--service", "up")
    assert journal_of(gate.curl("/up/1", f"Polgate-Trace: {token}"))["service"] == "up"
    other = gate.curl("/hello/nobody", f"Polgate-Trace: {token}")
    assert field(other, "Polgate-Trace") == "other-service" and field(other, "Polgate-Journal") is None
    for forged in (token[:-1], "x" + token, "x" * 5000, ""):
        answer = gate.curl("/hello/nobody", f"Polgate-Trace: {forged}")
        assert field(answer, "Polgate-Trace") is field(answer, "Polgate-Journal") is None
    twice = gate.curl("/up/1", f"Polgate-Trace: {token}", f"Polgate-Trace: {token}")
    assert field(twice, "Polgate-Journal") == "x", "it is as none: what the upstream says goes through"
    gate.change("TEXT", "OTHER")
    void = gate.curl("/up/1", f"Polgate-Trace: {token}")
    assert field(void, "Polgate-Trace") == "other-policy" and field(void, "Polgate-Journal") is None
    short = gate.token("--for", "1s")
    eventually(lambda: field(gate.curl("/none", f"Polgate-Trace: {short}"), "Polgate-Trace") == "expired", "it expires")


def test_the_upstream_never_sees_the_field(gate: Gateway) -> None:
    back = gate.back
    token = gate.token()
    shown = [f"Polgate-Trace: {token}", "Polgate-Trace: forged", f"POLGATE-TRACE: {token}", "polgate-trace:"]
    for line in [*shown, *shown]:  # a head is read closely once, and known when it comes again
        gate.curl("/up/1", line)
        gate.curl("/more", line)
        gate.curl("/up/1", line, line)
        gate.curl("/up/1", line, "X-Forwarded-For: 1.2.3.4", f"X-API-Key: {KEY}")
        gate.curl("/up/1", line, method="POST", body=b"four")
        gate.curl("/up/1", line, version="1.0")
    eventually(lambda: len(back.heads) == 8 * 7, "every request and copy has come")
    for head in back.heads:
        assert b"polgate-trace" not in head.lower() and token.encode() not in head


def test_a_service_that_is_not_there_is_named(gate: Gateway) -> None:
    found = gate.command("trace", "--token", "--service", "helo")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == "polgate: the policy has no service `helo`: did you mean `hello`?\n"


# --- what no journal tells -----------------------------------------------------------------------


def test_nothing_private_and_no_credential_is_in_any_journal(gate: Gateway) -> None:
    token = gate.token()
    secret_fields = [
        f"Polgate-Trace: {token}", f"X-API-Key: {KEY}", f"Authorization: Bearer {PASSWORD}", f"Cookie: sid={SESSION}",
    ]  # fmt: skip
    paths = [f"/hello/ann?size=1&password={PASSWORD}", "/hello/nobody", f"/none?api_key={KEY}", "/up/1", "/more"]
    journals = []
    with gate.following() as stream:
        for path in paths:
            answer = gate.curl(path, *secret_fields)
            journals += [journal_of(answer), stream.next()]
    assert [one["status"] for one in journals[::2]] == [200, 403, 404, 200, 200]
    for one in journals:
        text = json.dumps(one)
        assert not [each for each in (*PRIVATE, token) if each in text], text


def test_who_leaves_before_the_answer_has_a_journal_too(gate: Gateway) -> None:
    with gate.following("response.status == 499") as stream:
        with socket.create_connection(("127.0.0.1", gate.port), timeout=WAIT) as one:
            one.sendall(b"GET /up/never HTTP/1.1\r\nHost: gate\r\n\r\n")
            eventually(lambda: any(b" /up/never " in head for head in gate.back.heads), "it is on its way")
        found = stream.next()
        assert (found["status"], found["failure"]["name"]) == (499, "client-left")
        assert [(entry["word"], entry["outcome"]) for entry in found["entries"]] == [("route", "cancelled")]


# --- following -----------------------------------------------------------------------------------


def test_what_matches_is_told_by_every_worker(gate: Gateway) -> None:
    with gate.following('response.status == 403 and path.name != "x"', "hello") as stream:
        assert stream.status == 200
        for number in range(30):  # each on a connection of its own: the workers share them
            gate.ask("/hello/nobody", f"no-{number}")
            gate.ask("/hello/ann", f"yes-{number}")
            gate.ask("/none", f"none-{number}")
        assert sorted(stream.ids(30)) == sorted(f"no-{number}" for number in range(30))


def test_the_command_draws_what_it_follows(gate: Gateway) -> None:
    words = ["trace", "--follow", "response.status == 403", "--count", "2"]
    for more in ([], ["--format", "json"]):
        with asking(gate, "/hello/nobody", "r-1"):
            found = gate.command(*words, *more)
        assert (found.returncode, found.stderr) == (0, "")
        out = found.stdout
        if more:
            assert [json.loads(line)["status"] for line in out.splitlines()] == [403, 403]
        else:
            assert out.count("=> 403 requirement-not-met") == 2 and 'require path.name != "nobody"' in out


@pytest.mark.parametrize("expression, service, said", [
    ("response.stats == 1", "", "error[unknown-member]"),
    ("response.status", "", "the expression is a number, and decides nothing: compare it with something"),
    ('request.header["Authorization"] == "x"', "", "the expression reads something private"),
    ('secret("SECRET") == "x"', "", "the expression reads something private"),
    ("", "nobody", "the policy has no service `nobody`"),
    ("size == 1", "", "error[unknown-name]"),
])  # fmt: skip
def test_what_cannot_be_asked_is_told_at_once(gate: Gateway, expression: str, service: str, said: str) -> None:
    found = gate.command("trace", "--follow", expression, "--service", service)
    assert (found.returncode, found.stdout) == (1, "") and found.stderr.startswith(f"polgate: {said}"), found


@contextlib.contextmanager
def asking(gate: Gateway, path: str, id: str) -> Iterator[None]:
    """The same request again and again."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):  # a worker may be dying
                gate.ask(path, id)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(WAIT)


def test_a_reload_has_the_expression_compiled_anew_or_tells_why_not(gate: Gateway) -> None:
    with gate.following('size == "1"', "hello") as stream, gate.following("response.status == 404") as other:
        first = gate.policy()
        gate.ask("/hello/ann?size=2", "not-this")
        gate.ask("/hello/ann?size=1", "before")
        found = stream.next()
        assert (found["request"]["id"], found["policy"]) == ("before", first)
        # Every variable has another place now: compiled for the old policy, the expression would read a wrong one.
        gate.change("let private signature", 'let one = "1"\n    let two = "1"\n    let private signature')
        second = gate.policy()
        gate.ask("/hello/ann?size=2", "not-this")
        with asking(gate, "/hello/ann?size=1", "after"):
            found = stream.next()
            assert (found["request"]["id"], found["policy"]) == ("after", second) and second != first
        gate.change("let size? =", "let length? =")
        while (found := stream.next()).get("trace") != "end":
            assert found["request"]["id"] == "after"
        assert "error[unknown-name]" in found["why"] and '1 | size == "1"' in found["why"]
        with asking(gate, "/none", "of-the-other"):
            assert other.next()["policy"] == gate.policy()


def test_a_worker_that_takes_anothers_place_follows_too(tmp_path: Path, back: Back) -> None:
    with gateway(tmp_path, back, workers=1) as gate, gate.following() as stream:
        (worker,) = gate.running.children()
        os.kill(worker, signal.SIGKILL)
        gate.running.await_line("another one starts")
        with asking(gate, "/hello/ann", "again"):
            assert stream.next()["request"]["id"] == "again"


def test_there_are_only_so_many_and_who_leaves_makes_room(gate: Gateway) -> None:
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(gate.following()) for _ in range(MOST_FOLLOWERS)]
        assert {stream.status for stream in streams} == {200}
        found = gate.command("trace", "--follow")
        assert (found.returncode, found.stderr) == (1, f"polgate: {MOST_FOLLOWERS} others follow already\n")

    def taken() -> bool:
        with gate.following() as stream:
            return stream.status == 200

    eventually(taken, "there is room again")


def test_who_drains_ends_the_followers(gate: Gateway) -> None:
    with gate.following() as stream:
        gate.running.send(signal.SIGTERM)
        assert stream.next() == {"trace": "end", "why": "the gateway is ending", "lost": 0, "unread": 0}
        assert stream.next() == {}
        assert gate.running.wait() == 0


def test_too_many_are_counted_and_hold_nobody_up(tmp_path: Path, back: Back) -> None:
    """One connection asks as fast as it can, and the follower reads nothing until all have been answered."""
    number = 10 * JOURNALS_A_SECOND
    with gateway(tmp_path, back, workers=1) as gate, gate.following() as stream:
        request = f"GET /hello/ann HTTP/1.1\r\nHost: gate\r\nX-API-Key: {KEY}\r\n\r\n".encode()
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", gate.port), timeout=WAIT) as one:
            answers = b""
            for _ in range(number // 100):
                one.sendall(request * 100)
                while answers.count(b"HTTP/1.1 200 ") < 100:
                    answers += one.recv(65536)
                answers = b""
        seconds = time.monotonic() - began
        told = lost = 0
        while told + lost < number:
            found = stream.next()
            if "trace" in found:
                assert found["trace"] == "lost"
                lost += found["journals"]
            else:
                told += 1
        assert told + lost == number
        assert lost > 0 and told <= (seconds + 2) * JOURNALS_A_SECOND


# --- who may ask ---------------------------------------------------------------------------------


def test_over_tcp_journals_need_the_token(tmp_path: Path, back: Back) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    setting = f'admin "127.0.0.1:{port}", token: secret("ADMIN_TOKEN")'
    (tmp_path / "token").write_text("sixteen-letters-and-more\n")
    with gateway(tmp_path, back, setting=setting) as gate:
        where = ["--admin", f"http://127.0.0.1:{port}"]
        for words in (["--token"], ["--follow"]):
            refused = gate.command("trace", *words, *where)
            assert (refused.returncode, refused.stdout) == (1, "") and "needs `Authorization: Bearer`" in refused.stderr
        address = AdminAddress(host="127.0.0.1", port=port)
        for method, path in (("GET", "/trace"), ("GET", "/trace/sources"), ("POST", "/trace/tokens")):
            assert ask_admin(address, method, path)[0] == 401
            assert ask_admin(address, method, path, "wrong-token-of-some-length")[0] == 401
        where += ["--token-file", "token"]
        token = gate.token(*where)
        assert journal_of(gate.curl("/none", f"Polgate-Trace: {token}"))["status"] == 404
        assert gate.command("trace", "--follow", "response.status", *where).stderr.startswith("polgate: the expression")


def test_what_is_asked_wrongly_says_so(gate: Gateway) -> None:
    for method, path, status in (
        ("POST", "/trace", 405), ("GET", "/trace/tokens", 405), ("HEAD", "/trace", 405), ("GET", "/trace/x", 404),
        ("GET", "/trace?expresion=1", 400), ("GET", "/trace?%ff=%ff", 400), ("POST", "/trace/tokens?for=x", 422),
    ):  # fmt: skip
        assert ask_admin(gate.admin, method, path)[0] == status, path


# --- the access log ------------------------------------------------------------------------------


def test_the_access_log_has_the_verdicts_path_of_every_request(gate: Gateway) -> None:
    gate.ask("/hello/ann", "passes")
    gate.ask("/hello/nobody", "refused")
    gate.ask("/none", "nowhere")
    gate.ask("/down", "fails")
    log = gate.folder / "access.log"
    eventually(lambda: log.exists() and log.read_bytes().count(b"\n") == 4, "all lines are there")
    lines = {line["request"]: line for line in map(json.loads, log.read_text().splitlines())}

    def path(id: str) -> list[tuple[str, str]]:
        return [
            (step["assertion"], step.get("failure", step["outcome"])) for step in lines[id]["verdict"]
        ]  # fmt: skip

    start = [("let", "passed"), ("let", "passed")]
    assert path("passes") == [
        *start, ("require", "passed"), ("api_key", "passed"), ("require", "passed"), ("respond", "responded"),
        ("set", "passed"),
    ]  # fmt: skip
    assert path("refused") == [*start, ("require", "requirement-not-met"), ("set", "passed")]
    assert path("nowhere") == [("set", "passed")] and lines["nowhere"]["failure"] == "no-service"
    assert path("fails") == [("route", "upstream-unreachable"), ("respond", "responded"), ("set", "passed")]
    source = (gate.folder / "policy.pol").read_text().splitlines()
    for line in lines.values():
        for step in line["verdict"]:
            assert step["assertion"] in source[step["line"] - 1], "each step names its line"
