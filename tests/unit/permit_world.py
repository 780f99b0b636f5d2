"""Gateways that share permits over a store with faults, on a clock that the test moves, and what is true of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from policylang.sdk import Unavailable, Waiter
from policylang.sdk.bench import VirtualClock
from policylang.sdk.permits import Wish
from policylang.sdk.store import Change, Space
from runtime.permits.permits import StoredPermits

S = 1_000_000_000
DEADLINE = 0.1


class Going:
    """What the permits know of an exchange, and whether it goes on."""

    def __init__(self, gateway: Gateway, key: bytes) -> None:
        self.gateway, self.key = gateway, key
        self.origin = self.unanswered = None
        self.permit: Any = None
        self.waiting: Any = None
        self.over = False

    def leave(self) -> None:
        """The client goes while it waits."""
        waiting, self.waiting = self.waiting, None
        self.over = True
        if waiting is not None:
            waiting.close()

    def end(self) -> None:
        if not self.over:
            self.over = True
            if self.permit is not None:
                self.permit.release()


class OwnClock:
    """A machine's: it began at another time and does not run as fast; while its process is stopped nothing is due."""

    def __init__(self, world: VirtualClock, offset: int, drift: float) -> None:
        self._world, self._offset, self._rate = world, offset, 1 + drift
        self.stopped = False
        self.dead = False
        self._due: list[Waiter[None]] = []

    def monotonic(self) -> int:
        return self._offset + int(self._world.monotonic() * self._rate)

    def wall(self) -> float:
        return self._world.wall() + self._offset / 1e9

    def sleep(self, seconds: float) -> Waiter[None]:
        waiter: Waiter[None] = Waiter()

        def due() -> None:
            if self.stopped:
                self._due.append(waiter)
            elif not self.dead:
                waiter.fire(None)

        self._world.sleep(seconds / self._rate).callback = due
        return waiter

    def go_on(self) -> None:
        self.stopped = False
        due, self._due = self._due, []
        for waiter in due:
            waiter.fire(None)


class Store:
    """Values with the number of their last change; what is not there has the number 0, as a real map has it."""

    def __init__(self) -> None:
        self.values: dict[tuple[Space, bytes], tuple[bytes, int]] = {}
        self._number = 0

    def read(self, place: tuple[Space, bytes]) -> tuple[bytes | None, int]:
        return self.values.get(place, (None, 0))

    def write(self, place: tuple[Space, bytes], value: bytes | None, number: int) -> bool:
        if self.read(place)[1] != number:
            return False
        if value is None:
            self.values.pop(place, None)
        else:
            self._number += 1
            self.values[place] = value, self._number
        return True


class Link:
    """A gateway's way to the store: compare and set, with whatever can go wrong. `away`: nothing comes through;
    `broken`: keys of which nothing does. `late`: seconds that the next change comes late."""

    def __init__(self, store: Store, world: VirtualClock, clock: OwnClock, random: Random, faults: float) -> None:
        self.store, self.world, self.clock, self.random, self.faults = store, world, clock, random, faults
        self.away = False
        self.broken: set[bytes] = set()
        self.late = 0.0
        self.calls = 0

    def update(self, space: Space, key: bytes, change: Change, guess: object = None) -> Coroutine[Any, Any, Any]:
        self.calls += 1
        return self._update((space, key), change)

    async def _update(self, place: tuple[Space, bytes], change: Change) -> Any:
        end = self.clock.monotonic() + int(DEADLINE * S)
        while True:
            await self._step(place[1])
            before, number = self.store.read(place)
            answer, value, _ = change(before)
            if value is before:
                return answer
            await self._step(place[1])
            if self.random.random() < self.faults or self.late:
                self._fault(place, value, number)
                await self.clock.sleep(DEADLINE)
                raise Unavailable("store")
            if self.store.write(place, value, number):
                await self._step(place[1])
                return answer
            if self.clock.monotonic() > end:
                raise Unavailable("store")

    def _fault(self, place: tuple[Space, bytes], value: bytes | None, number: int) -> None:
        """The reply is lost, or the change comes late, or not at all."""
        kind = 1 if self.late else self.random.randrange(3)
        if kind == 0:
            self.store.write(place, value, number)
        elif kind == 1:
            late = self.world.sleep(self.late or self.random.random() * 3)
            self.late = 0.0
            late.callback = lambda: self.store.write(place, value, number) and None

    async def _step(self, key: bytes) -> None:
        if key in self.broken:
            raise Unavailable("store")
        await self.clock.sleep(self.random.random() * 0.004)
        waited = 0.0
        while self.away:  # a client asks again once it is connected, without a word
            if waited > DEADLINE:
                raise Unavailable("store")
            await self.clock.sleep(0.005)
            waited += 0.005

    def read(self, *_: object) -> Any:
        raise AssertionError("permits only change entries")

    scan = read


class Gateway:
    """One worker. `going`: its exchanges that hold a permit, by key."""

    def __init__(self, world: World, seed: int, offset: int, drift: float) -> None:
        self.world = world
        self.random = Random(seed)
        self.clock = OwnClock(world.clock, offset, drift)
        self.link = Link(world.store, world.clock, self.clock, self.random, world.faults)
        self.crashed = False
        self.stopped_at = 0
        self.cut: list[Going] = []
        self.errors: list[BaseException] = []
        self.told: list[str] = []
        entries: Any = self.link
        self.permits = StoredPermits(entries, self.clock, self._cut, self.errors.append, self.told.append, cluster=True)
        self.permits.start()

    def _cut(self, exchange: Any) -> None:
        exchange.over = True
        self.cut.append(exchange)

    def ask(self, key: bytes, wish: Wish, told: Callable[[Going, str], None]) -> Going:
        """`told` hears "granted", "refused" or "away", once."""
        going = Going(self, key)
        exchange: Any = going
        try:
            found = self.permits.acquire(key, wish, exchange)
        except Unavailable:
            told(going, "away")
            return going
        if isinstance(found, Coroutine):
            going.waiting = found
            Driven(found, going, told, self.errors).advance()
        else:
            going.permit = found
            told(going, "granted" if found is not None else "refused")
        return going

    @property
    def counts(self) -> bool:
        """Its exchanges are those of a living gateway: it is not one that others may have taken for dead."""
        stopped = self.clock.stopped and self.world.clock.monotonic() - self.stopped_at > 9 * S
        return not (self.crashed or stopped)

    def crash(self) -> None:
        self.crashed = True
        self.clock.stopped, self.clock.dead = False, True
        self.link.away = True

    def stop(self) -> None:
        self.clock.stopped = True
        self.stopped_at = self.world.clock.monotonic()


class Driven:
    def __init__(
        self, coroutine: Any, going: Going, told: Callable[[Going, str], None], errors: list[BaseException]
    ) -> None:
        self._coroutine, self._going, self._told, self._errors = coroutine, going, told, errors

    def advance(self) -> None:
        going = self._going
        if going.over:
            return  # a client that has left is told nothing
        try:
            waiter = self._coroutine.send(None)
        except StopIteration as stop:
            going.waiting = None
            going.permit = stop.value
            self._told(going, "granted" if stop.value is not None else "refused")
        except Unavailable:
            self._told(going, "away")
        except Exception as error:
            self._errors.append(error)
        else:
            waiter.callback = self.advance


class World:
    """`limits` by key. `going`: exchanges with a permit, also of those who have crashed since."""

    def __init__(self, seed: int, gateways: int, faults: float, limits: dict[bytes, int]) -> None:
        self.random = Random(seed)
        self.clock = VirtualClock()
        self.store = Store()
        self.faults = faults
        self.limits = limits
        self.going: list[Going] = []
        self.granted = 0
        self.untold: dict[Going, int] = {}  # until when each has to hear something
        self.gateways: list[Gateway] = []
        for _ in range(gateways):
            self.add()

    def add(self) -> Gateway:
        drift = self.random.uniform(-1e-3, 1e-3)
        made = Gateway(self, self.random.randrange(1 << 30), self.random.randrange(1000) * S, drift)
        self.gateways.append(made)
        return made

    def live(self, key: bytes) -> int:
        return sum(not one.over and one.key == key and one.gateway.counts for one in self.going)

    def told(self, going: Going, said: str) -> None:
        self.untold.pop(going, None)
        if said != "granted" or going.gateway.crashed:
            return
        if going.over:  # it was cut, or its client left, while it was on its way
            going.permit.release()
            return
        self.granted += 1
        self.going.append(going)
        live = self.live(going.key)
        assert live <= self.limits[going.key], f"{live} at {self.clock.monotonic() / S} s"
        for one in self.going:
            assert one.over or one.gateway.crashed or one.permit is not None
        self.going = [one for one in self.going if not one.over]

    def ask(self, gateway: Gateway, key: bytes, wait: float = 0) -> Going:
        heard: list[str] = []

        def told(going: Going, said: str) -> None:
            heard.append(said)
            self.told(going, said)

        going = gateway.ask(key, Wish(self.limits[key], int(wait * S), 100), told)
        if not heard:
            self.untold[going] = self.clock.monotonic() + int((wait + 1.5) * S)
        return going

    def forgotten(self) -> list[Going]:
        """Those that have asked a gateway that lives, and heard nothing in time."""
        now = self.clock.monotonic()
        return [
            one for one, due in self.untold.items()
            if now > due and not one.over
            and not (one.gateway.crashed or one.gateway.clock.stopped or one.gateway.stopped_at)
        ]  # fmt: skip

    def lose_everything(self, away: float) -> None:
        """All members are killed, and others started."""
        for one in self.gateways:
            one.link.away = True
        self.store.values.clear()
        for one in self.gateways:
            self.come_back(one, away + self.random.random() * min(away, 2))

    def come_back(self, gateway: Gateway, after: float) -> None:
        def back() -> None:
            if not gateway.crashed:
                gateway.permits.doubt()
                gateway.link.away = False

        gateway.clock.sleep(after).callback = back
