"""Maps in the store as the operator sees them: the paths, a worker's answers, the token, the command."""

from __future__ import annotations

import argparse
import http.client
import io
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_admin_server import TOKEN, Listener, Operated

from policylang.check import check_text
from policylang.sdk import Ip, SharedMap
from policylang.sdk.bench import BenchEnvironment, make_exchange
from policylang.sdk.bench import run as drive
from policylang.tree import compile_program
from policylang.tree.map_keys import map_key, spelled
from runtime.admin import map_command
from runtime.admin.maps import question
from runtime.admin.messages import Refused, Request
from runtime.admin.server import AdminServer
from runtime.workers.answers import Answers
from runtime.workers.maps import LARGEST, MapAnswers

PLAIN, HIDDEN = SharedMap("plain", 600.0, 100), SharedMap("hidden", 600.0, private=True)


class Worker(Operated):
    """A supervisor with one worker, whose store is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.environment = BenchEnvironment()
        self.said: list[str] = []
        maps = MapAnswers(self.environment.entries, self.environment.clock, self.said.append)
        maps.serve([PLAIN, HIDDEN])
        self.answerers: dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]] = {}
        taken: Any = self
        maps.give(taken)

    def give(self, what: str, answerer: Any) -> None:
        self.answerers[what] = answerer

    def ask(self, what: str, arguments: dict[str, Any], timeout: float) -> Any:
        return json.loads(json.dumps(drive(self.answerers[what](arguments), self.environment.clock)))


@pytest.fixture
def tcp(tmp_path: Path) -> Iterator[Listener]:
    operated = Worker()
    server = AdminServer("127.0.0.1:0", TOKEN, operated, tmp_path)
    server.start()
    try:
        yield Listener(server, operated)
    finally:
        server.close()


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[Listener]:
    operated = Worker()
    server = AdminServer("unix:", "", operated, tmp_path)
    server.start()
    try:
        yield Listener(server, operated)
    finally:
        server.close()


def asked(listener: Listener, method: str, path: str, body: bytes | None = None, token: str = TOKEN) -> Any:
    connection = http.client.HTTPConnection(listener.address.host, listener.address.port, timeout=20)
    connection.request(method, path, body, {"Authorization": f"Bearer {token}"} if token else {})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    return answer.status, json.loads(said) if said else None


# --- keys ----------------------------------------------------------------------------------------

KEYS = st.recursive(
    st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.lists(inner, max_size=3), max_leaves=5,
)  # fmt: skip


@settings(deadline=None)
@given(KEYS)
def test_a_key_is_told_as_it_was_given(value: Any) -> None:
    stored = map_key(PLAIN, value)
    shown, readable = spelled(stored)
    assert not readable or map_key(PLAIN, shown) == stored
    assert readable == (len(stored) <= 256 - 8 and stored[:1] != b"#")
    assert spelled(map_key(HIDDEN, value)) == (map_key(HIDDEN, value).hex(), False)


@pytest.mark.parametrize("private", [False, True])
def test_the_operator_and_the_policy_mean_the_same_entry(private: bool) -> None:
    where = SharedMap("m", 600.0, private=private)
    checked = check_text(
        f'map m, ttl: 10m, private: {"true" if private else "false"}\nservice s "/{{id}}" {{\n'
        '    store [path.id, client.ip], 1, in: map("m")\n    respond 204\n}'
    )
    assert checked.program is not None and checked.program.maps == (where,)
    environment = BenchEnvironment()
    drive(compile_program(checked.program).handle(make_exchange(environment, "GET", "/a")), environment.clock)
    key = map_key(where, ["a", Ip("192.0.2.1")])
    found: Any = environment.entries.read(where.space, key)
    assert drive(found, environment.clock) is not None


# --- over the listener ---------------------------------------------------------------------------


def test_entries_are_set_shown_listed_and_removed(tcp: Listener) -> None:
    wall = tcp.operated.environment.clock.wall()  # type: ignore[attr-defined]
    assert asked(tcp, "GET", "/maps")[1]["maps"] == [
        {"name": "plain", "ttl": 600.0, "max_entry": 100, "private": False},
        {"name": "hidden", "ttl": 600.0, "max_entry": 65536, "private": True},
    ]
    long = b' {"n": 123456789012345678901234567890} '
    assert asked(tcp, "PUT", "/maps/plain/a%2Fb%20%C3%BC?ttl=60", long) == (200, {})
    entry = {"key": "a/b ü", "value": {"n": 123456789012345678901234567890}, "until": wall + 60}
    assert asked(tcp, "GET", "/maps/plain/a%2Fb%20%C3%BC") == (200, entry)
    assert asked(tcp, "PUT", "/maps/plain/%5B%22a%22,1%5D?key=json", b"[1]") == (200, {})
    assert asked(tcp, "GET", "/maps/plain") == (
        200, {"entries": [{"key": ["a", 1], "value": [1], "until": wall + 600}, entry], "next": None},
    )  # fmt: skip
    assert asked(tcp, "DELETE", "/maps/plain/a%2Fb%20%C3%BC") == (200, {"removed": True})
    assert asked(tcp, "DELETE", "/maps/plain/a%2Fb%20%C3%BC") == (200, {"removed": False})
    assert asked(tcp, "GET", "/maps/plain/a%2Fb%20%C3%BC")[0] == 404
    assert tcp.operated.said == [  # type: ignore[attr-defined]
        "the operator has set an entry of the map `plain`", "the operator has set an entry of the map `plain`",
        "the operator has removed an entry of the map `plain`", "the operator has removed an entry of the map `plain`",
    ]  # fmt: skip


def test_what_is_private_is_not_told_and_can_be_removed_by_its_hash(tcp: Listener) -> None:
    assert asked(tcp, "PUT", "/maps/hidden/s3cret", b'{"user": "ann"}')[0] == 200
    _, page = asked(tcp, "GET", "/maps/hidden")
    (entry,) = page["entries"]
    assert set(entry) == {"hash", "until"} and asked(tcp, "GET", "/maps/hidden/s3cret")[1] == entry
    assert asked(tcp, "DELETE", f"/maps/hidden/{entry['hash']}?key=hash") == (200, {"removed": True})
    assert asked(tcp, "GET", "/maps/hidden")[1]["entries"] == []


def test_listings_come_in_pages(tcp: Listener) -> None:
    for number in range(25):
        assert asked(tcp, "PUT", f"/maps/plain/k{number:02}", b"%d" % number)[0] == 200
    keys, after = [], ""
    for _ in range(3):
        _, page = asked(tcp, "GET", f"/maps/plain?count=10&after={after}")
        keys += [entry["key"] for entry in page["entries"]]
        after = page["next"]
    assert keys == [f"k{number:02}" for number in range(25)] and after is None


def test_a_page_has_a_size() -> None:
    worker = Worker()
    big = SharedMap("big", 600.0, LARGEST)
    maps = MapAnswers(worker.environment.entries, worker.environment.clock, worker.said.append)
    maps.serve([big])
    maps.give(worker)  # type: ignore[arg-type]
    for key in "abc":
        worker.ask("map.set", {"name": "big", "key": key, "kind": "text", "value": '"' + "x" * 700_000 + '"'}, 5)
    page = worker.ask("map.page", {"name": "big"}, 5)
    assert [entry["key"] for entry in page["entries"]] == ["a"]
    assert worker.ask("map.page", {"name": "big", "after": page["next"]}, 5)["entries"][0]["key"] == "b"


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("GET", "/maps/none", None, 404), ("GET", "/maps/none/a", None, 404), ("PUT", "/maps/plain", b"1", 405),
        ("POST", "/maps/plain/a", b"1", 405), ("PUT", "/maps/plain/a", b"", 422), ("PUT", "/maps/plain/a", b"{", 422),
        ("PUT", "/maps/plain/a", b"null", 422), ("PUT", "/maps/plain/a", b"\xff", 422),
        ("PUT", "/maps/plain/a", b'"' + b"x" * 100 + b'"', 413), ("PUT", "/maps/plain/a?ttl=0", b"1", 400),
        ("PUT", "/maps/plain/a?ttl=nan", b"1", 400), ("GET", "/maps/plain/%ff", None, 400),
        ("GET", "/maps/plain?count=no", None, 400), ("GET", "/maps/plain?after=xyz", None, 400),
        ("GET", "/maps/plain?count=0", None, 400), ("GET", "/maps/plain/%7B%7D?key=json", None, 400),
        ("GET", "/maps/plain/x?key=hash", None, 400), ("GET", "/maps/plain/null?key=json", None, 400),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tcp: Listener, method: str, path: str, body: bytes | None, status: int) -> None:
    assert asked(tcp, method, path, body)[0] == status


@pytest.mark.parametrize("method, path", [("GET", "/maps"), ("GET", "/maps/hidden"), ("PUT", "/maps/plain/a")])
def test_over_tcp_it_takes_the_token_to_look_and_to_write(tcp: Listener, method: str, path: str) -> None:
    assert asked(tcp, method, path, b"1" if method == "PUT" else None, token="")[0] == 401
    assert asked(tcp, method, path, b"1" if method == "PUT" else None, token="another")[0] == 401


def test_while_it_ends_nothing_is_changed_any_more(tcp: Listener) -> None:
    tcp.operated.drain()
    assert asked(tcp, "PUT", "/maps/plain/a", b"1")[0] == 409
    assert asked(tcp, "GET", "/maps/plain")[0] == 200


@settings(deadline=None)
@given(st.text(alphabet="/maps%?&=+aé \x00", max_size=20), st.sampled_from(["GET", "PUT", "DELETE", "PATCH"]))
def test_any_path_is_a_question_or_refused(path: str, method: str) -> None:
    target, _, query = path.partition("?")
    try:
        what, arguments = question(Request(method, "/maps/" + target, query, {}, 0))
    except Refused as refused:
        assert refused.status in (400, 405)
    else:
        assert what.startswith("map.") and all(isinstance(each, str) for each in arguments.values())


def test_an_answer_is_one_that_a_worker_knows() -> None:
    known = Answers(lambda error: "defect-1")
    environment = BenchEnvironment()
    MapAnswers(environment.entries, environment.clock, lambda text: None).give(known)
    sent: list[Any] = []
    known.take({"id": 1, "what": "map.list", "arguments": {}}, sent.append)
    assert sent == [{"did": "answered", "id": 1, "result": {"maps": []}}]


# --- the command ---------------------------------------------------------------------------------


def command(listener: Listener, *words: str) -> int:
    parser = argparse.ArgumentParser()
    map_command.add_command(parser.add_subparsers(dest="command"))
    found = parser.parse_args(["map", *words, "--admin", f"unix:{listener.address.path}"])
    return map_command.run(found, {})


def test_the_command(unix: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(unix, "list") == 0
    assert command(unix, "set", "plain", "ä b", '{"a": [1]}', "--ttl", "2m") == 0
    assert command(unix, "set", "plain", "[1]", "true", "--json-key") == 0
    assert command(unix, "show", "plain") == 0
    assert command(unix, "show", "plain", "ä b", "--format", "json") == 0
    assert command(unix, "remove", "plain", "ä b") == 0
    assert command(unix, "remove", "plain", "ä b") == 0
    assert command(unix, "show", "plain", "ä b") == 1
    assert command(unix, "show", "nothing") == 1
    assert command(unix, "set", "plain", "a", "b") == 1
    assert command(unix, "set", "plain", "a", "1", "--ttl", "soon") == 1
    written = capsys.readouterr()
    lines = written.out.splitlines()
    assert lines[:4] == [
        "plain  ttl 600s, entries of at most 100 bytes", "hidden  ttl 600s, entries of at most 65536 bytes, private",
        "set", "set",
    ]  # fmt: skip
    assert [line.split("  until")[0] for line in lines[4:6]] == ["[1]  true", '"ä b"  {"a": [1]}']
    assert json.loads(lines[6])["value"] == {"a": [1]} and lines[7:] == ["removed", "there was none"]
    missing, unknown, no_json, no_time = written.err.splitlines()
    assert missing == "polgate: the map `plain` has no such entry"
    assert unknown == "polgate: no map `nothing` of this policy lives in the store"
    assert no_json.startswith("polgate: the value is not JSON")
    assert no_time == "polgate: `soon` is no time: write one such as 90s, 10m or 2h"


def test_a_value_may_come_from_standard_input(unix: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"pin": 7}\n')))
    assert command(unix, "set", "plain", "ann", "-") == 0
    key = map_key(PLAIN, "ann")
    found: Any = unix.operated.environment.entries.read(PLAIN.space, key)  # type: ignore[attr-defined]
    assert drive(found).endswith(b'{"pin":7}')


def test_nobody_to_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    map_command.add_command(parser.add_subparsers(dest="command"))
    assert map_command.run(parser.parse_args(["map", "list", "--admin", f"unix:{tmp_path}/none"]), {}) == 2
    assert capsys.readouterr().err.startswith("polgate: cannot reach")
