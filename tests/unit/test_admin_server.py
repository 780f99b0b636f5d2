"""The admin listener: who may ask what, what is answered, and what a client can do to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.admin import client
from runtime.admin.address import LONGEST_PATH, AdminAddress, BadAddress, admin_address
from runtime.admin.messages import MAX_HEAD, Refused, parse
from runtime.admin.operated import Status, WorkerStatus
from runtime.admin.server import CONNECTIONS, AdminServer, CannotAdminister

TOKEN = "a-token-of-some-length"
WAIT = 20.0


def worker(slot: int = 0, **changed: Any) -> WorkerStatus:
    made: dict[str, Any] = {
        "slot": slot, "pid": os.getpid(), "state": "ready", "policy": "0123456789ab", "generation": 1, "started": 100.0,
    }  # fmt: skip
    return {**made, **changed}  # type: ignore[typeddict-item, return-value]


class Operated:
    """A supervisor that says what the test wants."""

    def __init__(self) -> None:
        self.workers = [worker(0), worker(1)]
        self.changed: dict[str, Any] = {}
        self.result = (True, "the policy was reloaded")
        self.reloads = 0
        self.drains = 0
        self.go = threading.Event()
        self.go.set()

    def status(self) -> Status:
        made: Any = {
            "name": "polgate", "version": "0.1.0", "pid": os.getpid(), "started": 100.0, "policy": "0123456789ab",
            "generation": 1, "loaded": 100.0, "workers_wanted": 2, "workers": self.workers,
            "listeners": ["http://127.0.0.1:8080"], "reloading": False, "draining": False, "running": True,
            "restarts": 0, "store": "", "last_reload": None,
        }  # fmt: skip
        return {**made, **self.changed}  # type: ignore[no-any-return]

    def reload(self, timeout: float) -> tuple[bool, str]:
        self.reloads += 1
        assert self.go.wait(WAIT)
        return self.result

    def drain(self) -> None:
        self.drains += 1
        self.changed["draining"] = True


class Listener:
    def __init__(self, server: AdminServer, operated: Operated) -> None:
        self.server = server
        self.operated = operated
        assert server.address is not None
        self.address: AdminAddress = server.address

    def connect(self) -> socket.socket:
        if self.address.path:
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            one.settimeout(WAIT)
            one.connect(self.address.path)
            return one
        return socket.create_connection((self.address.host, self.address.port), timeout=WAIT)

    def raw(self, data: bytes) -> bytes:
        """What comes back until the end."""
        with self.connect() as one:
            one.sendall(data)
            return all_of(one)

    def ask(self, path: str, method: str = "GET", **fields: str) -> tuple[int, dict[str, str], bytes]:
        fields = {"Host": f"{self.address.host}:{self.address.port}", **fields}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {said}" for name, said in fields.items())]
        head, _, body = self.raw("\r\n".join([*lines, "", ""]).encode()).partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        return int(first.split()[1]), dict(one.split(": ", 1) for one in rest), body


def all_of(one: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := one.recv(65536):
            data += piece
    return data


@contextlib.contextmanager
def listening(folder: Path, address: str = "unix:", token: str = "") -> Iterator[Listener]:
    operated = Operated()
    problems: list[str] = []
    server = AdminServer(address, token, operated, folder, problems.append)
    server.start()
    try:
        yield Listener(server, operated)
    finally:
        operated.go.set()
        server.close()
    assert problems == []


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[Listener]:
    with listening(tmp_path) as made:
        yield made


@pytest.fixture
def tcp(tmp_path: Path) -> Iterator[Listener]:
    with listening(tmp_path, "127.0.0.1:0", TOKEN) as made:
        yield made


# --- probes --------------------------------------------------------------------------------------


def test_it_lives_as_long_as_a_worker_does_whatever_the_store_says(unix: Listener) -> None:
    unix.operated.changed["store"] = "the disk is full"
    assert unix.ask("/livez")[0] == 200
    unix.operated.workers = []
    status, _, body = unix.ask("/livez")
    assert (status, body) == (503, b"no worker is alive\n")


def test_it_is_ready_until_it_drains(unix: Listener) -> None:
    assert unix.ask("/readyz")[0] == 200
    unix.operated.workers = [worker(0), worker(1, state="starting", policy="")]
    assert unix.ask("/readyz")[0] == 200, "one that serves is enough"
    unix.operated.workers = [worker(0, state="leaving")]
    assert unix.ask("/readyz")[0] == 503
    unix.operated.workers = [worker(0), worker(1)]
    unix.operated.changed["draining"] = True
    status, _, body = unix.ask("/readyz")
    assert (status, body) == (503, b"draining\n")


def test_the_start_is_over_once_every_worker_was_ready(unix: Listener) -> None:
    unix.operated.changed["running"] = False
    unix.operated.workers = [worker(0), worker(1, state="starting", policy="")]
    assert [unix.ask(path)[0] for path in ("/startupz", "/readyz", "/livez")] == [503, 503, 200]
    unix.operated.changed["running"] = True
    assert unix.ask("/startupz")[0] == 200


def test_workers_with_another_policy_are_seen(unix: Listener) -> None:
    unix.operated.workers = [worker(0), worker(1, policy="ffff", pid=7)]
    body = unix.ask("/readyz?verbose")[2].decode()
    assert f"[+] worker 0: ready, pid {os.getpid()}, policy 0123456789ab\n" in body
    assert "[-] worker 1: ready, pid 7, policy ffff (differs)\n" in body and body.endswith("\nready\n")
    status, head, document = unix.ask("/readyz?verbose", Accept="application/json")
    found = json.loads(document)
    assert status == 200 and head["Content-Type"] == "application/json"
    assert [one["policy"] for one in found["workers"]] == ["0123456789ab", "ffff"] and found["ready"] is True


def test_a_cluster_that_is_away_is_seen_and_takes_nobody_out_of_service(
    unix: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "cluster" not in unix.ask("/readyz?verbose")[2].decode()
    for told, words in (((True, True), "[+] cluster: connected"), ((False, False), "[-] cluster: away"),
                        ((True, False), "[-] cluster: 1 of 2 workers are connected")):  # fmt: skip
        unix.operated.workers = [worker(slot, cluster=connected) for slot, connected in enumerate(told)]
        status, _, body = unix.ask("/readyz?verbose")
        assert status == 200 and f"{words}\n" in body.decode()
        assert command("status", "--admin", str(unix.address)) == 0
        assert f"cluster      {words.partition(': ')[2]}\n" in capsys.readouterr().out
        assert unix.ask("/livez")[0] == 200


def test_head_is_the_head_alone(unix: Listener) -> None:
    status, head, body = unix.ask("/livez", "HEAD")
    assert (status, body, head["Content-Length"]) == (200, b"", "5")


def test_what_is_not_there_and_wrong_methods_are_problems(unix: Listener) -> None:
    status, head, body = unix.ask("/nothing")
    assert (status, head["Content-Type"]) == (404, "application/problem+json")
    assert json.loads(body)["type"] == "urn:polgate:not-found"
    status, head, _ = unix.ask("/metrics", "POST")
    assert (status, head["Allow"]) == (405, "GET, HEAD")
    status, head, _ = unix.ask("/reload", "GET")
    assert (status, head["Allow"]) == (405, "POST")


# --- changes -------------------------------------------------------------------------------------


def test_on_the_socket_a_reload_needs_no_token_and_says_how_it_went(unix: Listener) -> None:
    status, _, body = unix.ask("/reload", "POST")
    assert (status, body, unix.operated.reloads) == (200, b"the policy was reloaded\n", 1)
    unix.operated.result = (False, "error[unknown-name]: `x`\n  --> p.pol:1:1")
    status, head, body = unix.ask("/reload", "POST")
    assert (status, body) == (422, b"error[unknown-name]: `x`\n  --> p.pol:1:1\n")
    status, head, body = unix.ask("/reload", "POST", Accept="application/json")
    assert (status, head["Content-Type"]) == (422, "application/problem+json")
    assert json.loads(body)["detail"].startswith("error[unknown-name]")


def test_while_a_reload_takes_its_time_the_rest_is_answered_and_only_a_few_may_wait(unix: Listener) -> None:
    unix.operated.go.clear()
    waiting = [unix.connect() for _ in range(4)]
    for one in waiting:
        one.sendall(b"POST /reload HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: unix.operated.reloads == 4)
    assert unix.ask("/livez")[0] == 200
    status, head, _ = unix.ask("/reload", "POST")
    assert (status, head["Retry-After"]) == (503, "1")
    unix.operated.go.set()
    for one in waiting:
        assert all_of(one).startswith(b"HTTP/1.1 200 ")
        one.close()
    assert unix.ask("/reload", "POST")[0] == 200


def test_a_client_that_leaves_its_reload_costs_nothing(unix: Listener) -> None:
    unix.operated.go.clear()
    with unix.connect() as one:
        one.sendall(b"POST /reload HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: unix.operated.reloads == 1)
    assert unix.ask("/livez")[0] == 200
    unix.operated.go.set()
    eventually(lambda: unix.server._working == 0)
    assert unix.ask("/livez")[0] == 200


def test_drain_begins_and_then_there_are_no_changes(unix: Listener) -> None:
    assert unix.ask("/drain", "POST")[0] == 202 and unix.operated.drains == 1
    assert unix.ask("/reload", "POST")[0] == 409 and unix.operated.reloads == 0


def test_over_tcp_a_change_needs_the_token(tcp: Listener) -> None:
    for said in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN},
                 {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": "Bearer \xfc"}):  # fmt: skip
        for path in ("/reload", "/drain"):
            status, head, _ = tcp.ask(path, "POST", **said)
            assert (status, head["WWW-Authenticate"]) == (401, "Bearer")
    assert tcp.operated.reloads == tcp.operated.drains == 0
    assert tcp.ask("/reload", "POST", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert tcp.ask("/status")[0] == tcp.ask("/metrics")[0] == 200


def test_over_tcp_without_a_token_nothing_can_be_changed(tmp_path: Path) -> None:
    with listening(tmp_path, "127.0.0.1:0") as tcp:
        for said in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
            status, _, body = tcp.ask("/reload", "POST", **said)
            assert status == 403 and b"the policy sets none" in body
        assert tcp.operated.reloads == 0


def test_over_ipv6_host_stands_in_brackets(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listening(tmp_path, "[::1]:0") as tcp:
        port = tcp.address.port
        assert str(tcp.address) == f"http://[::1]:{port}"
        for host, status in ((f"[::1]:{port}", 200), (f"localhost:{port}", 200), (f"::1:{port}", 421), ("[::1]", 421)):
            assert tcp.ask("/livez", Host=host)[0] == status
        assert command("status", "--admin", str(tcp.address)) == 0


def test_over_tcp_host_is_the_listeners_own(tcp: Listener) -> None:
    port = tcp.address.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        assert tcp.ask("/livez", Host=host)[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", f"127.0.0.2:{port}"):
        assert tcp.ask("/livez", Host=host)[0] == 421
        assert tcp.ask("/reload", "POST", Host=host, Authorization=f"Bearer {TOKEN}")[0] == 421
    assert tcp.raw(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert tcp.operated.reloads == 0


# --- what a client can do to it ------------------------------------------------------------------


@pytest.mark.parametrize("head", [
    b"GET /livez\r\nHost: x", b"GET  /livez HTTP/1.1\r\nHost: x", b"GET livez HTTP/1.1\r\nHost: x",
    b"GET http://x/livez HTTP/1.1\r\nHost: x", b"GET /livez HTTP/2.0\r\nHost: x", b"G(T /livez HTTP/1.1\r\nHost: x",
    b"GET /livez HTTP/1.1\r\nHost : x", b"GET /livez HTTP/1.1\r\nHost: x\r\n folded: y",
    b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: x", b"GET /l\xffivez HTTP/1.1\r\nHost: x",
    b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: -1", b"\x16\x03\x01\x02", b"\r\n",
    b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2",
])  # fmt: skip
def test_what_is_no_request_is_400(unix: Listener, head: bytes) -> None:
    assert unix.raw(head + b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert unix.operated.reloads == 0


@settings(max_examples=300, deadline=None)
@given(
    head=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from([
                b"GET", b"POST", b" ", b"/livez", b"/reload", b"?", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"Host", b":",
                b"x", b"Content-Length", b"7", b"-1", b"Transfer-Encoding", b"chunked", b"\t", b"\0", b"\xff", b",",
            ]),
            max_size=20,
        ).map(b"".join),
    )
)  # fmt: skip
def test_any_head_is_a_request_or_refused(head: bytes) -> None:
    try:
        request = parse(head)
    except Refused as refused:
        assert refused.status in (400, 413, 501)
        return
    assert request.path.startswith("/") and 0 <= request.length <= MAX_HEAD
    assert request.method.isascii() and request.path.isprintable()


def test_what_is_too_large_is_refused(unix: Listener) -> None:
    assert unix.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 9000).startswith(b"HTTP/1.1 431 ")
    assert unix.raw(b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    chunked = b"POST /reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert unix.raw(chunked).startswith(b"HTTP/1.1 501 ")


def test_a_change_waits_for_its_body(unix: Listener) -> None:
    with unix.connect() as one:
        one.sendall(b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
        assert unix.ask("/livez")[0] == 200 and unix.operated.reloads == 0
        one.sendall(b"}")
        assert all_of(one).startswith(b"HTTP/1.1 200 ")


def test_byte_by_byte_is_a_request_too(unix: Listener) -> None:
    with unix.connect() as one:
        for byte in b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n":
            one.send(bytes([byte]))
        assert all_of(one).endswith(b"live\n")


def test_idle_clients_neither_stay_for_ever_nor_keep_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.admin.server.DEADLINE", 0.5)
    with listening(tmp_path) as unix:
        idle = [unix.connect() for _ in range(CONNECTIONS)]
        eventually(lambda: len(unix.server._connections) == CONNECTIONS)
        with unix.connect() as one:
            with contextlib.suppress(BrokenPipeError):  # it may be closed before this
                one.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert all_of_or_broken(one) == b"", "one too many is closed"
        for one in idle:
            assert all_of(one) == b""
            one.close()
        eventually(lambda: not unix.server._connections)
        assert unix.ask("/livez")[0] == 200


def test_who_does_not_read_its_answer_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.admin.server.DEADLINE", 0.5)
    with listening(tmp_path) as unix:
        unix.operated.changed["listeners"] = ["x" * 4_000_000]
        with unix.connect() as one:
            one.sendall(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: len(unix.server._connections) == 1)
            eventually(lambda: not unix.server._connections)


def test_a_defect_of_ours_is_500_and_told_once(tmp_path: Path) -> None:
    problems: list[str] = []
    operated = Operated()
    server = AdminServer("unix:", "", operated, tmp_path, problems.append)
    server.start()
    made = Listener(server, operated)
    try:
        operated.status = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        assert made.ask("/livez")[0] == 500
        assert problems == ["the admin listener went wrong: ZeroDivisionError: division by zero"]
        del operated.status  # type: ignore[method-assign]
        assert made.ask("/livez")[0] == 200
    finally:
        server.close()


# --- the socket ----------------------------------------------------------------------------------


def test_the_socket_is_its_owners_alone_and_goes_at_the_end(tmp_path: Path) -> None:
    with listening(tmp_path) as unix:
        mode = os.lstat(tmp_path / "admin.sock").st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
        assert unix.address.path == str(tmp_path / "admin.sock")
    assert not (tmp_path / "admin.sock").exists()


def test_a_socket_that_a_dead_gateway_left_is_replaced_but_nothing_else_is(tmp_path: Path) -> None:
    place = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(place))
    with listening(tmp_path) as unix:
        assert unix.ask("/livez")[0] == 200
        other = AdminServer("unix:", "", Operated(), tmp_path)
        with pytest.raises(CannotAdminister, match="another program listens there"):
            other.start()
        other.close()
        assert unix.ask("/livez")[0] == 200, "the other one has not taken the file away"
    place.write_text("a file")
    third = AdminServer("unix:", "", Operated(), tmp_path)
    with pytest.raises(CannotAdminister, match="something else than a socket is there"):
        third.start()
    third.close()
    assert place.read_text() == "a file"


def test_a_path_that_is_too_long_is_taken_from_the_working_directory_where_it_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert admin_address("unix:", deep / ".polgate") == AdminAddress(path=".polgate/admin.sock")


def test_a_path_that_is_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    path = "/" + "x" * LONGEST_PATH
    with pytest.raises(CannotAdminister, match="has 108 bytes"):
        AdminServer(f"unix:{path}", "", Operated(), tmp_path)
    assert admin_address(f"unix:{path[:-1]}", tmp_path) == AdminAddress(path=path[:-1])


def test_a_port_that_is_taken_is_named(tcp: Listener, tmp_path: Path) -> None:
    other = AdminServer(f"127.0.0.1:{tcp.address.port}", "", Operated(), tmp_path)
    with pytest.raises(CannotAdminister, match="another program listens there"):
        other.start()
    other.close()


def test_addresses(tmp_path: Path) -> None:
    assert admin_address("off", tmp_path) is None
    assert str(admin_address("[::1]:9901", tmp_path)) == "http://[::1]:9901"
    assert admin_address("http://127.0.0.1:9901/", tmp_path) == AdminAddress(host="127.0.0.1", port=9901)
    for wrong in ("", "9901", "example:1", "127.0.0.1", "127.0.0.1:65536", "[::1", "::1:9901"):
        with pytest.raises(BadAddress):
            admin_address(wrong, tmp_path)


# --- the commands --------------------------------------------------------------------------------


def command(*words: str, environ: dict[str, str] | None = None) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    client.add_commands(parser.add_subparsers(dest="command"))
    return client.run(parser.parse_args(words), environ or {})


def test_status_is_a_table(unix: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    unix.operated.workers = [worker(0, pid=11), worker(1, pid=12, policy="ffff")]
    unix.operated.changed["last_reload"] = {"at": time.time() - 75, "ok": False, "text": "error: no\nmore"}
    assert command("status", "--admin", str(unix.address)) == 0
    said = capsys.readouterr().out
    assert "state        2 of 2 workers ready\n" in said
    assert "last reload  1m 15s ago, refused: error: no\n" in said
    assert [line.split()[:4] for line in said.splitlines()[-3:]] == [
        ["worker", "pid", "state", "policy"], ["0", "11", "ready", "0123456789ab"], ["1", "12", "ready", "ffff"],
    ]  # fmt: skip
    assert "ffff (differs)" in said


def test_status_as_json_and_of_one_that_is_not_ready(unix: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    unix.operated.changed["draining"] = True
    assert command("status", "--format", "json", environ={"POLGATE_ADMIN": str(unix.address)}) == 1
    assert json.loads(capsys.readouterr().out)["draining"] is True


def test_the_default_is_the_socket_in_the_stores_folder(unix: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("reload", environ={"STATE_DIRECTORY": str(Path(unix.address.path).parent)}) == 0
    assert capsys.readouterr().out == "the policy was reloaded\n"


def test_a_refused_reload_is_1_with_the_diagnostics_on_stderr(
    unix: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    unix.operated.result = (False, "error[unknown-name]: `x`\n  --> p.pol:1:1")
    assert command("reload", "--admin", str(unix.address)) == 1
    assert capsys.readouterr() == ("", "error[unknown-name]: `x`\n  --> p.pol:1:1\n")


def test_a_token_from_a_file(tcp: Listener, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("drain", "--admin", str(tcp.address)) == 1
    assert "needs" in capsys.readouterr().err and tcp.operated.drains == 0
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert command("drain", "--admin", str(tcp.address), "--token-file", str(tmp_path / "token")) == 0
    assert tcp.operated.drains == 1


def test_nobody_there_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("status", "--admin", f"unix:{tmp_path}/none") == 2
    assert "is the gateway running" in capsys.readouterr().err
    assert command("status", "--admin", "nonsense") == 2
    assert "is no admin address" in capsys.readouterr().err
    assert command("status", "--token-file", str(tmp_path / "none")) == 2
    assert "cannot read the token" in capsys.readouterr().err


def test_another_server_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        def serve() -> None:
            one, _ = other.accept()
            with one:
                one.recv(4096)
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/html\r\n\r\nhi")

        thread = threading.Thread(target=serve)
        thread.start()
        assert command("status", "--admin", f"http://127.0.0.1:{other.getsockname()[1]}") == 2
        thread.join(WAIT)
    assert "no admin listener" in capsys.readouterr().err


def all_of_or_broken(one: socket.socket) -> bytes:
    try:
        return all_of(one)
    except (BrokenPipeError, http.client.HTTPException):
        return b""


def eventually(true: Any) -> None:
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
