"""What the supervisor does to workers, seen with stand-ins for them: deaths, hangs, reloads, drains."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from daemons import Daemon, alive, ask_json, daemon, eventually

STANDIN = str(Path(__file__).with_name("standin.py"))


def write(place: Path, **changed: Any) -> None:
    policy = {"hash": "one", "listen": ["127.0.0.1:0"], "workers": 1, **changed}
    place.with_suffix(".new").write_text(json.dumps(policy))
    place.with_suffix(".new").replace(place)


@contextmanager
def supervised(tmp_path: Path, **policy: Any) -> Iterator[tuple[Daemon, Path]]:
    place = tmp_path / "policy.json"
    write(place, **policy)
    with daemon([STANDIN, str(place)], tmp_path) as started:
        yield started, place


def test_every_worker_serves_and_term_ends_it_all(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as (started, _):
        port = started.ready()
        workers = started.children()
        assert len(workers) == 2
        eventually(lambda: len({ask_json(port)["pid"] for _ in range(20)}) == 2, "one worker gets no connection")
        assert started.end() == 0
        assert not any(map(alive, workers))


def test_a_killed_worker_is_replaced_and_no_connection_is_refused(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as (started, _):
        port = started.ready()
        (worker,) = started.children()
        os.kill(worker, signal.SIGKILL)
        answer = ask_json(port)  # waits in the socket that the supervisor holds
        assert answer["pid"] != worker
        assert "SIGKILL" in started.await_line("another one starts")


class Slow:
    """A request for /slow on its way, which a worker has begun to answer."""

    def __init__(self, port: int) -> None:
        self.answer: dict[str, Any] | None = None
        self._port = port
        before = ask_json(port)["open"]
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        eventually(lambda: ask_json(port)["open"] > before, "nobody answers /slow")

    def _ask(self) -> None:
        with suppress(OSError, http.client.HTTPException):
            self.answer = ask_json(self._port, "/slow")

    def wait(self) -> dict[str, Any] | None:
        self._thread.join(20)
        return self.answer


def test_others_go_on_while_one_worker_dies(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as (started, _):
        port = started.ready()
        victim = ask_json(port)["pid"]
        failed = []
        for number in range(40):
            if number == 10:
                os.kill(victim, signal.SIGKILL)
            try:
                ask_json(port)
            except (OSError, http.client.HTTPException) as error:
                failed.append(error)
        assert len(failed) <= 1, failed
        eventually(lambda: len(started.children()) == 2, "no replacement")


def test_a_crash_loop_backs_off(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as (started, _):
        port = started.ready()
        for death in range(3):
            worker = ask_json(port)["pid"]
            after = len(started.lines)
            os.kill(worker, signal.SIGKILL)
            line = started.await_line("another one starts", after)
            assert f"after={(0, 0.5, 1)[death]:g}s" in line


def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as (started, _):
        port = started.ready()
        worker = ask_json(port)["pid"]
        hung = socket.create_connection(("127.0.0.1", port), timeout=20)
        hung.sendall(b"GET /hang HTTP/1.1\r\n\r\n")
        began = time.monotonic()
        started.await_line("no sign of life")
        assert time.monotonic() - began > 1.5
        assert ask_json(port)["pid"] != worker
        assert started.await_line("standin.py"), "it does not say where it hung"
        hung.close()


def test_workers_are_not_blamed_for_a_supervisor_that_was_stopped(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as (started, _):
        port = started.ready()
        workers = set(started.children())
        started.send(signal.SIGSTOP)
        began = time.monotonic()
        while time.monotonic() - began < 2.4:
            ask_json(port)
        started.send(signal.SIGCONT)
        while time.monotonic() - began < 3:
            ask_json(port)
        assert set(started.children()) == workers


def test_workers_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as (started, _):
        started.ready()
        workers = started.children()
        started.send(signal.SIGKILL)
        for pid in workers:
            eventually(lambda pid=pid: not alive(pid), "a worker lives on")  # type: ignore[misc]


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_term_waits_for_a_slow_answer_and_refuses_new_connections(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as (started, _):
        port = started.ready()
        slow = Slow(port)
        started.send(signal.SIGTERM)
        eventually(lambda: refuses(port), "it still accepts")
        assert started.wait() == 0
        assert slow.wait()


def test_a_second_term_does_not_wait(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1, drain=30.0) as (started, _):
        port = started.ready()
        open_one = socket.create_connection(("127.0.0.1", port), timeout=20)
        open_one.sendall(b"GET /")
        eventually(lambda: ask_json(port)["open"] == 2, "the open connection is not seen")
        started.send(signal.SIGTERM)
        started.await_line("draining")
        assert started.process.poll() is None
        assert started.end(signal.SIGINT) == 0
        open_one.close()


def test_a_worker_that_is_told_to_end_drains_while_another_serves(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as (started, _):
        port = started.ready()
        worker = ask_json(port)["pid"]
        slow = Slow(port)
        os.kill(worker, signal.SIGTERM)
        eventually(lambda: ask_json(port)["pid"] != worker, "no other takes its place")
        answer = slow.wait()
        assert answer and answer["pid"] == worker


# --- reload --------------------------------------------------------------------------------------


def hashes(port: int, count: int = 12) -> set[str]:
    found = set()
    while count:
        try:
            found.add(ask_json(port)["hash"])
            count -= 1
        except ConnectionError:  # it was in the hands of a worker that was killed just then
            pass
    return found


def reloaded(started: Daemon, word: str = "the policy was reloaded") -> str:
    after = len(started.lines)
    started.send(signal.SIGHUP)
    return started.await_line(word, after)


def test_a_good_reload_switches_every_worker_and_keeps_them(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as (started, place):
        port = started.ready()
        workers = started.children()
        write(place, workers=2, hash="two")
        assert "policy=two" in reloaded(started)
        assert hashes(port) == {"two"}
        assert started.children() == workers


def test_a_bad_reload_keeps_the_old_policy_and_says_why(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as (started, place):
        port = started.ready()
        write(place, workers=2, report="error[unknown-name]: nobody knows `rat_limit`")
        reloaded(started, "unknown-name")
        assert hashes(port) == {"one"}
        write(place, workers=2, hash="three")
        reloaded(started)
        assert hashes(port) == {"three"}


def test_no_worker_switches_when_one_cannot(tmp_path: Path) -> None:
    for fault in ({"unfit": True}, {"kills": True}):
        with supervised(tmp_path, workers=2) as (started, place):
            port = started.ready()
            write(place, workers=2, hash="two", **fault)
            reloaded(started, "the old one goes on")
            assert hashes(port) == {"one"}
            eventually(lambda started=started: len(started.children()) == 2, "not replaced")  # type: ignore[misc]


def test_a_replacement_gets_the_policy_of_the_last_reload(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as (started, place):
        port = started.ready()
        write(place, hash="two")
        reloaded(started)
        write(place, hash="never read")
        os.kill(started.children()[0], signal.SIGKILL)
        assert ask_json(port)["hash"] == "two"


def test_signals_during_a_reload_lead_to_another_one(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as (started, place):
        port = started.ready()
        write(place, workers=2, hash="two")
        for _ in range(5):
            started.send(signal.SIGHUP)
        write(place, workers=2, hash="three")
        started.send(signal.SIGHUP)
        started.await_line("policy=three")
        assert hashes(port) == {"three"}


def test_listeners_come_and_go_with_a_reload(tmp_path: Path, free_port: Callable[[], int]) -> None:
    first, second = free_port(), free_port()
    with supervised(tmp_path, workers=2, listen=[f"127.0.0.1:{first}"]) as (started, place):
        started.ready()
        write(place, workers=2, hash="two", listen=[f"127.0.0.1:{first}", f"127.0.0.1:{second}"])
        reloaded(started)
        assert hashes(first) == hashes(second) == {"two"}
        write(place, workers=2, hash="three", listen=[f"127.0.0.1:{second}"])
        reloaded(started)
        assert hashes(second) == {"three"}

        eventually(lambda: refuses(first), "the old listener still answers")


def test_a_listener_that_is_taken_refuses_the_reload(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2) as (started, place), socket.create_server(("127.0.0.1", 0)) as other:
        port = started.ready()
        write(place, workers=2, hash="two", listen=["127.0.0.1:0", f"127.0.0.1:{other.getsockname()[1]}"])
        assert "another program listens there" in reloaded(started, "the old one goes on")
        assert hashes(port) == {"one"}


def test_the_number_of_workers_follows_the_policy(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=1) as (started, place):
        port = started.ready()
        write(place, workers=3, hash="two")
        reloaded(started)
        eventually(lambda: len({ask_json(port)["pid"] for _ in range(30)}) == 3, "a new worker gets no connection")
        write(place, workers=1, hash="three")
        reloaded(started)
        eventually(lambda: len(started.children()) == 1, "too many workers")
        assert hashes(port) == {"three"}


# --- starting ------------------------------------------------------------------------------------


def test_a_taken_address_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with supervised(tmp_path, listen=[address]) as (started, _):
            assert started.wait() == 1
            assert started.lines == [f"cannot listen on `{address}`: another program listens there"]


def test_a_second_daemon_does_not_share_the_address(tmp_path: Path) -> None:
    with supervised(tmp_path) as (started, _):
        port = started.ready()
        (tmp_path / "second").mkdir()
        with supervised(tmp_path / "second", listen=[f"127.0.0.1:{port}"]) as (second, _):
            assert second.wait() == 1
        assert ask_json(port)["hash"] == "one"


def test_workers_that_cannot_start_end_the_start(tmp_path: Path) -> None:
    with supervised(tmp_path, workers=2, fatal=True) as (started, _):
        assert started.wait() == 1
        assert "no such thing" in started.await_line("cannot start")
        assert not any("ready" in line for line in started.lines)
