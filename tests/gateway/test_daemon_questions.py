"""What an operator asks of one worker, by way of the supervisor: answers, refusals, deadlines, deaths."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from daemons import WAIT, Daemon, ask_json, eventually
from test_daemon_supervisor import supervised

from runtime.admin.messages import Refused
from runtime.workers.questions import Questions


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Daemon]:
    with supervised(tmp_path, workers=1) as (started, _):
        started.ready()
        yield started


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Daemon]:
    with supervised(tmp_path, workers=2) as (started, _):
        started.ready()
        yield started


def ask(folder: Path, what: str, arguments: dict[str, Any] | None = None, timeout: float = WAIT) -> Any:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(WAIT + timeout)
        asking.connect(str(folder / "asked"))
        with asking.makefile("rw") as lines:
            lines.write(json.dumps([what, arguments or {}, timeout]) + "\n")
            lines.flush()
            return json.loads(lines.readline())


def test_one_worker_answers(one: Daemon, tmp_path: Path) -> None:
    assert ask(tmp_path, "echo", {"a": [1, "ü"]}) == {"a": [1, "ü"], "pid": one.children()[0]}
    assert ask(tmp_path, "late", {"seconds": 0.05}) == "at last"


def test_questions_do_not_wait_for_each_other(one: Daemon, tmp_path: Path) -> None:
    answers: list[Any] = []
    late = threading.Thread(target=lambda: answers.append(ask(tmp_path, "late", {"seconds": 1.0})))
    late.start()
    for number in range(20):
        assert ask(tmp_path, "echo", {"n": number})["n"] == number
    assert answers == []
    late.join(WAIT)
    assert answers == ["at last"]


@pytest.mark.parametrize(
    "what, refused",
    [
        ("refuse", [422, "not-so", "it cannot be done", [["Allow", "GET"]]]),
        ("away", [503, "store-unavailable", "the store cannot answer: it is down", [["Retry-After", "3"]]]),
        ("nothing", [404, "not-found", "a worker of this version knows nothing of `nothing`", []]),
        ("huge", [500, "too-large", "the answer has more than 4194304 bytes", []]),
    ],
)
def test_what_is_not_answered_says_why(one: Daemon, tmp_path: Path, what: str, refused: list[Any]) -> None:
    assert ask(tmp_path, what) == {"refused": refused}


@pytest.mark.parametrize("what", ["wrong", "odd"])
def test_a_defect_is_answered_and_the_worker_lives_on(one: Daemon, tmp_path: Path, what: str) -> None:
    worker = one.children()
    status, name, detail, _ = ask(tmp_path, what)["refused"]
    assert (status, name) == (500, "defect") and detail.startswith("a defect of ours, logged as defect-")
    assert ask(tmp_path, "echo")["pid"] == worker[0]


def test_what_takes_too_long_is_given_up_and_a_late_answer_is_nobodys(one: Daemon, tmp_path: Path) -> None:
    began = time.monotonic()
    status, name, detail, _ = ask(tmp_path, "late", {"seconds": 0.6}, timeout=0.3)["refused"]
    assert (status, name) == (504, "no-answer") and "within 0.3 s" in detail
    assert time.monotonic() - began < 5
    assert ask(tmp_path, "late", {"seconds": 0.6}) == "at last"
    assert ask(tmp_path, "echo") == {"pid": one.children()[0]}


def test_a_worker_that_dies_over_a_question_is_told_at_once(two: Daemon, tmp_path: Path) -> None:
    began = time.monotonic()
    status, name, detail, fields = ask(tmp_path, "gone", timeout=WAIT)["refused"]
    assert (status, name) == (503, "no-answer") and "ended before it answered" in detail and fields
    assert time.monotonic() - began < WAIT / 2
    assert ask(tmp_path, "echo")["pid"] in two.children()


def test_without_a_worker_that_serves_nobody_waits() -> None:
    asking: Questions = Questions(lambda: asking.send([]))
    with pytest.raises(Refused, match="no worker is ready"):
        asking.ask("echo", {}, WAIT)


def test_a_replacement_answers(one: Daemon, tmp_path: Path) -> None:
    worker = one.children()[0]
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: ask(tmp_path, "echo").get("pid", worker) != worker, "nobody answers any more")


def test_a_worker_that_hangs_is_not_asked(two: Daemon, tmp_path: Path) -> None:
    port = two.ports()[0]
    hangs = ask_json(port)["pid"]
    os.kill(hangs, signal.SIGSTOP)
    try:
        time_out = time.monotonic() + 1.5  # the supervisor kills it after two seconds
        silent = []
        while time.monotonic() < time_out:
            silent.append(ask(tmp_path, "echo", timeout=0.3).get("pid"))
        assert hangs not in silent and None not in silent[-10:]
    finally:
        os.kill(hangs, signal.SIGCONT)
