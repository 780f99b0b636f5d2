"""What callers of the cluster's entries meet while members are killed, hang, are all away, or hold what is not ours."""

from __future__ import annotations

import asyncio
import builtins
import os
import secrets
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hazelcast.asyncio import HazelcastClient
from hazelcast.errors import HazelcastSerializationError
from hazelcast.serialization.serialization_const import PYTHON_TYPE_PICKLE
from members import Members
from opened_entries import WAIT, Opened, in_cluster

import runtime.cluster.entries as entries_module
from policylang.sdk import Unavailable
from policylang.sdk.store import Changed, Space
from runtime.cluster.frames import MapRequests, bool_answer, packed, packed_key
from runtime.cluster.spaces import map_name

DEADLINE = 0.1
SLACK = 1.0
"""Seconds that a busy machine may add to a deadline. (The client itself waits for 4 s and more.)"""


def fresh(ttl: float = 60.0) -> Space:
    return Space(f"f-{secrets.token_hex(6)}", "passing", ttl)


def add_one(before: bytes | None) -> Changed:
    number = int(before or b"0") + 1
    return Changed(number, b"%d" % number)


@pytest.fixture
def own_members() -> Iterator[Members]:
    """One that this test may do anything to, not started."""
    with Members(1) as members:
        yield members


async def timed(store: Opened, value: Any) -> tuple[float, Any]:
    """How long it took, and what came: an answer or Unavailable."""
    began = time.monotonic()
    try:
        answer = await store.drive(value)
    except Unavailable as error:
        answer = error
    return time.monotonic() - began, answer


def test_a_gateway_starts_while_the_cluster_is_away(own_members: Members) -> None:
    with in_cluster(own_members, deadline=2.0, connected=False) as store:
        told: list[str] = []
        assert store.cluster is not None
        store.cluster.on_connected.append(lambda: told.append("connected"))
        store.cluster.on_lost.append(lambda: told.append("lost"))
        took, answer = store.loop.run_until_complete(timed(store, store.entries.read(fresh(), b"k")))
        assert isinstance(answer, Unavailable) and took < SLACK
        took, answer = store.loop.run_until_complete(timed(store, store.entries.update(fresh(), b"k", add_one)))
        assert isinstance(answer, Unavailable) and took < SLACK
        store.until(lambda: store.reports, "nothing was reported")
        own_members.start()
        store.until(lambda: "connected" in told, "it does not connect")
        assert store.ask(store.entries.update(fresh(), b"k", add_one)) == 1
        own_members[0].kill()
        store.until(lambda: "lost" in told, "nobody was told")
        took, answer = store.loop.run_until_complete(timed(store, store.entries.read(fresh(), b"k")))
        assert isinstance(answer, Unavailable) and took < SLACK
        away = [line for line in store.reports if "is away" in line]
        assert len(away) == 1 and own_members.addresses[0] in away[0], store.reports
        assert sum("there again" in line for line in store.reports) == 1


def test_a_member_that_hangs(three_members: Members) -> None:
    """It costs its callers the deadline, and soon nothing; it keeps nobody from connecting; then all is as before."""
    space, keys = fresh(), [b"%d" % number for number in range(60)]
    with in_cluster(three_members) as store:
        store.all(*(store.entries.update(space, key, add_one) for key in keys))
    with in_cluster(three_members, deadline=DEADLINE) as store:

        async def round() -> list[tuple[float, Any]]:
            """Of all keys. A third of them that member has, of another third the copies."""
            return await gathered([timed(store, store.entries.update(space, key, add_one)) for key in keys])

        async def rounds(seconds: float) -> list[tuple[float, Any]]:
            outcomes, end = [], time.monotonic() + seconds
            while time.monotonic() < end:
                outcomes += await round()
                await asyncio.sleep(0.02)
            return outcomes

        three_members[0].freeze()
        with in_cluster(three_members, connected=False) as other:
            assert other.cluster is not None
            other.cluster._client._config.shuffle_member_list = False  # the one that hangs is asked first
            first = store.loop.run_until_complete(rounds(0.5))
            then = store.loop.run_until_complete(rounds(1.0))
            assert max(took for took, _ in first + then) < DEADLINE + SLACK
            away = sum(isinstance(answer, Unavailable) for _, answer in then)
            assert 0 < away < len(then), "some keys are away, not all"
            waited = sum(took > DEADLINE / 2 for took, answer in then if isinstance(answer, Unavailable))
            assert waited < 50 + len(then) // 10, f"{waited} of {len(then)} still wait"
            other.until(lambda: other.cluster is not None and other.cluster.connected, "no connection")
        three_members[0].resume()
        end = time.monotonic() + WAIT
        while any(isinstance(answer, Unavailable) for _, answer in store.loop.run_until_complete(round())):
            assert time.monotonic() < end, "it does not recover"


async def gathered(values: list[Any]) -> list[Any]:
    return list(await asyncio.gather(*values))


def test_a_killed_member_loses_nothing_that_was_acknowledged(three_members: Members) -> None:
    space, keys = fresh(), [b"%d" % number for number in range(20)]
    with in_cluster(three_members, deadline=1.0) as store:
        counted = dict.fromkeys(keys, 0)
        doubtful = dict.fromkeys(keys, 0)
        stop = False

        async def count(key: bytes) -> None:
            while not stop:
                _, answer = await timed(store, store.entries.update(space, key, add_one))
                if isinstance(answer, Unavailable):
                    doubtful[key] += 1
                    await asyncio.sleep(0.02)
                else:
                    counted[key] += 1

        async def run() -> None:
            nonlocal stop
            tasks = [asyncio.ensure_future(count(key)) for key in keys]
            await until_counted(counted, dict.fromkeys(keys, 20))
            three_members[0].kill()
            await until_counted(counted, {key: number + 40 for key, number in counted.items()})
            stop = True
            await asyncio.gather(*tasks)

        store.loop.run_until_complete(run())
        for key in keys:
            there = int(store.ask(store.entries.read(space, key)))
            assert counted[key] <= there <= counted[key] + doubtful[key], (key, there, counted[key], doubtful[key])


async def until_counted(counted: dict[bytes, int], least: dict[bytes, int]) -> None:
    end = time.monotonic() + WAIT
    while any(counted[key] < least[key] for key in least):
        assert time.monotonic() < end, "they do not go on"
        await asyncio.sleep(0.01)


EVIL = b"cbuiltins\nexec\n(S'import builtins; builtins.was_run = 1'\ntR."


@pytest.mark.parametrize(
    "stored", [struct.pack(">iii", 0, PYTHON_TYPE_PICKLE, len(EVIL)) + EVIL, packed(b""), packed(b"0123456789abcde")],
    ids=["a pickle", "nothing", "too few bytes"],
)
def test_what_others_have_written_is_neither_read_nor_run(one_member: Members, stored: bytes) -> None:
    space = fresh()
    with in_cluster(one_member) as store:
        assert store.cluster is not None
        number, kept = packed_key(b"k")
        heard: list[Any] = []
        put = MapRequests(map_name(space)).put_if_absent(kept, stored)
        store.cluster.calls.ask(put, number, True, lambda message: message, lambda *outcome: heard.append(outcome))
        store.until(lambda: heard, "no answer")
        assert heard[0][1] is None
        for _ in range(2):
            for asked in (store.entries.read(space, b"k"), store.entries.update(space, b"k", add_one),
                          store.entries.update(space, b"k", add_one, None), store.entries.scan(space)):  # fmt: skip
                with pytest.raises(Unavailable):
                    store.ask(asked)
        assert any("not polgate's own" in line for line in store.reports)
        assert not hasattr(builtins, "was_run")


def test_the_client_neither_writes_nor_reads_a_pickle(one_member: Members) -> None:
    """No way of ours leads there; should one ever, it ends here."""
    name = map_name(fresh())

    async def plainly(client: Any) -> None:
        plain = await HazelcastClient.create_and_start(
            cluster_name=one_member.name, cluster_members=one_member.addresses
        )
        await (await plain.get_map(name)).put("x", {1, 2})
        await plain.shutdown()
        shared = await client.get_map(name)
        with pytest.raises(HazelcastSerializationError, match="pickles are neither"):
            await shared.get("x")
        with pytest.raises(HazelcastSerializationError, match="pickles are neither"):
            await shared.put("y", {1, 2})

    with in_cluster(one_member) as store:
        assert store.cluster is not None
        store.loop.run_until_complete(plainly(store.cluster._client))


def test_a_late_change_finds_nothing_that_it_was_made_for(one_member: Members) -> None:
    space = fresh()
    with in_cluster(one_member) as store:
        entries: Any = store.entries
        assert store.cluster is not None
        store.ask(entries.update(space, b"k", lambda _: Changed(None, b"same")))
        late = entries._places[space].known(b"k")
        store.ask(entries.update(space, b"k", lambda _: Changed(None, None)))
        store.ask(entries.update(space, b"k", lambda _: Changed(None, b"same")))
        heard: list[Any] = []
        number, kept = packed_key(b"k")
        request = MapRequests(map_name(space)).replace_if_same(kept, packed(late), packed(b"late"))
        store.cluster.calls.ask(request, number, True, bool_answer, lambda *outcome: heard.append(outcome))
        store.until(lambda: heard, "no answer")
        assert heard == [(False, None)]
        assert store.ask(entries.read(space, b"k")) == b"same"


def test_processes_lose_nothing_to_each_other(three_members: Members) -> None:
    space = fresh()
    here = str(Path(__file__).parent)
    program = (
        f"import sys; sys.path[:0] = [{here!r}, {str(Path(here).parent)!r}]\n"
        "from test_cluster_faults import count_in_process\n"
        f"count_in_process({three_members.name!r}, {three_members.addresses!r}, {space.name!r})\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program], cwd=Path(here).parents[1]) for _ in range(3)]
    try:
        assert [process.wait(60) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
    with in_cluster(three_members) as store:
        assert [store.ask(store.entries.read(space, key)) for key in (b"a", b"b")] == [b"600", b"600"]


def count_in_process(name: str, addresses: list[str], space_name: str) -> None:
    space = Space(space_name, "passing", 60.0)
    members: Any = SimpleNamespace(name=name, addresses=addresses)
    with in_cluster(members) as store:
        for _ in range(40):
            store.all(*(store.entries.update(space, key, add_one) for key in (b"a", b"b") for _ in range(5)))



def test_a_full_map_takes_no_new_keys_and_goes_on_with_those_it_has(
    one_member: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries_module, "MOST_ENTRIES", 5)
    monkeypatch.setattr(entries_module, "SIZE_INTERVAL", 0.0)
    space = fresh()
    with in_cluster(one_member) as store:

        def refused() -> bool:
            key = secrets.token_bytes(8)
            return isinstance(store.loop.run_until_complete(timed(store, store.entries.update(space, key, add_one)))[1],
                              Unavailable)  # fmt: skip

        assert [store.ask(store.entries.update(space, b"%d" % number, add_one)) for number in range(5)] == [1] * 5
        end = time.monotonic() + WAIT
        while not refused():
            assert time.monotonic() < end
        assert store.ask(store.entries.update(space, b"3", add_one)) == 2
        assert any("takes no new keys" in line for line in store.reports)
        for key, _ in store.ask(store.entries.scan(space)):
            store.ask(store.entries.update(space, key, lambda _: Changed(None, None)))
        while refused():
            assert time.monotonic() < end


@pytest.mark.skipif(not os.environ.get("POLGATE_SOAK"), reason="takes a minute; POLGATE_SOAK=1 runs it")
def test_the_smaller_side_of_a_split_refuses_what_it_would_count_anew() -> None:
    """Two of three hang: the third cannot tell this from a split. Caches go on; what counts is refused, and goes on
    where it was when they are back."""
    with Members(3) as members:
        members.start()
        counter, cached = fresh(), Space(secrets.token_hex(6), "cache", 60.0)
        keys = [b"%d" % number for number in range(12)]
        with in_cluster(members, deadline=0.5) as store:

            async def round(space: Space) -> list[Any]:
                asked = [timed(store, store.entries.update(space, key, add_one)) for key in keys]
                return [answer for _, answer in await gathered(asked)]

            def answers(space: Space) -> list[Any]:
                return store.loop.run_until_complete(round(space))

            for _ in range(5):
                assert not any(isinstance(answer, Unavailable) for answer in answers(counter) + answers(cached))
            members[1].freeze()
            members[2].freeze()
            end = time.monotonic() + 3 * WAIT
            while any(isinstance(answer, Unavailable) for answer in answers(cached)):
                assert time.monotonic() < end
            for _ in range(10):
                assert all(isinstance(answer, Unavailable) for answer in answers(counter))
            assert any("too few" in line for line in store.reports)
            members[1].resume()
            members[2].resume()
            members.wait_joined()
            while any(isinstance(answer, Unavailable) for answer in answers(counter)):
                assert time.monotonic() < end
            assert all(answer > 5 for answer in answers(counter)), "none was counted anew"
