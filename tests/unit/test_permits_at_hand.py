"""Permits over a store that answers at once: no coroutine where nothing waits, and the same promise."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from permit_world import Going, OwnClock

from policylang.sdk import Unavailable
from policylang.sdk.bench import MemoryEntries, MemoryStore, VirtualClock, run
from policylang.sdk.permits import Wish
from runtime.permits.calls import ask
from runtime.permits.keyed import HeldPermit
from runtime.permits.permits import StoredPermits

A = b"12345678sa"
ONE = Wish(1)


class Machine:
    """Its workers, each with permits of its own, and clocks that stop with their processes."""

    def __init__(self, workers: int = 2) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore()
        self.entries = MemoryEntries(self.clock, self.store)
        self.clocks = [OwnClock(self.clock, 0, 0.0) for _ in range(workers)]
        self.cut: list[Any] = []
        self.errors: list[BaseException] = []
        self.permits = [
            StoredPermits(self.entries, clock, self.cut.append, self.errors.append, lambda _: None)
            for clock in self.clocks
        ]
        for one in self.permits:
            one.start()

    def take(self, worker: int, wish: Wish = ONE) -> Any:
        going: Any = Going(None, A)  # type: ignore[arg-type]
        return self.permits[worker].acquire(A, wish, going)

    def decided(self, worker: int) -> HeldPermit | None:
        """Also where it is looked first who lives."""
        found = self.take(worker)
        return run(found, self.clock) if isinstance(found, Coroutine) else found


def test_what_is_decided_at_once_costs_no_coroutine() -> None:
    machine = Machine()
    machine.clock.advance(2)
    first = machine.take(0)
    assert isinstance(first, HeldPermit) and first.running == 1
    assert machine.take(0) is None and machine.take(1) is None
    first.release()
    first.release()
    second = machine.take(1)
    assert isinstance(second, HeldPermit)
    second.release()
    assert not machine.errors


def test_nothing_is_kept_of_a_key_that_nobody_uses() -> None:
    machine = Machine()
    machine.clock.advance(2)
    wishes = Wish(3)
    held = [machine.take(number % 2, wishes) for number in range(3)]
    assert [one.running for one in held] == [1, 2, 3] and machine.take(0, wishes) is None
    for one in held:
        one.release()
    assert all(not one._keyed for one in machine.permits)
    assert [key for space in machine.entries._spaces.values() for key in space] == [b"holders"]


def test_who_waits_here_gets_it_from_hand_to_hand_and_in_order() -> None:
    machine = Machine(1)
    wish = Wish(1, 2_000_000_000, 2)
    held = machine.take(0, wish)
    order: list[int] = []

    async def wait(number: int, asked: Coroutine[Any, Any, Any]) -> None:
        permit = await asked
        order.append(number)
        permit.release()

    waiting = [wait(number, machine.take(0, wish)) for number in range(2)]
    for one in waiting:
        ask(lambda one=one: one, lambda *_: None, machine.errors.append)  # type: ignore[misc]
    assert machine.take(0, wish) is None, "two may wait"
    held.release()
    machine.clock.advance(0.001)
    assert order == [0, 1]


def test_who_waits_for_another_worker_s_looks_for_it_often() -> None:
    machine = Machine()
    held = machine.take(0)
    asked = machine.take(1, Wish(1, 2_000_000_000, 1))
    machine.clock.sleep(0.5).callback = held.release
    assert run(asked, machine.clock) is not None
    assert 0.5 <= machine.clock.monotonic() / 1e9 < 0.52


def test_who_waits_in_vain_is_told_so_when_the_wait_is_over() -> None:
    machine = Machine()
    machine.take(0)
    assert run(machine.take(1, Wish(1, 250_000_000, 1)), machine.clock) is None
    assert machine.clock.monotonic() == 250_000_000


def test_a_killed_worker_s_permit_comes_back_within_15_s() -> None:
    machine = Machine()
    assert machine.take(0) is not None
    machine.clock.advance(3)
    machine.clocks[0].dead = True
    assert run(machine.take(1, Wish(1, 20_000_000_000, 1)), machine.clock) is not None
    assert 13 < machine.clock.monotonic() / 1e9 < 18


def test_a_worker_that_was_stopped_for_long_has_nothing_when_it_goes_on() -> None:
    machine = Machine()
    held = machine.take(0)
    machine.clocks[0].stopped = True
    machine.clock.advance(20)
    other = machine.decided(1)
    assert other is not None and not machine.cut
    assert machine.decided(0) is None, "the first thing that it sees is a request"
    assert len(machine.cut) == 1
    machine.clocks[0].go_on()
    held.release()
    assert machine.decided(0) is None
    other.release()
    assert machine.decided(0) is not None


def test_while_the_store_is_away_each_worker_has_its_share() -> None:
    machine = Machine()
    going: Any = Going(None, A)  # type: ignore[arg-type]
    machine.clock.advance(2)
    machine.store.down = True
    with pytest.raises(Unavailable):
        machine.take(0, Wish(5))
    alone = [machine.permits[0].acquire_alone(A, Wish(5), going) for _ in range(3)]
    assert [one is not None for one in alone] == [True, True, False], "5 // 2"
    assert machine.permits[0].acquire_alone(b"12345678sb", ONE, going) is None, "a share below one is nobody"
    machine.store.down = False
    machine.clock.advance(2)
    assert machine.take(1, Wish(5)).running == 3, "what was given meanwhile is told"
