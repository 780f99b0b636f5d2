"""What a quota promises, against an exact counter: crashes, losses, delays, changed limits, and the last unit."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quota_world import Faults, Machine, Process, World

from policylang.sdk.periods import Period
from policylang.sdk.quotas import Taken
from runtime.quotas.held import Held, take_up
from runtime.quotas.leasing import grow, shrink
from runtime.quotas.ledger import named
from runtime.quotas.record import NOTHING, Record, Share, merged, unpack
from runtime.quotas.witness import POLL, WAIT

SOAK = os.environ.get("POLGATE_SOAK") == "1"
SEEDS = range(30 if SOAK else 5)
ARRIVALS = 10_000 if SOAK else 2_000
MONTH = Period("month", 1_767_225_600, 1_769_904_000)
KEY = b"nameless" + b"sann"


def total(world: World, key: bytes = KEY, period: Period = MONTH) -> int:
    return world.granted.get((key, period), 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_on_one_machine_it_is_exact_through_crashes(seed: int) -> None:
    world = World(seed, workers=3)
    chance, limit = Random(seed), ARRIVALS // 2
    for number in range(ARRIVALS):
        world.take(KEY, MONTH, limit)
        if chance.random() < 0.3:
            world.clock.advance(chance.random() * 0.001)
        if chance.random() < 0.003:
            world.machines[0].kill(chance.randrange(3))
        if number % 1000 == 999:
            world.pass_time(chance.random() * 3)
    world.rest()
    for _ in range(limit):  # whoever was killed could not ask to the end
        if total(world) == limit:
            break
        world.take(KEY, MONTH, limit)
        world.clock.advance(0.01)
    assert total(world) == limit, "not exact to the last one"
    assert world.machines[0].disk.leased == limit
    world.take(KEY, MONTH, limit)
    world.rest()
    assert total(world) == limit


@pytest.mark.parametrize("seed", SEEDS)
def test_a_boot_loses_no_more_than_what_was_leased(seed: int) -> None:
    world = World(seed, workers=2)
    chance, limit = Random(seed), ARRIVALS // 2
    boots = 0
    for _ in range(ARRIVALS * 2):
        world.take(KEY, MONTH, limit)
        world.clock.advance(chance.random() * 0.001)
        if chance.random() < 0.001:
            world.machines[0].boot()
            boots += 1
    world.rest()
    assert limit - boots * (limit // 100 + 50) <= total(world) <= limit


@pytest.mark.parametrize("seed", SEEDS)
def test_costs_of_all_sizes_never_exceed_it_and_small_ones_fill_it(seed: int) -> None:
    world = World(seed, workers=2)
    chance, limit = Random(seed), 100_000
    for _ in range(500):
        world.take(KEY, MONTH, limit, chance.choice([0, 1, 7, 300, 1000, 30_000]))
        world.clock.advance(chance.random() * 0.01)
    world.rest()
    while (left := limit - total(world)) > 0:
        for _ in range(min(left, 500)):
            world.take(KEY, MONTH, limit)
        world.clock.advance(0.1)
        assert limit - total(world) < left, "what is left cannot be had"
    assert total(world) == limit


@pytest.mark.parametrize("seed", SEEDS)
def test_two_gateways_of_a_cluster_share_it_to_the_last_one(seed: int) -> None:
    world = World(seed, gateways=2, workers=2, clustered=True)
    limit = 10_000 if SOAK else 2_000
    for _ in range(limit + 200):
        world.take(KEY, MONTH, limit)
        world.clock.advance(world.random.random() * 0.0004)
    world.rest()
    idle = limit - total(world)
    for _ in range(10):  # what lies idle with one is given back, and the other one gets it
        world.pass_time(2.0)
        for _ in range(20):
            world.take(KEY, MONTH, limit, process=world.machines[0].workers[0])
            world.clock.advance(0.02)
        world.rest()
    assert total(world) == limit, f"{idle} were left, and {limit - total(world)} cannot be had"
    assert world.cluster is not None and world.cluster.calls < limit, "a call for every request"
    assert world.cluster.leased <= limit, "together they have leased more than there is"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cluster_that_fails_delays_and_loses_answers_grants_no_more(seed: int) -> None:
    faults = Faults(fails=0.05, loses=0.05, delay=0.01)
    world = World(seed, gateways=3, workers=2, clustered=True, faults=faults)
    assert world.cluster is not None
    chance, limit = Random(seed), ARRIVALS // 2
    for _ in range(ARRIVALS):
        world.take(KEY, MONTH, limit)
        world.clock.advance(chance.random() * 0.002)
        if chance.random() < 0.002:
            chance.choice(world.machines).kill(chance.randrange(2))
        if chance.random() < 0.001:
            world.cluster.away = not world.cluster.away
        if chance.random() < 0.002:
            world.pass_time(chance.random() * 2)
    world.cluster.away = False
    faults.fails = faults.loses = 0.0
    for _ in range(200):
        if total(world) == limit:
            break
        world.pass_time(1.5)
        for process in world.processes:
            for _ in range(30):
                world.take(KEY, MONTH, limit, process=process)
                world.clock.advance(0.02)
    world.rest()
    assert total(world) == limit, f"{limit - total(world)} cannot be had any more"
    assert world.cluster.leased <= limit, "together they have leased more than there is"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("clustered", [False, True])
def test_a_limit_that_changes_leaves_what_is_left_of_the_new_one(seed: int, clustered: bool) -> None:
    world = World(seed, gateways=2 if clustered else 1, workers=2, clustered=clustered)
    chance = Random(seed)

    def spend(limit: int, times: int) -> None:
        for _ in range(times):
            world.take(KEY, MONTH, limit)
            world.clock.advance(chance.random() * 0.002)
        world.rest()
        world.pass_time(3.0)

    spend(1000, 400)
    assert total(world) == 400
    spend(300, 50)
    assert total(world) == 400, "a lower limit was exceeded already"
    spend(500, 300)
    assert total(world) <= 500
    for _ in range(5):
        spend(500, 40)
    assert total(world) == 500
    spend(600, 200)
    for _ in range(5):
        spend(600, 40)
    assert total(world) == 600


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("clustered", [False, True])
def test_what_is_given_back_can_be_had_again_and_the_limit_holds_meanwhile(seed: int, clustered: bool) -> None:
    """As `count: success` does: what is out and what was used are never more than the limit together."""
    world = World(seed, gateways=2 if clustered else 1, workers=2, clustered=clustered)
    chance, limit = Random(seed), 500
    out, used = 0, 0

    def taken(process: Process, found: Taken) -> None:
        nonlocal out
        if found.granted:
            out += 1
            assert out + used <= limit
            world.granted[KEY, MONTH] = 0  # counted here

            async def end() -> None:
                nonlocal out, used
                await world.clock.sleep(chance.random() * 0.1)
                out -= 1
                if chance.random() < 0.5:
                    used += 1
                else:
                    process.ledger.give_back(KEY, MONTH, 1, found.epoch)

            world.go(end())

    for _ in range(200):
        for _ in range(20):
            world.take(KEY, MONTH, limit, then=taken)
            world.clock.advance(chance.random() * 0.01)
        world.pass_time(1.1)
        if used == limit:
            break
    world.rest()
    assert used == limit and out == 0


@pytest.mark.parametrize("clustered", [False, True])
def test_what_is_overdrawn_while_the_store_is_away_is_counted_later(clustered: bool) -> None:
    world = World(1, gateways=1, workers=1, clustered=clustered)
    store = world.cluster or world.machines[0].disk
    for _ in range(10):
        world.take(KEY, MONTH, 100)
        world.clock.advance(0.1)
    store.away = True
    for _ in range(50):
        world.take(KEY, MONTH, 100, overdraw=True)
        world.clock.advance(0.01)
    world.rest()
    assert total(world) == 60
    world.take(KEY, MONTH, 100)
    world.rest()
    assert world.away == 1 and total(world) <= 61
    store.away = False
    world.pass_time(3.0)
    before = total(world)
    for _ in range(200):
        world.take(KEY, MONTH, 100)
        world.clock.advance(0.01)
    world.rest()
    assert (before, total(world)) == (60, 100)


def test_more_than_the_limit_can_be_overdrawn_and_then_nothing_is_left() -> None:
    world = World(1, workers=1)
    world.machines[0].disk.away = True
    for _ in range(130):
        world.take(KEY, MONTH, 100, overdraw=True)
    world.rest()
    world.machines[0].disk.away = False
    world.pass_time(2.0)
    world.take(KEY, MONTH, 100)
    world.take(KEY, MONTH, 140)
    world.rest()
    assert (total(world), world.refused) == (131, 1)


def test_periods_and_keys_count_apart() -> None:
    world = World(1)
    february = Period("month", MONTH.end, MONTH.end + 28 * 86400)
    for key in (KEY, KEY + b"a"):
        for period in (MONTH, february):
            for _ in range(15):
                world.take(key, period, 10)
    world.rest()
    assert set(world.granted.values()) == {10} and len(world.granted) == 4


def test_a_refusal_is_cheap_and_ends_with_a_higher_limit() -> None:
    world = World(1, workers=1)
    for _ in range(20):
        world.take(KEY, MONTH, 10)
        world.rest()
    calls = world.machines[0].disk.calls
    for _ in range(100):
        world.take(KEY, MONTH, 10)
        world.rest()
    assert (total(world), world.refused, world.machines[0].disk.calls) == (10, 110, calls)
    world.take(KEY, MONTH, 11)
    world.rest()
    assert total(world) == 11


def test_many_requests_cost_few_writes() -> None:
    world = World(1, workers=2)
    for _ in range(20_000):
        world.take(KEY, MONTH, 1_000_000)
        world.clock.advance(0.0002)
    world.rest()
    assert total(world) == 20_000
    assert world.machines[0].disk.calls < 60


def test_who_leaves_while_waiting_takes_nothing_from_others() -> None:
    world = World(1, workers=1)
    ledger = world.processes[0].ledger
    leaving: Any = ledger.take(KEY, MONTH, 3, 1)
    leaving.send(None)
    for _ in range(5):
        world.take(KEY, MONTH, 3)
    leaving.close()
    world.rest()
    assert (total(world), world.refused) == (3, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_month_stands_over_a_restart_of_all_members(seed: int) -> None:
    world = World(seed, gateways=3, workers=2, clustered=True)
    chance, limit = Random(seed), 3000
    assert world.cluster is not None
    for restart in range(4):
        for _ in range(chance.randrange(100, 700)):
            world.take(KEY, MONTH, limit)
            world.clock.advance(chance.random() * 0.002)
        world.cluster.away = True
        for _ in range(100):  # each gateway spends what it holds
            world.take(KEY, MONTH, limit)
            world.clock.advance(0.001)
        world.restart_members()
        world.cluster.away = False
        for machine in world.machines:
            world.connect(machine)
            for _ in range(chance.randrange(50)):
                world.take(KEY, MONTH, limit)
                world.clock.advance(chance.random() * 0.01)
            if restart == 2:
                machine.kill(0)
    for _ in range(60):
        world.pass_time(1.5)
        for process in world.processes:
            for _ in range(30):
                world.take(KEY, MONTH, limit, process=process)
                world.clock.advance(0.01)
        if total(world) == limit:
            break
    world.rest()
    assert total(world) == limit, f"{limit - total(world)} cannot be had any more"


def spent_by(world: World, machine: int, count: int, limit: int) -> None:
    for _ in range(count):
        world.take(KEY, MONTH, limit, process=world.machines[machine].workers[0])
        world.clock.advance(0.01)


def test_after_a_restart_nothing_is_leased_before_the_known_gateways_have_spoken() -> None:
    world = World(1, gateways=2, workers=1, clustered=True)
    spent_by(world, 1, 60, 100)
    spent_by(world, 0, 1, 100)
    world.pass_time(2.0)
    assert total(world) == 61
    world.restart_members()
    world.connect(world.machines[0])
    world.machines[1].workers[0].kill()  # it is late
    spent_by(world, 0, 60, 100)
    world.rest()
    assert world.away > 40 and total(world) < 75, "it leases from a record that not everybody has seen"
    world.machines[1].workers[0] = world.machines[1].start()
    world.pass_time(1.0)
    spent_by(world, 0, 60, 100)
    world.rest()
    assert total(world) == 100


def test_a_gateway_that_does_not_come_back_is_waited_for_some_time_only() -> None:
    world = World(1, gateways=2, workers=1, clustered=True)
    spent_by(world, 1, 60, 100)
    world.pass_time(2.0)
    spent_by(world, 0, 1, 100)
    world.pass_time(2.0)
    world.machines[1].workers[0].kill()
    world.restart_members()
    world.connect(world.machines[0])
    world.machines.pop()
    world.pass_time(WAIT + 1)
    spent_by(world, 0, 60, 100)
    world.rest()
    assert total(world) == 100, "what the other one had used is forgotten, or nothing is left"


def test_a_gateway_that_comes_new_to_a_cluster_that_goes_on_can_lease_at_once() -> None:
    world = World(1, gateways=1, workers=1, clustered=True)
    world.pass_time(10.0)
    world.machines.append(Machine(world, b"newcomer"))
    world.pass_time(0.2)
    spent_by(world, 1, 5, 100)
    assert total(world) == 5


def holds(world: World, machine: int, units: int, limit: int = 1000) -> Process:
    """Have a gateway lease so much that it does not spend."""
    process = world.machines[machine].workers[0]
    given: list[Taken] = []
    world.take(KEY, MONTH, limit, units, process, then=lambda _, taken: given.append(taken))
    world.clock.advance(0.1)
    process.ledger.give_back(KEY, MONTH, units, given[0].epoch)
    world.granted.clear()
    return process


def test_what_one_gateway_put_back_the_others_see_before_they_lease() -> None:
    world = World(1, gateways=2, workers=1, clustered=True)
    spent_by(world, 0, 1, 100)
    spent_by(world, 1, 60, 100)  # which the first one has not seen
    world.restart_members()
    for machine in world.machines:
        world.connect(machine)
    world.pass_time(1.0)
    spent_by(world, 0, 60, 100)
    world.rest()
    assert total(world) == 100


def test_a_limit_that_is_lower_than_what_others_have_used_is_asked_about() -> None:
    world = World(1, gateways=2, workers=1, clustered=True)
    process = holds(world, 0, 50)
    for _ in range(440):
        world.take(KEY, MONTH, 1000, process=world.machines[1].workers[0])
    world.clock.advance(0.1)
    for _ in range(50):
        world.take(KEY, MONTH, 455, process=process)
    world.clock.advance(0.2)
    assert 440 < total(world) <= 455


def test_what_could_not_be_given_back_is_spent_or_given_back_later() -> None:
    world = World(1, gateways=2, workers=1, clustered=True)
    process = holds(world, 0, 10, 30)
    process.links[1].cut = True
    world.pass_time(2.0)
    process.links[1].cut = False
    world.take(KEY, MONTH, 30, 5, process)
    world.clock.advance(0.1)
    assert total(world) == 5 and not world.away
    spent_by(world, 1, 30, 30)
    world.rest()
    assert total(world) == 30


# --- an operator's word ------------------------------------------------------------------------------


def tell(world: World, machine: int, change: Callable[[Record], Record]) -> None:
    ledger = world.machines[machine].workers[0].ledger
    world.go(ledger.change("month", named(KEY, MONTH), change))
    world.pass_time(1.0)


@pytest.mark.parametrize("clustered", [False, True])
def test_what_an_operator_sets_counts_for_all_and_voids_what_is_held(clustered: bool) -> None:
    world = World(1, gateways=2 if clustered else 1, workers=2, clustered=clustered)
    for _ in range(40):
        world.take(KEY, MONTH, 1000, 7)
        world.clock.advance(0.001)
    world.clock.advance(0.2)
    world.granted.clear()
    tell(world, 0, lambda record: record.begun_anew(900))
    for _ in range(300):
        world.take(KEY, MONTH, 1000)
        world.clock.advance(0.001)
    world.pass_time(3.0)
    for process in world.processes * 10:
        world.take(KEY, MONTH, 1000, process=process)
        world.clock.advance(0.02)
    world.rest()
    assert total(world) == 100


@pytest.mark.parametrize("clustered", [False, True])
def test_what_an_operator_adds_can_be_used_more_and_what_is_held_stays(clustered: bool) -> None:
    world = World(1, gateways=2 if clustered else 1, workers=2, clustered=clustered)
    for units, most in ((0, 200), (50, 250), (-30, 250), (40, 260)):
        if units:
            tell(world, 0, lambda record, units=units: record.moved(-units))  # type: ignore[misc]
        for _ in range(15):
            for process in world.processes * 10:
                world.take(KEY, MONTH, 200, process=process, most=most)
                world.clock.advance(0.002)
            world.pass_time(1.5)
        world.rest()
        assert total(world) == most


def test_what_another_gateway_holds_is_void_within_a_moment() -> None:
    world = World(1, gateways=2, workers=1, clustered=True)
    process = holds(world, 1, 50)
    ledger = world.machines[0].workers[0].ledger
    world.go(ledger.change("month", named(KEY, MONTH), lambda record: record.begun_anew(1000)))
    world.clock.advance(POLL + 0.1)
    world.take(KEY, MONTH, 1000, process=process)
    world.clock.advance(0.1)
    assert (total(world), world.refused) == (0, 1)


def test_what_was_taken_before_an_operators_word_is_not_given_back_after_it() -> None:
    world = World(1, workers=1)
    ledger = world.processes[0].ledger
    spent_by(world, 0, 10, 100)
    tell(world, 0, lambda record: record.begun_anew(0))
    spent_by(world, 0, 5, 100)
    ledger.give_back(KEY, MONTH, 10, 0)
    assert ledger.left(KEY, MONTH, 100) == 95


def test_a_gateway_that_was_away_hears_of_it_when_it_is_back() -> None:
    world = World(1, gateways=2, workers=1, clustered=True)
    spent_by(world, 1, 10, 1000)
    link = world.machines[1].workers[0].links[1]
    link.cut = True
    tell(world, 0, lambda record: record.begun_anew(1000))
    link.cut = False
    world.connect(world.machines[1])
    world.pass_time(1.0)
    world.granted.clear()
    spent_by(world, 1, 10, 1000)
    assert world.refused == 10


# --- records -----------------------------------------------------------------------------------------

NUMBERS = st.integers(0, 5)
SHARES = st.dictionaries(st.sampled_from([b"gateway1", b"gateway2", b"gateway3"]), NUMBERS)


def history(shares: dict[bytes, int], base: int, epoch: int) -> Record:
    """What can be seen of one history: the number of a change says how much it was."""
    seen = {name: Share(number, number * 10) for name, number in shares.items() if number}
    return Record(epoch, base, base * 100, 1000, seen)


RECORDS = st.builds(history, SHARES, NUMBERS, st.integers(0, 1))


@settings(deadline=None)
@given(RECORDS, RECORDS, RECORDS)
def test_readings_merge_in_any_order_and_forget_nothing(one: Record, two: Record, three: Record) -> None:
    assert merged(one, one) is one
    assert merged(one, two) == merged(two, one)
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
    both = merged(one, two)
    assert both.epoch == max(one.epoch, two.epoch)
    for record in (one, two):
        if record.epoch == both.epoch:
            assert all(both.share(name).number >= share.number for name, share in record.shares.items())


@settings(deadline=None)
@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert unpack(record.pack()) == record


def test_what_is_no_record_is_refused_and_nothing_is_nothing() -> None:
    assert unpack(None) is NOTHING and NOTHING.total == 0
    for data in (b"", b"\x00" * 60, b"\x02" + NOTHING.pack()[1:]):
        with pytest.raises(ValueError, match="no quota of this version"):
            unpack(data)


# --- what was laid down and not given back yet -------------------------------------------------------

ME = b"gateway1"
LAID = Held(epoch=0, number=3, leased=5, spent=5, others=0, bound=0)  # of the 10 that the store knows
STORED = Record(0, 0, 0, 30, {ME: Share(3, 10)})


def test_what_was_laid_down_stays_so_whoever_looks_at_the_record() -> None:
    after = Held.of(take_up(STORED, ME, 0)(LAID.pack()).answer)
    assert (after.leased, after.free) == (5, 0), "another worker would spend what this one gives back"


def test_who_leases_meanwhile_begins_from_what_was_laid_down() -> None:
    record: Record = grow(ME, LAID, NOTHING, [4], 30, 0)(STORED.pack()).answer
    assert record.shares[ME] == Share(4, 9)
    late: Record = shrink(ME, LAID, NOTHING)(record.pack()).answer
    assert late == record, "it takes away what was leased anew"
    assert Held.of(take_up(record, ME, 0)(LAID.pack()).answer).free == 4
