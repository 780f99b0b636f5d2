"""Never more permits than the limit among living gateways, and all of them back in time, whatever goes wrong."""

from __future__ import annotations

import os

import pytest
from permit_world import Gateway, S, World

from policylang.sdk.permits import Wish

SOAK = os.environ.get("POLGATE_SOAK") == "1"
SEEDS = range(400 if SOAK else 16)
STEPS = 2500
A, B = b"12345678sa", b"12345678sb"


@pytest.mark.parametrize("seed", SEEDS)
def test_the_limit_holds_and_permits_come_back(seed: int) -> None:
    world = World(seed, gateways=3, faults=0.03 if seed % 2 else 0.0, limits={A: 1, B: 3})
    random = world.random
    world.clock.advance(14)  # a store that nobody has written to may be one that was lost
    for _ in range(STEPS):
        world.clock.advance(random.choice((0, 0.001, 0.001, 0.005, 0.02, 0.1, 0.5)))
        happen(world, random.random())
        assert not world.forgotten()
    assert world.granted > 30, "nothing was seen"
    for one in world.gateways:
        assert not one.errors, one.errors
    all_of_it_comes_back(world, crashed=seed % 4 < 2)


def happen(world: World, chance: float) -> None:
    random = world.random
    gateway = random.choice(world.gateways)
    usable = not (gateway.crashed or gateway.clock.stopped)
    if chance < 0.5 and usable:
        asked = world.ask(gateway, random.choice((A, B)), random.choice((0, 0, 0.05, 2)))
        if random.random() < 0.2 and asked.waiting is not None:
            world.clock.sleep(random.random() * 0.2).callback = lambda: asked.waiting and asked.leave()
    elif chance < 0.961:
        going = [one for one in world.going if not one.gateway.clock.stopped]
        if going and random.random() < 0.8:
            random.choice(going).end()
    elif chance < 0.965 and usable and not gateway.link.away:
        gateway.link.away = True
        if random.random() < 0.5:
            gateway.permits.doubt()  # it is known at once, not only by its silence
        world.come_back(gateway, random.random() * 30)
    elif chance < 0.97 and usable:
        gateway.stop()
        world.clock.sleep(random.random() * 30).callback = lambda: wake(world, gateway)
    elif chance < 0.973 and not gateway.crashed and sum(not one.crashed for one in world.gateways) > 1:
        gateway.crash()
    elif chance < 0.979 and sum(not one.crashed for one in world.gateways) < 4:
        world.add()
    elif chance < 0.98:
        world.lose_everything(random.choice((0.01, 0.1, 8 * random.random())))


def wake(world: World, gateway: Gateway) -> None:
    """A request may be the first that it sees."""
    if not gateway.crashed:
        gateway.clock.stopped = False
        world.ask(gateway, A)
        gateway.clock.go_on()


def all_of_it_comes_back(world: World, crashed: bool) -> None:
    """After a crash nothing is missing for longer than 15 s; without one, for longer than it takes to look again."""
    for one in world.gateways:
        one.link.faults = 0
        if one.clock.stopped:
            one.clock.go_on()
    world.clock.advance(40)  # whoever is away comes back
    for going in list(world.going):
        going.end()
    (last, *_) = [one for one in world.gateways if not one.crashed]
    for one in world.gateways:
        if crashed and one is not last and not one.crashed:
            world.clock.advance(1)
            one.crash()
    world.clock.advance(15.2 if crashed else 2)
    for key, limit in world.limits.items():
        asked = [world.ask(last, key) for _ in range(limit + 1)]
        world.clock.advance(0.5)
        assert sum(one.permit is not None for one in asked) == limit, key


def test_a_dead_one_s_permit_comes_back_within_15_s() -> None:
    world = World(1, gateways=2, faults=0, limits={A: 1})
    first, second = world.gateways
    world.clock.advance(14)
    held = world.ask(first, A)
    world.clock.advance(0.5)
    assert held.permit is not None
    first.crash()
    crashed = world.clock.monotonic()
    asked = world.ask(second, A, wait=60)
    while asked.permit is None:
        world.clock.advance(0.05)
        assert world.clock.monotonic() - crashed < 15 * S
    assert world.clock.monotonic() - crashed > 10 * S, "a living one must have had time to give up"


def test_who_cannot_be_seen_to_live_is_cut_before_others_may_have_its_permits() -> None:
    world = World(2, gateways=2, faults=0, limits={A: 1})
    first, second = world.gateways
    world.clock.advance(14)
    held = world.ask(first, A)
    world.clock.advance(0.5)
    first.link.away = True
    asked = world.ask(second, A, wait=60)
    while not held.over:
        assert asked.permit is None
        world.clock.advance(0.05)
    assert first.cut == [held]
    assert any("is cut with a permit" in text for text in first.told)
    world.clock.advance(6)
    assert asked.permit is not None


def test_after_a_loss_of_everything_nothing_is_granted_until_the_living_have_spoken() -> None:
    world = World(3, gateways=2, faults=0, limits={A: 1})
    first, second = world.gateways
    world.clock.advance(14)
    held = world.ask(first, A)
    world.clock.advance(0.5)
    world.store.values.clear()
    for one in world.gateways:
        one.permits.doubt()
    first.link.away = True  # it takes longer than the other
    world.come_back(first, 8)
    for _ in range(200):
        world.clock.advance(0.1)
        asked = world.ask(second, A)
    world.clock.advance(0.5)
    assert asked.permit is None and not held.over
    held.end()
    world.clock.advance(0.5)
    asked = world.ask(second, A)
    world.clock.advance(0.5)
    assert asked.permit is not None


def test_what_a_store_has_lost_in_part_is_said_again_when_its_members_have_changed() -> None:
    world = World(5, gateways=2, faults=0, limits={A: 1})
    first, second = world.gateways
    world.clock.advance(14)
    held = world.ask(first, A)
    world.clock.advance(0.5)
    world.store.values = {place: value for place, value in world.store.values.items() if place[1] == b"holders"}
    for one in world.gateways:
        one.permits.doubt()
    world.clock.advance(0.1)
    refused = world.ask(second, A)
    world.clock.advance(0.5)
    assert held.permit is not None and not held.over and refused.permit is None


def test_who_cannot_say_again_what_it_holds_gives_it_up_before_others_may_ask() -> None:
    world = World(6, gateways=2, faults=0, limits={A: 1})
    first, second = world.gateways
    world.clock.advance(14)
    held = world.ask(first, A)
    world.clock.advance(0.5)
    first.link.broken.add(A)
    world.store.values.clear()
    for one in world.gateways:
        one.permits.doubt()
    asked = None
    while asked is None or asked.permit is None:
        assert world.clock.monotonic() < 60 * S
        asked = world.ask(second, A)
        world.clock.advance(0.1)
    assert first.cut == [held]


def test_a_change_that_comes_very_late_is_found() -> None:
    world = World(8, gateways=2, faults=0, limits={A: 1})
    first, second = world.gateways
    world.clock.advance(14)
    first.link.late = 4
    lost = world.ask(first, A)
    world.clock.advance(2)
    assert lost.permit is None
    other = world.ask(second, A)  # whose permit lies over what was written to be in the way
    world.clock.advance(0.5)
    other.end()
    world.clock.advance(3)
    again = world.ask(second, A)
    world.clock.advance(0.5)
    assert again.permit is not None


def test_what_is_asked_while_the_store_is_looked_at_waits_for_that() -> None:
    world = World(7, gateways=1, faults=0, limits={A: 1})
    (only,) = world.gateways
    world.clock.advance(14)
    only.permits.doubt()
    asked = world.ask(only, A)
    world.clock.advance(0.1)
    assert asked.permit is not None


def test_a_fresh_store_is_closed_for_a_while() -> None:
    world = World(4, gateways=1, faults=0, limits={A: 1})
    said: list[str] = []
    for _ in range(140):
        world.clock.advance(0.1)
        world.gateways[0].ask(A, Wish(1), lambda _, what: said.append(what))
    assert said[0] == "away" and "granted" in said
    assert sum("knows of no permits" in text for text in world.gateways[0].told) == 1
    assert 110 <= said.index("granted") <= 135


def test_a_permit_that_was_on_its_way_to_a_client_that_has_left_goes_to_the_next() -> None:
    world = World(9, gateways=1, faults=0, limits={A: 1})
    (only,) = world.gateways
    world.clock.advance(14)
    held = world.ask(only, A)
    world.clock.advance(0.5)
    leaves, stays = world.ask(only, A, wait=5), world.ask(only, A, wait=5)
    world.clock.advance(0.5)
    held.end()
    leaves.leave()
    world.clock.advance(0.001)
    assert stays.permit is not None and leaves.permit is None
