"""What a worker's cache gives: never past its ttl, never cut, never another key's; and what it does while the store
is away."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from cache_world import Shared, World, exchange, name_of

from policylang.sdk import Response, Unavailable
from policylang.sdk.bench import VirtualClock, run
from policylang.sdk.caches import ANSWERS, Life, asked
from policylang.sdk.memory import MemoryStore
from runtime.caches.entry import ANSWER, DROPPED, VALUE, VARIANTS, Entry, name_bytes, packed, unpacked
from runtime.caches.near import LARGEST, OVERHEAD, Near, Value
from runtime.caches.worker_caches import AGAIN, DROPPED_FOR, LOOK, SKEW, WorkerCaches


@pytest.mark.parametrize("far", [False, True], ids=["machine", "cluster"])
@pytest.mark.parametrize("seed", range(15))
def test_an_answer_is_young_whole_and_the_right_one(seed: int, far: bool) -> None:
    world = World(3, far, Random(seed))
    for _ in range(1500):
        world.step()
    assert world.hits > 100 and world.kept > 100


def kept(world: World, worker: int = 0, ttl: float = 60.0, path: str = "/1") -> None:
    world.fetch(worker, path, "a", False, ttl)
    world.arrive()


def test_what_is_at_hand_is_not_asked_for() -> None:
    world = World(2, True, Random(1))
    kept(world)
    assert world.far is not None
    before = world.far.calls
    for _ in range(100):
        assert world.ask(0, "/1", "a", 60.0) is not None
    assert world.far.calls == before
    world.clock.advance(AGAIN / 1e9)
    for _ in range(100):
        assert world.ask(0, "/1", "a", 60.0) is not None
    assert world.far.calls == before + 1


def test_on_a_cluster_an_answer_ends_earlier_by_what_clocks_may_differ() -> None:
    world = World(2, True, Random(1))
    kept(world, ttl=10.0)
    world.clock.advance(10.0 - SKEW - 0.01)
    assert world.ask(1, "/1", "a", 60.0) is not None
    world.clock.advance(0.02)
    assert world.ask(1, "/1", "a", 60.0) is None


def test_what_was_dropped_is_gone_for_other_workers_at_their_next_look() -> None:
    world = World(2, False, Random(1))
    kept(world)
    assert world.ask(1, "/1", "a", 60.0) is not None
    world.drop(0, "/1")
    assert world.ask(0, "/1", "a", 60.0) is None
    world.clock.advance(LOOK / 1e9 + 0.001)
    assert world.ask(1, "/1", "a", 60.0) is None


def test_what_was_asked_for_before_the_drop_is_not_kept_after_it() -> None:
    world = World(2, False, Random(1))
    world.fetch(0, "/1", "a", False, 60.0)
    world.clock.advance(1.0)
    world.drop(1, "/1")
    world.clock.advance(1.0)
    world.arrive()
    assert world.kept == 0
    world.fetch(0, "/1", "a", False, 60.0)
    world.clock.advance(1.0)
    world.arrive()
    assert world.kept == 1


def test_what_took_too_long_to_know_of_a_drop_is_not_kept() -> None:
    world = World(1, False, Random(1))
    world.fetch(0, "/1", "a", False, 3600.0)
    world.clock.advance(DROPPED_FOR + 1)
    world.arrive()
    assert world.kept == 0


def test_while_the_store_is_away_nothing_is_kept_and_nothing_fails() -> None:
    world = World(2, True, Random(1))
    kept(world)
    world.store.down = True
    assert world.ask(0, "/1", "a", 60.0) is not None  # at hand, and not to be asked for again yet
    world.clock.advance(AGAIN / 1e9)
    found = world.finished(world.workers[0].answer(exchange(path="/1"), name_of("/1"), 60_000_000_000))
    assert found == "bypass"
    kept(world, path="/2")
    assert world.kept == 1
    assert world.finished(world.workers[0].value(b"12345678x")) is None
    world.workers[0].keep_value(b"12345678x", b"1", 60.0)
    world.settle()
    with pytest.raises(Unavailable):
        world.finished(world.workers[0].drop_value(b"12345678x"))
    world.store.down = False
    assert world.ask(0, "/1", "a", 60.0) is not None
    assert world.finished(world.workers[0].value(b"12345678x")) is None


def test_a_mistake_of_ours_beside_an_exchange_is_told_and_keeps_nobody_waiting() -> None:
    class Broken(Shared):
        def update(self, *_: Any) -> Any:
            raise KeyError("x")

    clock, defects, ended = VirtualClock(), list[BaseException](), list[bool | None]()
    caches = WorkerCaches(Broken(clock, MemoryStore()), clock, True, lambda text: None, defects.append)
    one = exchange()
    one.response = Response(200, [], b"x")
    caches.keep(one, name_of("/x"), asked(one.request), Life(10.0, 0.0), 10, clock.wall(), ended.append)
    assert (len(defects), ended, caches.under_way) == (1, [False], 0)


def test_values_are_found_by_all_until_their_time_or_their_removal() -> None:
    world = World(2, False, Random(1))
    one, other = world.workers
    one.keep_value(b"12345678x", b'{"a":1}', 5.0)
    assert world.finished(other.value(b"12345678x")) == b'{"a":1}'
    assert world.finished(other.value(b"12345678y")) is None
    world.clock.advance(4.99)
    assert world.finished(other.value(b"12345678x")) == b'{"a":1}'
    world.clock.advance(0.02)
    assert world.finished(other.value(b"12345678x")) is None
    one.keep_value(b"12345678x", b"2", 5.0)
    assert world.finished(other.value(b"12345678x")) == b"2"
    world.finished(one.drop_value(b"12345678x"))
    assert world.finished(one.value(b"12345678x")) is None
    world.clock.advance(LOOK / 1e9 + 0.001)
    assert world.finished(other.value(b"12345678x")) is None


def test_a_wall_clock_that_goes_back_gives_nothing_more_time() -> None:
    class Turning(VirtualClock):
        back = 0.0

        def wall(self) -> float:
            return super().wall() - self.back

    clock = Turning()
    caches = WorkerCaches(Shared(clock, MemoryStore()), clock, True, lambda text: None, print)
    one = exchange()
    one.response = Response(200, [], b"x")
    caches.keep(one, name_of("/x"), asked(one.request), Life(10.0, 0.0), 10, clock.wall(), lambda there: None)
    clock.back = 3600.0
    clock.advance(9.9)
    assert isinstance(caches.answer(exchange(), name_of("/x"), 1 << 62), Response)
    clock.advance(0.2)
    waiting: Any = caches.answer(exchange(), name_of("/x"), 1 << 62)
    assert run(waiting) == "uri-miss"


# --- entries ---

NAME = name_bytes((b"12345678", "http", "h", "/x", None))
ENTRIES = [
    Entry(ANSWER, 1000.5, 1060.5, NAME, age=3.0, status=200, headers=[(b"vary", b"Vary", b"A"), (b"x", b"X", b"")],
          body=bytes(range(256))),
    Entry(ANSWER, 0.0, 1.0, NAME, status=204, headers=[], body=b""),
    Entry(VARIANTS, 1.0, 2.0, NAME, b"markmark", (b"accept", b"x-y")),
    Entry(DROPPED, 1.0, 2.0, NAME),
    Entry(VALUE, 1.0, 2.0, NAME, body=b'{"a":1}'),
]  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.kind.decode())
def test_an_entry_is_read_as_it_was_written_or_not_at_all(entry: Entry) -> None:
    data = packed(entry)
    assert unpacked(data, NAME) == entry
    assert unpacked(data, NAME + b"x") is None
    assert unpacked(data, NAME[:-1]) is None
    for at in range(len(data)):
        assert unpacked(data[:at], NAME) is None
        for flip in (1, 128):  # what happens within a body is the stores' own care
            found = unpacked(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :], NAME)
            assert found is None or (at >= len(data) - len(entry.body) and found._replace(body=entry.body) == entry)
    assert unpacked(data + b"x", NAME) is None
    assert unpacked(None, NAME) is None


def test_no_answer_of_another_is_smuggled_in_by_who_can_write_the_store() -> None:
    entry = ENTRIES[0]._replace(headers=[(b"x", b"X", b"1\r\n\r\nHTTP/1.1 200 OK")])
    assert unpacked(packed(entry), NAME) is None
    assert unpacked(packed(entry._replace(headers=[(b"x", b"X: 1\r\nY", b"")])), NAME) is None
    assert unpacked(packed(entry._replace(headers=[], status=99)), NAME) is None


def test_names_of_different_parts_differ() -> None:
    names = [("a", "bc"), ("ab", "c"), ("a", b"bc"), ("a", None, "bc"), ("a", ("bc",)), (("a",), "bc"), ("a", "")]
    assert len({name_bytes(name) for name in names}) == len(names)
    assert b"secret" not in name_bytes(("/x", (b"secret",)))


def test_what_is_at_hand_has_its_room() -> None:
    near = Near(80_000)
    for number in range(100):
        near.put(number, Value(b"x" * 3000, 1, 1))
        assert near.used <= 80_000
    assert near.look(99) is not None and near.look(0) is None
    count = len(near)
    near.touch(100 - count)
    near.put("one more", Value(b"x" * 3000, 1, 1))
    assert near.look(100 - count) is not None  # what was asked for last stays
    near.put("large", Value(b"x" * (80_000 // LARGEST), 1, 1))
    assert near.look("large") is None
    for key in [*range(100), "one more"]:
        near.drop(key)
    assert near.used == 0 and OVERHEAD > 0


def test_the_store_holds_no_text_of_what_requests_said() -> None:
    world = World(1, False, Random(1))
    one = exchange({"Cookie": "sid=topsecret"})
    one.response = Response(200, [(b"vary", b"Vary", b"Cookie")], b"x")
    life = Life(60.0, 0.0, (b"cookie",))
    world.workers[0].keep(one, name_of("/x"), asked(one.request), life, 10, world.clock.wall(), lambda there: None)
    found = world.shared.scan(ANSWERS)
    assert len(found) == 2
    assert not any(b"topsecret" in key + value for key, value in found)
