"""Caches of several workers over real stores: LMDB, killed while it writes, and a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opened_entries import Opened, in_cluster, on_machine

from policylang.sdk import Client, Exchange, Response, Unavailable
from policylang.sdk.bench import make_fields
from policylang.sdk.caches import ANSWERS, Life, Name, asked
from runtime.caches.entry import name_bytes, unpacked
from runtime.caches.worker_caches import AGAIN, SKEW, WorkerCaches, _key
from runtime.edge.request import ReceivedRequest

NAMES = 40
KILLS = 3


def over(opened: Opened, alone: bool) -> WorkerCaches:
    return WorkerCaches(opened.entries, opened.clock, alone, opened.reports.append, defects.append)


defects: list[BaseException] = []


@pytest.fixture(autouse=True)
def _no_defects() -> Iterator[None]:
    yield
    assert not defects


def exchange(body: bytes = b"", **fields: str) -> Exchange:
    request = ReceivedRequest("GET", "/x", None, make_fields(fields), host="h")
    request.trace = None
    environment: Any = None
    one = Exchange(request, Client("192.0.2.1", 4), environment)
    one.response = Response(200, make_fields({"Vary": "Accept"} if fields else {}), body)
    return one


def name_of(number: int) -> Name:
    return (b"12345678", "http", "h", f"/{number}", None)


def body_of(number: int, turn: int) -> bytes:
    return b"%d of %d;" % (turn, number) * (1 + turn * 997 % 3000)


def keep(opened: Opened, caches: WorkerCaches, number: int, body: bytes, ttl: float = 60.0, **fields: str) -> Any:
    one, ended = exchange(body, **fields), []
    life = Life(ttl, 0.0, (b"accept",) if fields else ())
    since = opened.clock.wall()
    assert caches.keep(one, name_of(number), asked(one.request), life, 1 << 20, since, ended.append)
    opened.until(lambda: ended, "it was neither kept nor refused")
    return ended[0]


def find(opened: Opened, caches: WorkerCaches, number: int, **fields: str) -> Any:
    found = opened.ask(caches.answer(exchange(**fields), name_of(number), 3600_000_000_000))
    return found if isinstance(found, str) else found.body


def write_for_ever(folder: Path) -> None:
    """In a process of its own, until it is killed."""
    with on_machine(folder) as opened:
        caches = over(opened, True)
        turn = 0
        while True:
            for number in range(NAMES):
                keep(opened, caches, number, body_of(number, turn))
                if (number + turn) % 7 == 0:
                    caches.drop(name_of(number))
            turn += 1
            if turn == 1:
                print("begun", flush=True)


def test_a_killed_writer_leaves_whole_answers_or_none(tmp_path: Path) -> None:
    there = 0
    for wait in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, __file__, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        try:
            assert writer.stdout is not None and writer.stdout.readline() == b"begun\n"
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(0.02 * wait)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait(20)
            writer.stdout.close()  # type: ignore[union-attr]
        with on_machine(tmp_path) as opened:
            caches = over(opened, True)
            for number in range(NAMES):
                raw = name_bytes(name_of(number))
                data = opened.ask(opened.entries.read(ANSWERS, _key(raw)))
                assert data is None or unpacked(data, raw) is not None
                body = find(opened, caches, number)
                if isinstance(body, bytes):
                    there += 1
                    turn = int(body.split(b" ")[0])
                    assert body == body_of(number, turn)
    assert there > NAMES / 2  # an environment in doubt may be thrown away, but not each time


def test_workers_of_a_machine_share_what_they_keep(tmp_path: Path) -> None:
    with on_machine(tmp_path) as opened:
        one, other = (over(opened, True) for _ in range(2))
        assert keep(opened, one, 1, b"plain") is True
        assert keep(opened, one, 2, b"json", accept="json") is True
        assert find(opened, other, 1) == b"plain"
        assert find(opened, other, 2, accept="json") == b"json"
        assert find(opened, other, 2, accept="xml") == "vary-miss"
        assert keep(opened, other, 2, b"<xml/>", accept="xml") is True
        assert (find(opened, one, 2, accept="xml"), find(opened, one, 2, accept="json")) == (b"<xml/>", b"json")
        one.drop(name_of(2))
        opened.clock.offset += 0.1
        assert find(opened, other, 2, accept="json") == "uri-miss"
        opened.clock.offset += 60
        assert find(opened, other, 1) == "uri-miss"


def test_gateways_of_a_cluster_share_what_they_keep(request: pytest.FixtureRequest) -> None:
    members = request.getfixturevalue("_one")
    members.heal()
    with in_cluster(members) as here, in_cluster(members) as there:
        one = over(here, False)
        other = over(there, False)
        number = os.getpid()
        assert keep(here, one, number, b"shared") is True
        assert find(there, other, number) == b"shared"
        assert keep(here, one, number + 1, b"json", accept="json") is True
        assert find(there, other, number + 1, accept="json") == b"json"
        one.drop(name_of(number))
        here.until(lambda: not one.under_way, "it is not forgotten")
        assert find(here, one, number) == "uri-miss"
        there.clock.offset += AGAIN / 1e9
        assert find(there, other, number) == "uri-miss"
        there.clock.offset += 60 - SKEW
        assert find(there, other, number + 1, accept="json") == "uri-miss"
        there.clock.offset = 0.0
        one.keep_value(b"12345678v", b"1", 60.0)
        here.until(lambda: not one.under_way, "the value is not kept")
        assert there.ask(other.value(b"12345678v")) == b"1"


def test_a_cluster_that_is_away_is_passed_by(request: pytest.FixtureRequest) -> None:
    members = request.getfixturevalue("_one")
    members.heal()
    with in_cluster(members, deadline=0.3) as here:
        caches = over(here, False)
        here.loop.run_until_complete(here.cluster.stop())  # type: ignore[union-attr]
        assert find(here, caches, 1) == "bypass"
        assert keep(here, caches, 1, b"nowhere") is False
        with pytest.raises(Unavailable):
            here.ask(caches.drop_value(b"12345678v"))


if __name__ == "__main__":
    write_for_ever(Path(sys.argv[1]))
