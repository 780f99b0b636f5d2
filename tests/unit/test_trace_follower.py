"""What waits for an operator who follows journals, and how the admin listener gives it to him."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_admin_server import TOKEN, WAIT, Listener, Operated, all_of, eventually, listening

from runtime.admin.messages import Refused
from runtime.admin.server import CONNECTIONS, STALLED
from runtime.main import main
from runtime.trace.follower import LONGEST_FOLLOW, LONGEST_QUEUE, Follower
from runtime.workers.child import State
from runtime.workers.followers import Followers

JOURNAL = b'{"status": 403}'


def taken(follower: Follower) -> list[dict[str, Any]]:
    return [json.loads(line) for line in follower.take().splitlines()]


def test_what_is_not_taken_is_lost_beyond_a_queue_and_counted_when_there_is_room() -> None:
    follower = Follower("", "")
    large = json.dumps({"text": "x" * 1000}).encode()
    fits = LONGEST_QUEUE // (len(large) + 1)
    for _ in range(fits + 7):
        follower.journal(large)
    waited = taken(follower)
    assert len(waited) == fits + 1 and waited[-1] == {"trace": "lost", "journals": 7}, "nothing more has to come first"
    follower.journal(JOURNAL)
    assert taken(follower) == [{"status": 403}], "what was lost is told once"


def test_what_workers_missed_is_told_without_another_journal() -> None:
    follower = Follower("", "")
    follower.missed(3, 2)
    assert taken(follower) == [{"trace": "lost", "journals": 3}]
    follower.missed(0, 5)
    assert taken(follower) == []
    follower.journal(JOURNAL)
    follower.missed(4, 0)
    follower.end("enough")
    follower.end("again")
    follower.journal(JOURNAL)
    assert taken(follower) == [
        {"status": 403}, {"trace": "lost", "journals": 4}, {"trace": "end", "why": "enough", "lost": 7, "unread": 7},
    ]  # fmt: skip


class Followed(Operated):
    def __init__(self) -> None:
        super().__init__()
        self.followers: list[Follower] = []
        self.left: list[Follower] = []

    def follow(self, follower: Follower, timeout: float) -> None:
        follower.leave = lambda: self.left.append(follower)
        self.followers.append(follower)


@pytest.fixture
def unix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setattr("test_admin_server.Operated", Followed)
    with listening(tmp_path) as made:
        yield made


def begin(unix: Listener) -> tuple[Any, Follower]:
    one = unix.connect()
    before = len(unix.operated.followers)  # type: ignore[attr-defined]
    one.sendall(b"GET /trace?expression=failure+%21%3D+none&service=a%20b HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: len(unix.operated.followers) > before)  # type: ignore[attr-defined]
    follower: Follower = unix.operated.followers[-1]  # type: ignore[attr-defined]
    assert (follower.expression, follower.service) == ("failure != none", "a b")
    assert one.recv(65536).partition(b"\r\n\r\n")[0].startswith(b"HTTP/1.1 200 ")
    return one, follower


def test_lines_go_out_as_they_come_and_the_end_closes(unix: Listener) -> None:
    one, follower = begin(unix)
    with one:
        for _ in range(3):
            follower.journal(JOURNAL)
            assert one.recv(65536) == JOURNAL + b"\n"
        follower.end("the gateway is ending")
        assert json.loads(all_of(one))["why"] == "the gateway is ending"
    eventually(lambda: unix.operated.left == [follower])  # type: ignore[attr-defined]


def test_who_leaves_is_gone(unix: Listener) -> None:
    one, follower = begin(unix)
    one.close()
    eventually(lambda: unix.operated.left == [follower])  # type: ignore[attr-defined]


def test_who_reads_nothing_keeps_nobody_waiting_and_is_dropped(
    unix: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.admin.server.STALLED", 0.5)
    one, follower = begin(unix)
    with one:
        large = json.dumps({"text": "x" * 50_000}).encode()
        for _ in range(100):
            follower.journal(large)
        assert unix.ask("/livez")[0] == 200
        eventually(lambda: unix.operated.left == [follower])  # type: ignore[attr-defined]


def test_who_reads_late_has_all_of_his_time_from_then_on(unix: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent before waits in the kernel: the first journal that finds no room begins the time."""
    monkeypatch.setattr("runtime.admin.server.KEEP_ALIVE", 0.5)
    one, follower = begin(unix)
    with one:
        (connection,) = unix.server._connections
        connection.end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        eventually(lambda: connection.deadline > time.monotonic())
        began = time.monotonic()
        while not connection.outgoing:
            follower.journal(JOURNAL * 50)
            eventually(lambda: not follower._lines)
        assert connection.deadline > began + STALLED / 2


def test_silence_is_broken_so_that_both_sides_know(unix: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.admin.server.KEEP_ALIVE", 0.05)
    one, follower = begin(unix)
    with one:
        lines = one.makefile("rb")
        assert lines.readline() == lines.readline() == b"\n"
        follower.journal(JOURNAL)
        while (line := lines.readline()) == b"\n":
            pass
        assert line == JOURNAL + b"\n"


def test_the_news_of_others_do_not_put_off_that_word(unix: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.admin.server.KEEP_ALIVE", 0.2)
    one, _ = begin(unix)
    two, busy = begin(unix)
    with one, two:
        one.settimeout(0.01)
        for _ in range(int(WAIT / 0.01)):
            busy.journal(JOURNAL)
            with contextlib.suppress(TimeoutError):
                assert one.recv(65536) == b"\n"
                break
        else:
            pytest.fail("who gets nothing was not told that the gateway is there")


def test_a_listener_that_closes_says_so(unix: Listener) -> None:
    one, follower = begin(unix)
    with one:
        closing = threading.Thread(target=unix.server.close)
        closing.start()
        assert json.loads(all_of(one))["why"] == "this admin listener closes"
        closing.join(20)
    assert unix.operated.left == [follower]  # type: ignore[attr-defined]


def test_over_tcp_it_needs_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_admin_server.Operated", Followed)
    with listening(tmp_path, "127.0.0.1:0", TOKEN) as tcp:
        for method, path in (("GET", "/trace"), ("GET", "/trace/sources"), ("POST", "/trace/tokens")):
            assert tcp.ask(path, method)[0] == 401
            assert tcp.ask(path, method, Host="evil.example", Authorization=f"Bearer {TOKEN}")[0] == 421
        assert tcp.operated.followers == []  # type: ignore[attr-defined]
    with listening(tmp_path, "127.0.0.1:0") as tcp:
        assert tcp.ask("/trace")[0] == 403


def test_while_it_drains_nobody_begins_to_follow(unix: Listener) -> None:
    unix.operated.changed["draining"] = True
    assert unix.ask("/trace")[0] == 409


def test_many_who_come_and_go_leave_nothing(unix: Listener) -> None:
    for _ in range(2 * CONNECTIONS):
        one, _ = begin(unix)
        one.close()
    eventually(lambda: len(unix.operated.left) == 2 * CONNECTIONS)  # type: ignore[attr-defined]
    eventually(lambda: not unix.server._connections)


@pytest.mark.parametrize("words, said", [
    (["--token", "--count", "3"], "polgate: `--count` says something of `--follow`, which is not given\n"),
    (["--follow", "--for", "3s"], "polgate: `--for` says something of `--token`, which is not given\n"),
])  # fmt: skip
def test_flags_of_the_other_way_are_not_ignored(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["trace", *words])
    assert (ended.value.code, capsys.readouterr()) == (2, ("", said))


# --- the supervisor's side -----------------------------------------------------------------------


class Worker:
    """A worker that says nothing by itself. `told`: what it was sent."""

    def __init__(self, state: State = State.READY) -> None:
        self.state = state
        self.told: list[dict[str, Any]] = []
        self.channel: Any = self

    def send(self, message: dict[str, Any]) -> None:
        self.told.append(message)


class Adding:
    """A follower that is being added by a thread of its own."""

    def __init__(self, followers: Followers, timeout: float = WAIT) -> None:
        self.follower = Follower("failure != none", "a")
        self.error: Refused | None = None
        self._thread = threading.Thread(target=self._add, args=(followers, timeout))
        self._thread.start()
        eventually(lambda: followers._new or not self._thread.is_alive())

    def _add(self, followers: Followers, timeout: float) -> None:
        try:
            followers.add(self.follower, timeout)
        except Refused as error:
            self.error = error

    @property
    def waits(self) -> bool:
        return self._thread.is_alive()

    def over(self) -> tuple[int, str] | None:
        self._thread.join(WAIT)
        assert not self.waits
        return None if self.error is None else (self.error.status, self.error.name)


def test_who_follows_begins_when_every_worker_that_serves_has_taken_it_up_or_ended() -> None:
    followers = Followers(lambda: None)
    one, two, late, gone = Worker(), Worker(), Worker(State.STARTING), Worker(State.LEAVING)
    workers: Any = [one, two, late, gone]
    adding = Adding(followers)
    followers.turn(workers, 0.0)
    assert one.told == two.told == [{"do": "follow", "id": 1, "expression": "failure != none", "service": "a"}]
    assert (late.told, gone.told) == (one.told, []), "one that starts serves nobody before it follows"
    assert followers.orders == one.told, "what one that starts later is told at once"
    followers.heard(workers[0], {"did": "follows", "id": 1, "error": ""})
    assert adding.waits
    followers.lost(workers[1])
    assert adding.over() is None
    adding.follower.leave()
    followers.turn(workers, 0.0)
    assert one.told[-1] == late.told[-1] == {"do": "unfollow", "id": 1} and followers.orders == []


def test_who_cannot_follow_is_told_and_the_workers_forget() -> None:
    followers = Followers(lambda: None)
    one: Any = Worker()
    adding = Adding(followers)
    followers.turn([one], 0.0)
    followers.heard(one, {"did": "follows", "id": 1, "error": "error[unknown-name]: …"})
    assert adding.over() == (422, "wrong-expression")
    followers.turn([one], 0.0)
    assert one.told[-1] == {"do": "unfollow", "id": 1}
    nobody = Adding(followers)
    followers.turn([], 0.0)
    assert nobody.over() == (503, "no-answer")
    silent = Adding(followers, 0.05)
    followers.turn([one], 0.0)
    assert silent.over() == (504, "no-answer")
    followers.turn([one], 0.0)
    assert one.told[-1] == {"do": "unfollow", "id": 3}


def test_nobody_follows_for_longer_than_an_hour() -> None:
    followers = Followers(lambda: None)
    one: Any = Worker()
    adding = Adding(followers)
    followers.turn([one], 0.0)
    followers.heard(one, {"did": "follows", "id": 1, "error": ""})
    assert adding.over() is None
    began = time.monotonic()
    followers.turn([one], began + LONGEST_FOLLOW - 60)
    assert not adding.follower.ended
    followers.turn([one], began + LONGEST_FOLLOW + 60)
    assert adding.follower.ended and one.told[-1] == {"do": "unfollow", "id": 1}
    followers.heard(one, {"did": "journal", "to": [1], "text": "{}"})
    assert [line["why"] for line in taken(adding.follower)] == ["journals can be followed for 3600 s"]
