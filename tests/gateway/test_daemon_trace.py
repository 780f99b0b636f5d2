"""Journals of a running gateway: for the caller who shows a token, and for operators who follow."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import WAIT, eventually
from journal_gates import KEY, PASSWORD, PRIVATE, SESSION, Back, Gateway, field, gateway, journal_of

from runtime.admin.address import AdminAddress
from runtime.admin.client import ask as ask_admin
from runtime.trace.tracing import JOURNALS_A_SECOND
from runtime.workers.followers import MOST_FOLLOWERS


@pytest.fixture
def back() -> Iterator[Back]:
    made = Back()
    yield made
    made.close()


@pytest.fixture
def gate(tmp_path: Path, back: Back) -> Iterator[Gateway]:
    with gateway(tmp_path, back) as made:
        yield made


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


@pytest.mark.parametrize("leaving", [False, True])
def test_who_leaves_before_the_answer_has_a_journal_too(gate: Gateway, leaving: bool) -> None:
    """`leaving`: its worker has to end meanwhile, and answers what it has begun."""
    with gate.following("response.status == 499") as stream:
        with socket.create_connection(("127.0.0.1", gate.port), timeout=WAIT) as one:
            one.sendall(b"GET /up/never HTTP/1.1\r\nHost: gate\r\n\r\n")
            eventually(lambda: any(b" /up/never " in head for head in gate.back.heads), "it is on its way")
            if leaving:
                for worker in gate.running.children():
                    os.kill(worker, signal.SIGTERM)
                eventually(lambda: sorted(gate.states()) == ["leaving", "ready", "ready"], "others serve")
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


def test_what_the_wire_refuses_is_told_without_what_was_sent(gate: Gateway) -> None:
    with (
        gate.following() as stream, gate.following("response.status == 431") as too_large,
        gate.following("", "hello") as hello,
    ):  # fmt: skip
        gate.curl(f"/hello/%2F{KEY}", f"Authorization: Bearer {PASSWORD}", f"X-API-Key: {KEY}")
        found = [stream.next()]
        for more in ("bad header", "X-Large: " + "x" * 40_000):
            gate.curl("/none", more)
            found.append(stream.next())
        assert {one["failure"]["kind"] for one in found} == {"error"}
        told = [(one["status"], one["failure"]["name"]) for one in found]
        assert told == [(400, "bad-path"), (400, "malformed-request"), (431, "head-too-large")]
        for one in found:
            assert (one["policy"], one["service"], one["entries"]) == (gate.policy(), "", [])
            assert one["request"] == {"method": "", "path": "", "host": ""}
            assert one["client"]["ip"] == "127.0.0.1"
            assert not [each for each in PRIVATE if each in json.dumps(one)]
        assert too_large.next() == found[2]
        gate.ask("/hello/ann", "first")
        assert hello.ids(1) == ["first"]
        drawn = gate.run([Path(sys.executable).parent / "pol", "explain", "--journal", "-"], json.dumps(found[0]))
        assert drawn.stdout.startswith("a request that was not taken in\nclient 127.0.0.1, no service, policy "), drawn
        assert "=> 400 bad-path: the path is refused" in drawn.stdout


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
    ('env("SECRET") == "x"', "", "the expression reads `env`, which is no business of who follows"),
    ('file("clients.json") contains "key-"', "", "the expression reads `file`, which is no business of who follows"),
    ('request.header["x-api-key"] == "x"', "", "the expression reads something private"),
    ('(request.header["X-Partner"] ?? "") matches "a.*"', "", "the expression reads something private"),
    ('request.query["Token"] == "x"', "", "the expression reads something private"),
    ('request.header[path.name] == "x"', "hello", "the expression reads something private"),
    ("", "nobody", "the policy has no service `nobody`"),
    ("size == 1", "", "error[unknown-name]"),
])  # fmt: skip
def test_what_cannot_be_asked_is_told_at_once(gate: Gateway, expression: str, service: str, said: str) -> None:
    found = gate.command("trace", "--follow", expression, "--service", service)
    assert (found.returncode, found.stdout) == (1, "") and found.stderr.startswith(f"polgate: {said}"), found


@contextlib.contextmanager
def asking(gate: Gateway, path: str, id: str) -> Iterator[None]:
    """The same request again and again, less often than JOURNALS_A_SECOND: nothing is left out."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(2 / JOURNALS_A_SECOND):
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


def test_no_request_is_missed_while_policies_and_workers_change(tmp_path: Path, back: Back) -> None:
    with gateway(tmp_path, back, workers=1) as gate, gate.following('not request.path == "/other"') as stream:
        asked = 0
        stop = threading.Event()

        def ask() -> None:
            nonlocal asked
            while not stop.wait(1 / JOURNALS_A_SECOND):
                gate.ask("/hello/ann", f"r-{asked}")
                asked += 1

        thread = threading.Thread(target=ask)
        thread.start()
        for old, new in (("TEXT", "OTHER"), ("workers 1", "workers 3"), ("OTHER", "TEXT")):
            gate.change(old, new)
        eventually(lambda: gate.states() == ["ready"] * 3, "the new workers serve")
        enough = asked + 20
        eventually(lambda: asked >= enough, "they are asked too")
        stop.set()
        thread.join(WAIT)
        told: set[str] = set()
        lost = 0
        while len(told) + lost < asked:
            found = stream.next()
            if "trace" in found:
                lost += found["journals"]
            else:
                told.add(found["request"]["id"])
        assert told and len(told) + lost == asked


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
