"""Limits under a real daemon of three workers: waiting for one's turn, leaving, blackouts, and what is told of them."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from daemons import WAIT, Daemon, ask, daemon, eventually

POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers WORKERS
}

service shaped "/shaped" {
    rate_limit 6/s, name: "shaped", over: shape, wait: 10s
    respond 200
}

service one "/one" {
    rate_limit 1/min, name: "one", over: shape, queue: 1, wait: 1m
    respond 200
}

service rests "/rests" {
    rate_limit 3/min, name: "rests", blackout: 1h
    respond 200
}

service watched "/watched" {
    rate_limit [1/min, 9/hour], name: "watched", log_only: true
    respond 200
}
"""


def started(tmp_path: Path, workers: int) -> Iterator[tuple[Daemon, int]]:
    (tmp_path / "policy.pol").write_text(POLICY.replace("WORKERS", str(workers)))
    with daemon(["-m", "runtime.main", "run", str(tmp_path / "policy.pol")], tmp_path) as running:
        yield running, running.ready()


@pytest.fixture
def three(tmp_path: Path) -> Iterator[tuple[Daemon, int]]:
    yield from started(tmp_path, 3)


@pytest.fixture
def single(tmp_path: Path) -> Iterator[tuple[Daemon, int]]:
    yield from started(tmp_path, 1)


def test_limits_of_three_workers(three: tuple[Daemon, int]) -> None:
    running, port = three
    statuses: list[int] = []
    began = time.monotonic()
    clients = [threading.Thread(target=lambda: statuses.append(ask(port, "/shaped")[0])) for _ in range(15)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(WAIT)
    # Six pass at once, six more after a second, and three after two, whichever worker they wait in.
    assert statuses == [200] * 15
    assert time.monotonic() - began >= 1.99

    found = [ask(port, "/rests")[0] for _ in range(40)]
    assert found == [200] * 3 + [429] * 37, "on connections of their own, so by all workers"

    assert [ask(port, "/watched")[0] for _ in range(3)] == [200] * 3
    running.end()
    lines = [json.loads(line) for line in running.output]
    watched = [line["limits"] for line in lines if line["path"] == "/watched"]
    plain = {"name": "watched-min", "limit": 1, "remaining": 0}
    assert sorted(len(one[0]) for one in watched) == [3, 4, 4]
    for told in watched:
        assert told[0] == plain or told[0] == {**plain, "outcome": "exceeded"}
        assert told[1]["name"] == "watched-hour" and "outcome" not in told[1]
    refused = [line for line in lines if line["path"] == "/rests" and line["status"] == 429]
    assert {line["failure"] for line in refused} == {"rate-exceeded", "in-blackout"}
    assert sum(line["failure"] == "rate-exceeded" for line in refused) == 1


def test_who_leaves_gives_the_place_to_the_next(single: tuple[Daemon, int]) -> None:
    _, port = single
    assert ask(port, "/one")[0] == 200

    def waits(client: socket.socket) -> bool:
        """Whether it is let in to wait: who is not hears at once."""
        client.settimeout(0.5)
        client.sendall(b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert client.recv(4096).startswith(b"HTTP/1.1 429 ")
        except TimeoutError:
            return True
        return False

    def new() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=WAIT)

    first = new()
    assert waits(first)
    with new() as second:
        assert not waits(second), "the line is full"
        assert not waits(second)
    first.close()
    third = new()
    try:
        eventually(lambda: waits(third), "the place is free again")
    finally:
        third.close()
