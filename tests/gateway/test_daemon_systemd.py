"""A gateway under a service manager: what it is told, whose sockets are used, and what a restart loses."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import itertools

from daemons import WAIT, Daemon, ask, daemon, eventually

POLICY = """
gateway {
    LISTEN
    workers WORKERS
    access_log "off"
}

service hello "/hello" {
    respond 200, body: "TEXT"
}
"""
PASS_ON = """
import os, sys
passed = [int(number) for number in sys.argv[1].split(",") if number]
# As the manager does it: in this order from 3 on. First out of the way of one another.
high = [os.dup2(number, 100 + position) for position, number in enumerate(passed)]
for position, number in enumerate(high):
    os.dup2(number, 3 + position, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(passed))
os.environ["LISTEN_FDNAMES"] = ":".join("web" for _ in passed)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def write(folder: Path, listen: list[str], text: str = "one", workers: int = 1) -> None:
    lines = "\n    ".join(f'listen "{address}"' for address in listen)
    source = POLICY.replace("LISTEN", lines).replace("WORKERS", str(workers)).replace("TEXT", text)
    (folder / "policy.pol").write_text(source)


@contextmanager
def activated(folder: Path, sockets: list[socket.socket], environ: dict[str, str] | None = None) -> Iterator[Daemon]:
    numbers = [one.fileno() for one in sockets]
    command = ["-c", PASS_ON, ",".join(map(str, numbers)), "-m", "runtime.main", "run", "policy.pol"]
    with daemon(command, folder, environ, numbers) as started:
        yield started


def listening(like: socket.socket | None = None, reuse: bool = False) -> socket.socket:
    one = socket.socket()
    if reuse:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", 0) if like is None else like.getsockname())
    one.listen(512)
    return one


def address(one: socket.socket) -> str:
    return f"127.0.0.1:{one.getsockname()[1]}"


# --- what it hears ---------------------------------------------------------------------------------


class Notified:
    """Hears what the gateway says, with the time of each."""

    def __init__(self, place: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(place)
        self.socket.settimeout(0.1)
        self.heard: list[tuple[float, dict[str, str]]] = []
        self._ended = False
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ended:
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                continue
            self.heard.append((time.monotonic(), dict(line.split("=", 1) for line in text.split("\n"))))

    def states(self) -> list[str]:
        """What was said, without signs of life and mere words."""
        return [next(iter(one)) for _, one in self.heard if next(iter(one)) not in ("WATCHDOG", "STATUS")]

    def await_state(self, name: str, count: int = 1) -> dict[str, str]:
        eventually(lambda: self.states().count(name) >= count, f"no {name}")
        return [one for _, one in self.heard if name in one][count - 1]

    def alive(self) -> list[float]:
        return [when for when, one in self.heard if "WATCHDOG" in one]

    def close(self) -> None:
        self._ended = True
        self._thread.join(WAIT)
        self.socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Notified]:
    made = Notified("\0" + str(tmp_path / "notify"))
    yield made
    made.close()


def test_the_manager_hears_of_start_reload_and_end(tmp_path: Path, manager: Notified) -> None:
    write(tmp_path, ["127.0.0.1:0"])
    environ = {"NOTIFY_SOCKET": "@" + str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path, environ) as started:
        ready = manager.await_state("READY")
        port = started.ready()
        assert f"127.0.0.1:{port}" in ready["STATUS"] and ask(port, "/hello")[0] == 200
        eventually(lambda: len(manager.alive()) > 2, "no signs of life")
        write(tmp_path, ["127.0.0.1:0"], "two")
        started.send(signal.SIGHUP)
        reloading = manager.await_state("RELOADING")
        assert int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.await_state("READY", 2)
        assert ask(port, "/hello") == (200, b"two")
        (tmp_path / "policy.pol").write_text("nonsense")
        started.send(signal.SIGHUP)
        assert "failed" in manager.await_state("READY", 3)["STATUS"]
        (worker,) = started.children()
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()
        assert started.end() == 0
        assert int(manager.await_state("STOPPING")["EXTEND_TIMEOUT_USEC"]) > 30_000_000
        assert manager.states() == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]
        times = manager.alive()
        assert max(after - before for before, after in itertools.pairwise(times)) < 1.0


def test_there_is_no_sign_of_life_while_nobody_serves(tmp_path: Path, manager: Notified) -> None:
    write(tmp_path, ["127.0.0.1:0"])
    environ = {"NOTIFY_SOCKET": "@" + str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path, environ) as started:
        started.ready()
        eventually(lambda: len(manager.alive()) > 3, "no signs of life")
        (worker,) = started.children()
        os.kill(worker, signal.SIGSTOP)
        stopped = time.monotonic()
        started.await_line("no sign of life")
        eventually(lambda: len(started.children()) == 1 and worker not in started.children(), "not replaced")
        replaced = time.monotonic()
        eventually(lambda: manager.alive()[-1] > replaced, "no sign of life afterwards")
        # It goes by the last sign of the worker itself, at most 2 s old; then there is silence until another serves.
        times = [when for when in manager.alive() if when > stopped]
        assert max(after - before for before, after in itertools.pairwise(times)) > 0.2


def test_what_cannot_start_is_told_to_the_manager(tmp_path: Path, manager: Notified) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        write(tmp_path, [address(taken)])
        environ = {"NOTIFY_SOCKET": "@" + str(tmp_path / "notify")}
        with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path, environ) as started:
            assert started.wait() == 1
        eventually(lambda: manager.heard, "nothing is told")
        assert "another program listens there" in manager.heard[-1][1]["STATUS"]


# --- whose sockets ---------------------------------------------------------------------------------


def test_a_restart_loses_no_connection_where_the_manager_holds_the_socket(tmp_path: Path) -> None:
    with listening() as held:
        write(tmp_path, [address(held)])
        port = held.getsockname()[1]
        with activated(tmp_path, [held]) as started:
            started.ready()
            assert ask(port, "/hello") == (200, b"one")
            (worker,) = started.children()
            names = Path(f"/proc/{worker}/environ").read_bytes()
            assert b"LISTEN_FDS" not in names
            assert started.end() == 0
        waiting = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        waiting.request("GET", "/hello")  # nobody is there: it queues up
        with activated(tmp_path, [held]) as started:
            assert waiting.getresponse().read() == b"one"
            waiting.close()


def test_a_socket_that_the_policy_does_not_know_is_named(tmp_path: Path) -> None:
    with listening() as known, listening() as unknown:
        write(tmp_path, [address(known)])
        with activated(tmp_path, [known, unknown]) as started:
            assert started.wait() == 1
            assert started.lines == [
                f"the service manager passes a socket for `{address(unknown)}`, where the policy does not listen: "
                "name the address in `listen`, or take it out of the socket unit"
            ]


def test_what_is_no_listening_socket_is_refused(tmp_path: Path) -> None:
    write(tmp_path, ["127.0.0.1:0"])
    with socket.socket(socket.AF_UNIX) as other, activated(tmp_path, [other]) as started:
        assert started.wait() == 1
        assert started.lines == [
            "the service manager passes `web`, which is no TCP socket: take it out of the unit"
        ]


def test_passed_and_own_sockets_stand_side_by_side_over_reloads(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    own = free_port()
    with listening() as held:
        port = held.getsockname()[1]
        write(tmp_path, [address(held), f"127.0.0.1:{own}"], workers=2)
        with activated(tmp_path, [held]) as started:
            started.ready()
            assert {ask(one, "/hello") for one in (port, own)} == {(200, b"one")}
            for listen, workers in (([f"127.0.0.1:{own}"], 2), ([address(held)], 3), ([address(held)], 1)):
                write(tmp_path, listen, f"{workers} on {listen}".replace('"', ""), workers)
                after = len(started.lines)
                started.send(signal.SIGHUP)
                started.await_line("the policy was reloaded", after)
                at = int(listen[0].rpartition(":")[2])
                for _ in range(6):
                    assert ask(at, "/hello")[1].decode().startswith(f"{workers} on")


def spread(started: Daemon, port: int, count: int) -> list[int]:
    """How many of so many connections at once each worker holds."""
    with ExitStack() as opened:
        ends = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in ends:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        for one in ends:
            one.setblocking(True)
            one.settimeout(WAIT)
            one.sendall(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        for one in ends:
            assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        established = {
            f"socket:[{row[9]}]" for row in rows if row[3] == "01" and int(row[1].rpartition(":")[2], 16) == port
        }
        return [len(established & _open_files(worker)) for worker in started.children()]


def _open_files(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(os.readlink(link))
    return found


@pytest.mark.parametrize("reuse", [False, True], ids=["shared", "siblings"])
def test_a_passed_socket_is_split_over_the_workers(tmp_path: Path, reuse: bool) -> None:
    with listening(reuse=reuse) as held:
        write(tmp_path, [address(held)], workers=2)
        with activated(tmp_path, [held]) as started:
            started.ready()
            shares = spread(started, held.getsockname()[1], 100)
            assert sum(shares) == 100, shares
            assert min(shares) >= 15, f"one worker has it nearly all: {shares}"


def test_the_admin_listener_moves_with_a_reload(tmp_path: Path, free_port: Callable[[], int]) -> None:
    admin = free_port()
    write(tmp_path, ["127.0.0.1:0"])
    source = (tmp_path / "policy.pol").read_text()
    both = f'access_log "off"\n    admin "127.0.0.1:{admin}"'
    (tmp_path / "policy.pol").write_text(source.replace('access_log "off"', both))
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as started:
        port = started.ready()
        assert ask(admin, "/readyz")[0] == 200
        moved = free_port()
        text = (tmp_path / "policy.pol").read_text()
        (tmp_path / "policy.pol").write_text(text.replace(str(admin), str(moved)).replace("one", "two"))
        after = len(started.lines)
        started.send(signal.SIGHUP)
        started.await_line("the policy was reloaded", after)
        status, body = ask(moved, "/readyz?verbose")
        assert status == 200, body
        assert ask(port, "/hello") == (200, b"two")
        eventually(lambda: _refused(admin), "the old admin listener stays")


def _refused(port: int) -> bool:
    try:
        ask(port, "/livez")
    except OSError:
        return True
    return False
