"""A cluster in virtual time: holders with clocks of their own, and entries whose network delays, loses and fails."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

from policylang.sdk import Unavailable, Waiter
from policylang.sdk.store import UNKNOWN, Change, Space
from runtime.leases.rates import ClusterRates

S = 10**9
MS = 10**6
DEADLINE = 0.1


class World:
    """`now`: the true time, in ns."""

    def __init__(self, seed: int = 1) -> None:
        self.now = 1000 * S
        self.random = random.Random(seed)
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when: int, call: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when, self.now), next(self._order), call))

    def run(self, until: int) -> None:
        events = self._events
        while events and events[0][0] <= until:
            when, _, call = heapq.heappop(events)
            self.now = when
            call()
        self.now = until


class Cancelled:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def __call__(self) -> None:
        call, self.call = self.call, None
        if call is not None:
            call()

    def cancel(self) -> None:
        self.call = None


class HolderClock:
    """A holder's clocks and its loop. `dead`: nothing happens there any more; until `frozen` (true time) nothing does,
    as in a stopped process, and then all that was missed."""

    def __init__(self, world: World, ahead: int, skew: float) -> None:
        self.world = world
        self.ahead = ahead
        self.skew = skew
        self.dead = False
        self.frozen = 0

    def deliver(self, call: Callable[[], None]) -> None:
        if self.dead:
            return
        if self.frozen > self.world.now:
            self.world.at(self.frozen, lambda: self.deliver(call))
        else:
            call()

    def monotonic(self) -> int:
        return self.world.now + self.ahead

    def wall(self) -> float:
        return 1.7e9 + self.world.now / 1e9 + self.skew

    def sleep(self, seconds: float) -> Waiter[None]:
        waiter: Waiter[None] = Waiter()
        self.world.at(self.world.now + round(seconds * S), lambda: waiter.fire(None))
        return waiter

    def call_later(self, delay: float, call: Callable[[], None]) -> Cancelled:
        timer = Cancelled(call)
        self.world.at(self.world.now + round(delay * S), lambda: self.deliver(timer))
        return timer


class Network:
    """The members and the way to them. Times in ns.

    `delay`: the longest of a way. `lost`: how often an answer is, of one. `late`: how often a change takes up to three
    seconds to arrive. `down`: nothing arrives. `deaf`: keys that no member answers for.
    """

    def __init__(self, world: World, delay: int = 0, lost: float = 0.0, late: float = 0.0) -> None:
        self.world = world
        self.delay, self.lost, self.late = delay, lost, late
        self.down = False
        self.deaf: Callable[[bytes], bool] = lambda key: False
        self.kept: dict[tuple[Space, bytes], tuple[bytes, int, int]] = {}  # value, number, when it ends
        self.numbers = count(1)
        self.trips = 0

    def live(self, place: tuple[Space, bytes]) -> tuple[bytes | None, int]:
        found = self.kept.get(place)
        return (found[0], found[1]) if found is not None and found[2] > self.world.now else (None, 0)

    def swap(self, place: tuple[Space, bytes], seen: int, value: bytes | None) -> tuple[bool, bytes | None, int]:
        now, number = self.live(place)
        if number != seen:
            return False, now, number
        if value is None:
            self.kept.pop(place, None)
            return True, None, 0
        number = next(self.numbers)
        self.kept[place] = value, number, self.world.now + round(place[0].ttl * S)
        return True, value, number

    def call(self, clock: HolderClock, key: bytes, work: Callable[[], Any], change: bool) -> Waiter[Any]:
        world, draw = self.world, self.world.random
        waiter: Waiter[Any] = Waiter()
        self.trips += 1
        there = draw.randrange(self.delay + 1) if self.delay else 0
        back = draw.randrange(self.delay + 1) if self.delay else 0
        if change and self.late and draw.random() < self.late:
            there = draw.randrange(3 * S)
        lost = self.lost and draw.random() < self.lost

        def arrive() -> None:
            if self.down or self.deaf(key):
                return
            answer = work()
            if not lost:
                if back:
                    world.at(world.now + back, lambda: clock.deliver(lambda: waiter.fire(answer)))
                else:
                    clock.deliver(lambda: waiter.fire(answer))

        if there:
            world.at(world.now + there, arrive)
        else:
            arrive()
        return waiter


class FarEntries:
    """One holder's side of the network: `policylang.sdk.Entries`, with a deadline."""

    def __init__(self, network: Network, clock: HolderClock) -> None:
        self.network = network
        self.clock = clock
        self.versions: dict[tuple[Space, bytes], tuple[bytes | None, int]] = {}

    def read(self, space: Space, key: bytes) -> Coroutine[Any, Any, bytes | None]:
        raise AssertionError("rates do not read")

    def scan(self, space: Space, after: bytes = b"", count: int = 1000) -> Any:
        raise AssertionError("rates do not list")

    def update(self, space: Space, key: bytes, change: Change, guess: Any = UNKNOWN) -> Coroutine[Any, Any, Any]:
        return self._update(space, key, change, guess)

    async def _update(self, space: Space, key: bytes, change: Change, guess: Any) -> Any:
        network, place = self.network, (space, key)
        end = network.world.now + round(DEADLINE * S)

        async def answer(work: Callable[[], Any], changes: bool) -> Any:
            waiter = network.call(self.clock, key, work, changes)
            if not waiter.done:
                network.world.at(end, lambda: self.clock.deliver(lambda: waiter.fail(Unavailable("store"))))
            return await waiter

        version = self.versions.get(place)
        if guess is None:
            version = (None, 0)
        if guess is UNKNOWN or version is None or version[0] != guess:
            version = await answer(lambda: network.live(place), False)
        for _ in range(100):
            value, number = version
            told, new, _ = change(value)
            if new is value:
                found = await answer(lambda: network.live(place), False)
                if found[1] == number:
                    self.versions[place] = found
                    return told
                version = found
                continue
            at, to = number, new
            done, *found = await answer(lambda at=at, to=to: network.swap(place, at, to), True)  # type: ignore[misc]
            version = (found[0], found[1])
            if done:
                self.versions[place] = version
                return told
        raise Unavailable("store")


class HolderWorld:
    """A worker: its rates, and how it asks them."""

    def __init__(self, world: World, network: Network, number: int, holders: int, skew: float = 0.0) -> None:
        self.clock = HolderClock(world, number * 12345678901 + 17, skew)
        self.told: list[str] = []
        self.rates = ClusterRates(
            FarEntries(network, self.clock), None, self.clock, self.clock, b"holder%02d" % number, holders,  # type: ignore[arg-type]
            DEADLINE, self.told.append,
        )  # fmt: skip

    def drive(self, value: Any, done: Callable[[Any, BaseException | None], None]) -> None:
        if not isinstance(value, Coroutine):
            done(value, None)
            return

        def step() -> None:
            if self.clock.dead:
                return
            try:
                waiter = value.send(None)
            except StopIteration as stop:
                done(stop.value, None)
            except Unavailable as error:
                done(None, error)
            else:
                waiter.callback = step

        step()
