"""The parts of supervisor and worker that need no process: frames, addresses, settings, slots, the store's face."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.check import check_text
from policylang.sdk import Decision, Unavailable
from runtime.stores import StoreFull
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.folder import FolderClaim
from runtime.stores.machine import SWEEP_BUSY, SWEEP_INTERVAL, MachineStore
from runtime.workers.child import BACK_OFF, YOUNG, Child, Slot, spawn
from runtime.workers.control import Channel, ChannelBroken, Message
from runtime.workers.policy import Reader, check_again, pack, unpack
from runtime.workers.settings import (
    GatewaySettings,
    ListenerSettings,
    Loaded,
    PolicyRefused,
    StoreSettings,
    gateway_settings,
)  # fmt: skip
from runtime.workers.sockets import CannotListen, open_sockets, split_address, url

# --- the channel ---------------------------------------------------------------------------------


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = socket.socketpair()
    pair = Channel(ours), Channel(theirs)
    yield pair
    for end in pair:
        end.close()


def exchanged(sender: Channel, receiver: Channel) -> list[tuple[Message, list[socket.socket]]]:
    frames = receiver.receive()
    while sender.unsent:
        sender.flush()
        frames += receiver.receive()
    return frames


def test_a_frame_larger_than_any_buffer_arrives_whole(ends: tuple[Channel, Channel]) -> None:
    text = "x" * 5_000_000
    ends[0].send({"do": "start", "text": text})
    ends[0].send({"do": "stop"})
    first, second = exchanged(*ends)
    assert first[0]["text"] == text and second[0]["do"] == "stop"


def test_sockets_come_with_their_frame(ends: tuple[Channel, Channel]) -> None:
    ends[0].send({"do": "filler", "text": "y" * 1_000_000})
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        names = [one.getsockname(), two.getsockname()]
        ends[0].send({"do": "commit"}, [one.fileno(), two.fileno()])
        ends[0].send({"do": "stop"})
    filler, commit, stop = exchanged(*ends)
    assert [got.getsockname() for got in commit[1]] == names
    assert not filler[1] and not stop[1]
    assert not any(os.get_inheritable(got.fileno()) for got in commit[1])
    for got in commit[1]:
        got.close()


def test_the_end_of_the_other_side_is_seen_after_its_last_words(ends: tuple[Channel, Channel]) -> None:
    ends[0].send({"did": "failed"})
    ends[0].close()
    assert [message["did"] for message, _ in ends[1].receive()] == ["failed"]
    assert ends[1].closed
    ends[1].send({"do": "nothing"})
    assert not ends[1].unsent


@given(st.binary(min_size=4, max_size=200))
def test_noise_is_refused_or_waited_for(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        channel = Channel(theirs)
        ours.sendall(data)
        try:
            frames = channel.receive()
        except ChannelBroken:
            frames = []
        assert all(isinstance(message, dict) for message, _ in frames)
        channel.close()


# --- addresses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:80", ("::1", 80)), ("0.0.0.0:0", ("0.0.0.0", 0))],
)
def test_addresses(text: str, found: tuple[str, int]) -> None:
    assert split_address(text) == found


@pytest.mark.parametrize("text", ["", "8080", ":8080", "localhost", "::1:80", "127.0.0.1:", "127.0.0.1:x", "a:65536"])
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(CannotListen, match="cannot listen on"):
        split_address(text)


def test_sockets_of_one_address_share_its_port_and_nobody_else_does() -> None:
    sockets = open_sockets("127.0.0.1:0", 3)
    try:
        assert len({one.getsockname() for one in sockets}) == 1
        assert url(sockets[0]).startswith("http://127.0.0.1:")
        address = url(sockets[0]).removeprefix("http://")
        with pytest.raises(CannotListen, match="another program listens there"):
            open_sockets(address, 1)
        more = open_sockets(address, 1, like=sockets[0])
        more[0].close()
    finally:
        for one in sockets:
            one.close()


# --- policies ------------------------------------------------------------------------------------


def test_settings_of_the_gateway_block() -> None:
    checked = check_text(
        'gateway {\n    listen "127.0.0.1:1"\n    listen "[::1]:2"\n    workers 3\n    access_log "off"\n'
        '    store embedded, path: "/somewhere"\n    timeouts drain: 5s, drain_delay: 1s\n}\n'
        'service a "/" { respond 200 }\n'
    )
    assert checked.program is not None, checked.diagnostics
    assert gateway_settings(checked.program.gateway) == GatewaySettings(
        listen=(ListenerSettings("127.0.0.1:1"), ListenerSettings("[::1]:2")), workers=3,
        store=StoreSettings("/somewhere"), access_log="off", drain=5.0, drain_delay=1.0,
    )  # fmt: skip


def test_settings_left_out_have_the_defaults_of_the_language() -> None:
    program = check_text('service a "/" { respond 200 }\n').program
    assert program is not None
    assert gateway_settings(program.gateway) == GatewaySettings()


def test_a_worker_checks_the_bytes_that_the_supervisor_read(tmp_path: Path) -> None:
    place = tmp_path / "policy.pol"
    (tmp_path / "clients.json").write_text('{"k": {"id": "ann"}}')
    place.write_text(
        'map clients, file: "clients.json"\n'
        'service a "/" {\n    api_key request.header["X-API-Key"], in: map("clients") -> who\n    respond 200\n}\n'
    )
    loaded = Reader([str(place)], workers=2, listen=["127.0.0.1:0"]).load()
    assert (loaded.settings.workers, loaded.settings.addresses) == (2, ("127.0.0.1:0",))
    for file in tmp_path.iterdir():
        file.unlink()
    program = check_again(*unpack(pack(loaded)))
    assert program.hash == loaded.hash and program.files == loaded.files
    with pytest.raises(PolicyRefused):
        check_again(loaded.paths, {str(place): loaded.files[str(place)]})


def test_an_absent_file_is_told_as_unreadable(tmp_path: Path) -> None:
    with pytest.raises(PolicyRefused) as refused:
        Reader([str(tmp_path / "absent.pol")]).load()
    assert refused.value.unreadable and "absent.pol" in refused.value.report


def test_a_file_of_tests_is_not_served(tmp_path: Path) -> None:
    place = tmp_path / "policy_test.pol"
    place.write_text('service a "/" { respond 200 }\n')
    with pytest.raises(PolicyRefused) as refused:
        Reader([str(place)]).load()
    assert refused.value.report == (
        f"`{place}` holds tests: name the policy that it imports, and run them with `pol test {place}`"
    )


def test_binary_files_travel() -> None:
    loaded = Loaded(("a",), {"a": bytes(range(256))}, "hash", GatewaySettings())
    assert unpack(pack(loaded)) == (["a"], loaded.files)


# --- slots ---------------------------------------------------------------------------------------


def test_a_slot_backs_off_from_workers_that_die_young() -> None:
    slot = Slot(0)
    now = 1000.0
    delays = []
    for _ in range(len(BACK_OFF) + 2):
        delays.append(slot.died(now, now))
    assert delays == [*BACK_OFF, BACK_OFF[-1], BACK_OFF[-1]]
    assert slot.died(now - YOUNG - 1, now) == 0.0
    assert slot.next_start == now


def test_how_a_worker_ended_is_told_in_words() -> None:
    child: Child = spawn(0, ["/bin/sh", "-c", "kill -9 $$"], 0.0)
    child.process.wait(10)
    assert child.fate() == "was killed by SIGKILL"
    child.channel.close()


# --- the store -----------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[MachineStore, list[str]]]:
    claim = FolderClaim.take(tmp_path / "store", rates_bytes=1 << 20)
    told: list[str] = []
    made = MachineStore(EmbeddedStore.open(tmp_path / "store"), told.append)
    yield made, told
    made.close()
    claim.release()


def admitted(store: MachineStore, key: bytes, now: int, count: bool = True) -> bool:
    decision = store.admit(key, 2, 1_000_000_000, 0, now, count=count)
    assert isinstance(decision, Decision)
    return decision.admitted


def test_the_store_counts_or_only_asks(store: tuple[MachineStore, list[str]]) -> None:
    assert [admitted(store[0], b"k", 1, count=False) for _ in range(5)] == [True] * 5
    assert [admitted(store[0], b"k", 1) for _ in range(3)] == [True, True, False]
    assert not admitted(store[0], b"k", 2, count=False)


def test_a_full_store_is_told_to_the_log_and_not_to_the_client(store: tuple[MachineStore, list[str]]) -> None:
    made, told = store
    with pytest.raises(Unavailable) as error:
        for number in range(100_000):
            admitted(made, b"a key of some length %d" % number, 1)
    assert "store" in str(error.value) and "%" not in str(error.value) and "/" not in str(error.value)
    assert len(told) == 1 and "full" in told[0]
    assert isinstance(error.value.__context__, StoreFull)


def test_sweeps_come_quickly_while_there_is_much_to_sweep(store: tuple[MachineStore, list[str]]) -> None:
    made, _ = store
    for number in range(200):
        admitted(made, b"key %d" % number, 1)
    later = 10_000_000_000
    intervals = [made.sweep(later) for _ in range(5)]
    assert intervals[0] == SWEEP_BUSY and intervals[-1] == SWEEP_INTERVAL
