"""What the supervisor tells and hears outside itself: service manager, passed sockets, watched files."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from policylang.check import check_text
from runtime.workers.inherited import Inherited, sharing
from runtime.workers.notify import Notifier
from runtime.workers.settings import (
    GatewaySettings,
    ListenerSettings,
    gateway_settings,
    packed_listeners,
    unpacked_listeners,
)
from runtime.workers.sockets import CannotListen
from runtime.workers.watch import IMPATIENT, Mark, Watch, marks

# --- the service manager hears ---------------------------------------------------------------------


class Notified:
    """The socket that a service manager listens on."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        texts = []
        while True:
            try:
                texts.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return texts


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Notified]]:
    name = f"polgate-test-{os.getpid()}"
    place, shown = ("\0" + name, "@" + name) if request.param == "abstract" else (str(tmp_path / "n"),) * 2
    made = Notified(place)
    yield shown, made
    made.socket.close()


def test_a_service_manager_hears_of_start_reload_and_end(manager: tuple[str, Notified]) -> None:
    address, heard = manager[0], manager[1].heard
    environ = {"NOTIFY_SOCKET": address, "HOME": "/"}
    notifier = Notifier.take(environ)
    assert environ == {"HOME": "/"}, "the workers would hear of it"
    notifier.ready("serving\nwell")
    assert heard() == ["READY=1\nSTATUS=serving well"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    first, stamp, _ = heard()[0].split("\n")
    assert first == "RELOADING=1" and before <= int(stamp.removeprefix("MONOTONIC_USEC="))
    notifier.stopping("draining", 47.5)
    assert heard() == ["STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=47500000"]
    notifier.alive(1.0, well=True)
    assert heard() == [], "a sign of life that nobody wants"
    notifier.close()


def test_signs_of_life_come_twice_in_the_watchdogs_time_and_only_while_all_is_well(
    manager: tuple[str, Notified],
) -> None:
    environ = {"NOTIFY_SOCKET": manager[0], "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier.take(environ)
    assert environ == {} and notifier.watchdog == 5.0
    sent = []
    for now in range(100, 121):
        notifier.alive(float(now), well=not 108 <= now < 113)
        sent += [now] * len(manager[1].heard())
    assert sent == [100, 105, 113, 118]
    assert notifier.due() == 123.0
    notifier.close()


def test_a_watchdog_for_another_process_is_not_ours() -> None:
    assert Notifier.take({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}).watchdog == 0.0
    assert Notifier.take({"WATCHDOG_USEC": "soon"}).watchdog == 0.0


def test_a_manager_that_is_away_or_does_not_read_holds_up_nothing(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nobody")).ready("serving")
    Notifier("").ready("serving")
    deaf = Notified(str(tmp_path / "deaf"))
    notifier = Notifier(str(tmp_path / "deaf"))
    for _ in range(2000):
        notifier.status("x" * 200)
    assert 0 < len(deaf.heard()) < 2000
    notifier.close()
    deaf.socket.close()


# --- sockets that it passes ------------------------------------------------------------------------


def listening(reuse: bool = False, like: socket.socket | None = None) -> socket.socket:
    one = socket.socket()
    if reuse:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", 0) if like is None else like.getsockname())
    one.listen(10)
    return one


def address(one: socket.socket) -> str:
    return f"127.0.0.1:{one.getsockname()[1]}"


def test_one_socket_without_the_option_is_shared() -> None:
    one = listening()
    inherited = Inherited([one])
    sockets = inherited.open(address(one), 3)
    assert sockets is not None and len(sockets) == 3 and sharing(sockets)
    assert {each.getsockname() for each in sockets} == {one.getsockname()}
    for each in sockets:
        each.close()
    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), "the original lives on"
    inherited.close()


def test_a_socket_with_the_option_gets_siblings() -> None:
    one = listening(reuse=True)
    inherited = Inherited([one])
    sockets = inherited.open(address(one), 3)
    assert sockets is not None and len(sockets) == 3 and not sharing(sockets)
    for each in sockets:
        each.close()
    inherited.close()


def test_several_sockets_of_one_address_go_to_a_worker_each() -> None:
    first = listening(reuse=True)
    second = listening(reuse=True, like=first)
    inherited = Inherited([first, second])
    sockets = inherited.open(address(first), 2)
    assert sockets is not None and not sharing(sockets)
    inodes = {os.fstat(each.fileno()).st_ino for each in sockets}
    assert inodes == {os.fstat(one.fileno()).st_ino for one in (first, second)}
    for each in sockets:
        each.close()
    inherited.close()


def test_a_socket_that_nothing_listens_on_is_named() -> None:
    one, two = listening(), listening()
    inherited = Inherited([one, two])
    inherited.check([address(one), address(two), "127.0.0.1:1"])
    with pytest.raises(CannotListen, match=f"`{address(two)}`, where the policy does not listen"):
        inherited.check([address(one)])
    assert inherited.open("127.0.0.1:1", 1) is None
    inherited.close()


def test_variables_for_another_process_are_left_alone() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
    assert not Inherited.take(environ)
    assert environ == {}


# --- watched files ---------------------------------------------------------------------------------


class Looking:
    """A watch whose looks are ours to take, and a reader that reads as soon as it is told."""

    def __init__(self, *paths: Path) -> None:
        self.paths = [str(path) for path in paths]
        self.read: dict[str, Mark] = marks(self.paths)
        self.told: list[list[str]] = []
        self.watch = Watch(lambda: self.read, self._changed)
        self.watch.look()

    def _changed(self, names: list[str]) -> None:
        self.told.append([Path(name).name for name in names])
        self.read = marks(self.paths)

    def looks(self, count: int = 3) -> list[list[str]]:
        for _ in range(count):
            self.watch.look()
        told, self.told = self.told, []
        return told


def test_a_change_is_told_once_and_when_it_stands_still(tmp_path: Path) -> None:
    file = tmp_path / "policy.pol"
    file.write_text("one")
    looking = Looking(file)
    assert looking.looks() == []
    file.write_text("two")
    assert looking.looks(1) == [], "it may still be written"
    file.write_text("three")
    assert looking.looks(1) == []
    assert looking.looks() == [["policy.pol"]]
    assert looking.looks() == []


def test_what_never_stands_still_is_read_nevertheless(tmp_path: Path) -> None:
    file = tmp_path / "policy.pol"
    file.write_text("")
    looking = Looking(file)
    for number in range(IMPATIENT + 1):
        file.write_text("x" * (number + 1))
        looking.watch.look()
    assert len(looking.told) == 1


def test_an_editor_that_replaces_the_file_is_seen_and_one_that_removes_it(tmp_path: Path) -> None:
    file, other = tmp_path / "policy.pol", tmp_path / "clients.json"
    file.write_text("one")
    other.write_text("{}")
    looking = Looking(file, other)
    stamp = file.stat().st_mtime_ns
    new = tmp_path / "policy.pol~"
    new.write_text("two")
    os.utime(new, ns=(stamp, stamp))  # the same time and size: only the file is another
    new.replace(file)
    assert looking.looks() == [["policy.pol"]]
    other.unlink()
    assert looking.looks() == [["clients.json"]]
    other.write_text("{}")
    assert looking.looks() == [["clients.json"]]


def test_a_link_that_changes_its_target_is_seen(tmp_path: Path) -> None:
    """As Kubernetes changes a ConfigMap: `policy.pol -> ..data/policy.pol`, `..data -> ..2026_1`."""
    for number in (1, 2):
        (tmp_path / f"..2026_{number}").mkdir()
        (tmp_path / f"..2026_{number}" / "policy.pol").write_text(str(number))
    (tmp_path / "..data").symlink_to("..2026_1")
    (tmp_path / "policy.pol").symlink_to("..data/policy.pol")
    looking = Looking(tmp_path / "policy.pol")
    assert looking.looks() == []
    (tmp_path / "..data_tmp").symlink_to("..2026_2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert looking.looks() == [["policy.pol"]]


def test_a_reading_that_lasts_is_not_ordered_again(tmp_path: Path) -> None:
    file = tmp_path / "policy.pol"
    file.write_text("one")
    looking = Looking(file)
    told = []
    looking.watch = Watch(lambda: looking.read, told.append)  # whose reader takes its time
    file.write_text("two two")
    looking.looks(5)
    assert len(told) == 1
    file.write_text("three three three")
    looking.looks(5)
    assert len(told) == 2


# --- listeners -------------------------------------------------------------------------------------


def settings_of(gateway: str) -> GatewaySettings:
    program = check_text(f'gateway {{\n{gateway}\n}}\nservice a "/" {{ respond 200 }}\n').program
    assert program is not None
    return gateway_settings(program.gateway)


def test_options_of_a_listener_travel_to_the_workers() -> None:
    settings = settings_of(
        'listen "127.0.0.1:1", cert: ["a.pem", "/b.pem"], key: ["a.key", "/b.key"], client_ca: "ca.pem", '
        'client_cert: optional, crl: "crl.pem", min_tls: "1.3", proxy_protocol: true\n'
        'listen "127.0.0.1:2", cert: "c.pem"\n'
        "timeouts handshake: 3s"
    )
    first, second = settings.listen
    assert first == ListenerSettings(
        "127.0.0.1:1", ("a.pem", "/b.pem"), ("a.key", "/b.key"), "ca.pem", "optional", "crl.pem", "1.3", True, 3.0
    )
    assert second == ListenerSettings("127.0.0.1:2", ("c.pem",), ("c.pem",), handshake=3.0)
    assert unpacked_listeners(packed_listeners(settings)) == settings.listen


def test_files_of_a_listener_lie_beside_the_policy_that_names_them(tmp_path: Path) -> None:
    from runtime.workers.policy import Reader

    (tmp_path / "main.pol").write_text('import "edge/listen.pol"\nservice a "/" { respond 200 }\n')
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "listen.pol").write_text('gateway {\n    listen "127.0.0.1:1", cert: "../api.pem"\n}\n')
    reader = Reader([str(tmp_path / "main.pol")])
    (listener,) = reader.load().settings.listen
    assert listener.cert == listener.key == (str(tmp_path / "api.pem"),)
    assert set(reader.marks) == {str(tmp_path / "main.pol"), str(tmp_path / "edge" / "listen.pol")}
