"""Leases step by step: who may take what from whom, and when; what a store that does not answer changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lease_world import DEADLINE, MS, HolderWorld, Network, S, World

from policylang.sdk import Unavailable
from policylang.sdk.store import Decision, Limit
from runtime.leases.asks import Ask, Holder, grace_of
from runtime.leases.bucket import WHOLE, BucketLeases
from runtime.leases.holders import GONE, HolderCount
from runtime.leases.rates import SPANS, space_of
from runtime.leases.window import WindowLeases

GRACE = grace_of(S, round(DEADLINE * S))
WALL = 1_700_000_000_000
NOW = 1000 * S


class Cell:
    """An entry, and leases that are driven by hand."""

    def __init__(self) -> None:
        self.value: bytes | None = None
        self.number = 0

    def ask(
        self, leases: WindowLeases | BucketLeases, now: int, units: int = 1, wall_ms: int = WALL, answer: bool = True,
        took: int = 0, write: bool = True,
    ) -> int:  # fmt: skip
        """How many of `units` asks pass. `answer`: whether one comes; `write`: whether the change happens."""
        self.number += 1
        asks = [Ask(1, leases.limit, now) for _ in range(units)]
        attempt = leases.begin(asks, now, wall_ms, self.number)
        found, value, _ = attempt.change(self.value)
        if write:
            self.value = value
        if not answer:
            leases.lost(attempt)
            return 0
        decisions = leases.finish(attempt, found, now + took)  # type: ignore[arg-type]
        return sum(one is not None and one.admitted for one in decisions)


def windows(count: int = 2, limit: int = 10) -> list[WindowLeases]:
    return [WindowLeases(Holder(b"holder%02d" % number, count), S, GRACE, limit) for number in range(count)]


def buckets(count: int = 2, limit: int = 10, burst: int = S) -> list[BucketLeases]:
    return [BucketLeases(Holder(b"holder%02d" % number, count), S, burst, GRACE, limit) for number in range(count)]


def test_what_a_dead_holder_has_counts_until_it_cannot_live_by_the_clock_of_who_saw_it() -> None:
    cell, (dead, other) = Cell(), windows()
    assert cell.ask(dead, NOW, 10) == 10
    assert cell.ask(other, NOW + 5 * MS) == 0  # here it is seen first
    assert cell.ask(other, NOW + 5 * MS + S + GRACE - 1) == 0
    assert cell.ask(other, NOW + 5 * MS + S + GRACE, 10) == 10


def test_who_has_not_seen_it_goes_by_the_wall_and_allows_for_two_seconds() -> None:
    cell, (dead, other) = Cell(), windows()
    assert cell.ask(dead, NOW, 10) == 10
    span = (S + GRACE) // MS + 2000
    assert cell.ask(other, 77 * S, wall_ms=WALL + span - 1) == 0
    assert cell.ask(windows()[1], 77 * S, 10, wall_ms=WALL + span) == 10


def test_who_forgot_a_key_takes_its_own_section_for_just_spent() -> None:
    cell, (one, _) = Cell(), windows()
    assert cell.ask(one, NOW, 7) == 7
    again = windows()[0]
    assert cell.ask(again, NOW + S // 2, 10) == 3
    assert cell.ask(again, NOW + S + 1, 10) == 0
    assert cell.ask(again, NOW + S // 2 + S, 10) == 10


def test_an_answer_that_comes_too_late_is_not_spent_and_goes_back() -> None:
    cell, (slow, other) = Cell(), windows()
    assert cell.ask(slow, NOW, 10, took=GRACE + 1) == 0
    assert cell.ask(other, NOW + GRACE + 2) == 0
    assert slow.due(NOW + GRACE + 2)[1]
    assert cell.ask(slow, NOW + GRACE + 3, 0) == 0
    assert cell.ask(other, NOW + GRACE + 4, 10) == 10


@pytest.mark.parametrize("kind", [windows, buckets])
def test_a_change_after_a_lost_answer_is_written_in_any_case(kind: Any) -> None:
    cell, (one, _) = Cell(), kind()
    cell.ask(one, NOW, 3)
    cell.ask(one, NOW, 0)  # a bucket tells what of it is spent by now
    before = cell.value
    cell.ask(one, NOW, 0)
    assert cell.value is before
    cell.ask(one, NOW, 2, answer=False, write=False)
    # It says what was there before, and still is another value, which the late one will not match.
    cell.ask(one, NOW, 0)
    assert cell.value != before and not one.fence


def test_the_parts_of_a_bucket_are_never_more_than_the_whole() -> None:
    cell, (one, other) = Cell(), buckets()
    cell.ask(one, NOW, 5)
    assert one.part == WHOLE
    cell.ask(other, NOW + MS, 4)
    assert other.part == 0
    cell.ask(one, NOW + 2 * MS, 1)
    given = one.part
    assert 0 < given <= WHOLE
    cell.ask(other, NOW + 3 * MS, 0)
    assert one.part + other.part <= WHOLE


def test_after_a_lost_answer_a_bucket_drains_by_the_least_that_it_may_have() -> None:
    cell, (one, other) = Cell(), buckets(burst=3 * S, limit=100)
    cell.ask(one, NOW, 60)
    cell.ask(other, NOW + MS, 200)
    assert one.part == WHOLE and other.part == 0
    cell.ask(one, NOW + 2 * MS, 0, answer=False)  # it gives most of its part away, and does not hear that it has
    cell.ask(other, NOW + 3 * MS, 0)
    assert other.part > WHOLE // 2
    assert one.part + other.part <= WHOLE
    # The change may also not have happened: then nobody has what was given up.
    cell, (one, other) = Cell(), buckets(burst=3 * S, limit=100)
    cell.ask(one, NOW, 60)
    cell.ask(other, NOW + MS, 200)
    cell.ask(one, NOW + 2 * MS, 0, answer=False, write=False)
    assert one.part < WHOLE // 2


def test_a_bucket_drains_by_the_lower_part_while_the_answer_is_on_its_way() -> None:
    cell, (one, other) = Cell(), buckets(burst=3 * S, limit=100)
    cell.ask(one, NOW, 60)
    cell.ask(other, NOW + MS, 200)
    used = one.used_up(NOW + 2 * MS)
    cell.ask(one, NOW + 2 * MS, 0, took=100 * MS)
    assert one.part < WHOLE // 2
    assert used - one.used_up(NOW + 102 * MS) == one.part * 100 * 100 * MS // WHOLE


def test_what_others_drain_is_known_without_being_told_and_what_they_may_spend_yet_is_not() -> None:
    cell, (one, other) = Cell(), buckets(limit=10, burst=S)
    cell.ask(one, NOW, 10)
    assert cell.ask(other, NOW, 1) == 0
    # The units are in the section as still to be spent: they count as spent when their grace is over.
    assert cell.ask(other, NOW + GRACE, 1) == 0
    assert cell.ask(other, NOW + GRACE + S // 10, 1) == 1
    assert cell.ask(other, NOW + GRACE + S, 20) == 9


@pytest.mark.parametrize("kind", [windows, buckets])
def test_an_idle_key_takes_at_most_400_bytes(kind: Any) -> None:
    cell = Cell()
    for holder in kind(8, 100):
        cell.ask(holder, NOW, 3)
    assert cell.value is not None and len(cell.value) + 64 <= 400


@pytest.mark.parametrize("span", [1, S, S + 1, 60 * S, 24 * 3600 * S])
def test_an_entry_outlives_all_that_it_says(span: int) -> None:
    space = space_of(span)
    assert space.ttl > (span + span // 50 + 2 * DEADLINE * S) / 1e9 + 2
    with pytest.raises(ValueError, match="longer than a year"):
        space_of(SPANS[-1] * S + 1)


# --- holders in a world of their own ---


def made(holders: int = 2, delay: int = MS) -> tuple[World, Network, list[HolderWorld]]:
    world = World()
    network = Network(world, delay)
    found = [HolderWorld(world, network, number, holders) for number in range(holders)]
    for one in found:
        one.rates.start()
    world.run(world.now + S)
    return world, network, found


def told(world: World, holder: HolderWorld, limit: int = 10, **more: Any) -> tuple[Any, int]:
    """A decision, or what was raised, and how long it took (ns)."""
    answers: list[tuple[Any, int]] = []
    began = world.now
    holder.drive(
        holder.rates.admit(b"k", limit, S, 0, holder.clock.monotonic(), **more),
        lambda value, error: answers.append((value or error, world.now - began)),
    )
    if not answers:
        world.run(world.now + round(DEADLINE * S))
    return answers[0]


def test_holders_are_counted_and_the_dead_are_not() -> None:
    world, _, (one, other, third) = made(3)
    world.run(world.now + GONE)
    assert [holder.rates.me.count for holder in (one, other, third)] == [3, 3, 3]
    third.clock.dead = True
    world.run(world.now + GONE + 5 * S)
    assert [one.rates.me.count, other.rates.me.count] == [2, 2]


def test_the_count_is_kept(tmp_path: Path) -> None:
    said: list[str] = []
    assert HolderCount(tmp_path, said.append).read() == 0
    HolderCount(tmp_path, said.append).write(7)
    assert HolderCount(tmp_path, said.append).read() == 7
    (tmp_path / "holders").write_text("seven")
    assert HolderCount(tmp_path, said.append).read() == 0
    HolderCount(tmp_path / "gone", said.append).write(7)
    assert len(said) == 1 and "gone" in said[0]


def test_a_store_that_is_away_is_waited_for_once() -> None:
    world, network, (one, _) = made()
    assert told(world, one)[0].admitted
    network.deaf = lambda key: key.startswith(b"k")
    error, took = told(world, one)
    assert isinstance(error, Unavailable) and took == DEADLINE * S
    for _ in range(5):
        error, took = told(world, one)
        assert isinstance(error, Unavailable) and took == 0
    network.deaf = lambda key: False
    world.run(world.now + S)
    assert told(world, one)[0].admitted


def test_while_all_is_away_each_has_its_share_a_window_later_and_tells_it_when_it_is_back() -> None:
    world, network, (one, other) = made()
    assert sum(told(world, one)[0].admitted for _ in range(10)) == 10
    network.down = True
    world.run(world.now + 3 * S)
    assert one.rates.away

    def alone(holder: HolderWorld, count: bool = True) -> Decision:
        return holder.rates.alone.admit(b"k", 10, S, 0, holder.clock.monotonic(), count=count)

    assert alone(one, count=False).remaining == 5
    assert sum(alone(one).admitted for _ in range(10)) == 5
    assert sum(alone(other).admitted for _ in range(10)) == 5
    several = one.rates.alone.admit_all(b"k", [Limit(10, S), Limit(4, 60 * S)], one.clock.monotonic())
    assert not several[0].admitted and not several[1].admitted, "of a minute nothing is known for a minute"
    assert not one.rates.alone.admit(b"k2", 1, S, 0, one.clock.monotonic()).admitted, "half of one is nothing"
    network.down = False
    world.run(world.now + S // 2)
    assert not one.rates.away
    assert not told(world, one)[0].admitted, "ten have passed within the second"
    world.run(world.now + S)
    assert told(world, one)[0].admitted


def test_alone_passes_nothing_while_the_store_answers() -> None:
    world, _, (one, _) = made()
    assert told(world, one)[0].admitted
    world.run(world.now + 5 * S)
    decision = one.rates.alone.admit(b"k", 10, S, 0, one.clock.monotonic())
    assert not decision.admitted and decision.retry_after >= 1


def test_asking_counts_nothing() -> None:
    world, _, (one, other) = made()
    for _ in range(3):
        assert told(world, one, count=False)[0] == Decision(True, 10, 0.0, 0.0)
    assert told(world, one)[0].remaining == 9
    assert told(world, other, count=False)[0].remaining == 9
    assert told(world, other, cost=10, count=False)[0].admitted is False


def test_a_refusal_is_remembered() -> None:
    world, network, (one, _) = made()
    for _ in range(11):
        told(world, one)
    trips = network.trips
    for _ in range(100):
        decision, took = told(world, one)
        assert not decision.admitted and took == 0 and 0 < decision.retry_after <= 1
    assert network.trips == trips


def test_limits_that_have_to_pass_together_take_from_none_where_one_refuses() -> None:
    world, _, (one, other) = made(2, delay=0)
    limits = [Limit(10, S, suffix=b"s"), Limit(3, 60 * S, suffix=b"m")]

    def ask(holder: HolderWorld) -> list[bool]:
        answers: list[Any] = []
        holder.drive(holder.rates.admit_all(b"k", limits, holder.clock.monotonic()),
                     lambda value, error: answers.append(value))  # fmt: skip
        return [decision.admitted for decision in answers[0]]

    assert [ask(holder) for holder in (one, other, one)] == [[True, True]] * 3
    for holder in (one, other) * 10:
        assert ask(holder)[1] is False
    world.run(world.now + MS)
    left = other.rates.admit(b"ks", 10, S, 0, other.clock.monotonic(), count=False)
    answers: list[Any] = []
    other.drive(left, lambda value, error: answers.append(value))
    assert answers[0].remaining == 7


def test_a_holder_knows_so_many_keys_and_the_entries_know_the_others() -> None:
    _, _, (one, _) = made(2, delay=0)
    one.rates._most = 50
    answers: list[Any] = []
    for _ in range(3):
        for number in range(100):
            one.drive(one.rates.admit(b"key %d" % number, 2, S, 0, one.clock.monotonic()),
                      lambda value, error: answers.append(value))  # fmt: skip
    assert sum(answer.admitted for answer in answers) == 200
    assert len(one.rates) <= 50
