"""Gateways with quotas on a clock of their own: stores that delay, fail and lose, workers that die, boots."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from policylang.sdk import UNKNOWN, Change, Changed, Space, Unavailable, Waiter
from policylang.sdk.bench import MemoryEntries, MemoryStore, VirtualClock
from policylang.sdk.memory import finished
from policylang.sdk.periods import Period
from policylang.sdk.quotas import Taken
from runtime.quotas.ledger import Ledger
from runtime.quotas.record import unpack
from runtime.quotas.witness import NEW_WAIT, Witness
from runtime.upstream.alone import Alone


@dataclass
class Faults:
    """Shares of the calls that fail before they do anything, and whose answer is lost; the longest delay, seconds."""

    fails: float = 0.0
    loses: float = 0.0
    delay: float = 0.002


class Link:
    """A process's way to a store: what it has under way ends with it."""

    def __init__(self, store: Slow) -> None:
        self.store = store
        self.dead = self.cut = False

    def read(self, space: Space, key: bytes) -> Any:
        return self.store.call(self, lambda: self.store.now(space, key, lambda data: Changed(data, data)))

    def update(self, space: Space, key: bytes, change: Change, guess: object = UNKNOWN) -> Any:
        return self.store.call(self, lambda: self.store.now(space, key, change))

    def scan(self, space: Space, after: bytes = b"", count: int = 1000) -> Any:
        return self.store.call(self, lambda: finished(settled_later(self.store.kept.scan(space, after, count))))


class Slow:
    """A store whose calls take time, fail, or lose their answer. `away`: all fail. `calls`: how many there were;
    `leased`: the most that all shares of a record ever came to."""

    def __init__(self, clock: VirtualClock, random: Random, faults: Faults) -> None:
        self.clock, self.random, self.faults = clock, random, faults
        self.away = False
        self.calls = 0
        self.leased = 0
        self.kept = MemoryEntries(clock, MemoryStore())

    def now(self, space: Space, key: bytes, change: Change) -> Any:
        def watched(data: bytes | None) -> Changed:
            found = change(data)
            if found.value is not None and space.name.startswith("quotas."):
                self.leased = max(self.leased, unpack(found.value).total)
            return found

        return finished(settled_later(self.kept.update(space, key, watched)))

    def forget(self) -> None:
        """All members were restarted."""
        self.kept = MemoryEntries(self.clock, MemoryStore())

    async def call(self, link: Link, work: Callable[[], Any]) -> Any:
        self.calls += 1
        faults, random = self.faults, self.random
        await self.clock.sleep(random.random() * faults.delay)
        if self.away or link.cut or random.random() < faults.fails:
            raise Unavailable("store", "it does not answer")
        if link.dead and random.random() < 0.5:
            await Waiter()  # it was never sent
        answer = work()
        await self.clock.sleep(random.random() * faults.delay)
        if link.dead:
            await Waiter()
        if random.random() < faults.loses:
            raise Unavailable("store", "its answer was lost")
        return answer


async def settled_later(value: Any) -> Any:
    return await value if isinstance(value, Coroutine) else value


class Disk(Link):
    """A machine's own entries as one process sees them: what passes is at hand, what lasts takes its time."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.disk)
        self.machine = machine

    def read(self, space: Space, key: bytes) -> Any:
        kept = self.machine.memory if space.kind == "passing" else self.store.kept
        return finished(settled_later(kept.read(space, key)))

    def update(self, space: Space, key: bytes, change: Change, guess: object = UNKNOWN) -> Any:
        if space.kind == "passing":
            if self.dead:
                raise AssertionError("a dead process writes")
            return self.machine.memory.update(space, key, change)
        return super().update(space, key, change)


@dataclass
class Process:
    ledger: Ledger
    links: tuple[Link, ...]
    witness: Witness | None = None

    def kill(self) -> None:
        for link in self.links:
            link.dead = True


class Machine:
    """One gateway: its folder, what passes with the boot, its workers."""

    def __init__(self, world: World, name: bytes) -> None:
        self.world, self.name = world, name
        self.disk = Slow(world.clock, world.random, Faults(delay=world.faults.delay / 4))
        self.memory = MemoryEntries(world.clock, MemoryStore())
        self.workers = [self.start() for _ in range(world.workers)]

    def start(self) -> Process:
        disk = Disk(self)
        link: Any = disk if self.world.cluster is None else Link(self.world.cluster)
        ledger = Ledger(link, disk, self.name, self.world.clock, self.world.defects.append)
        process = Process(ledger, (disk, link))
        if self.world.cluster is not None:
            process.witness = ledger.witness = Witness(ledger, self.world.clock)
            process.witness.start()
        return process

    def kill(self, place: int) -> None:
        """With -9; another one starts."""
        self.workers[place].kill()
        self.workers[place] = self.start()

    def boot(self) -> None:
        for place in range(len(self.workers)):
            self.kill(place)
        self.memory = MemoryEntries(self.world.clock, MemoryStore())


@dataclass
class World:
    """`granted`: what each key was granted in each period, by the moment of its decision."""

    seed: int
    gateways: int = 1
    workers: int = 2
    clustered: bool = False
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        self.random = Random(self.seed)
        self.defects: list[BaseException] = []
        self.cluster = Slow(self.clock, self.random, self.faults) if self.clustered else None
        self.machines = [Machine(self, bytes([number] * 8)) for number in range(1, self.gateways + 1)]
        self.granted: dict[tuple[bytes, Period], int] = {}
        self.refused = self.away = self.open = 0
        if self.clustered:
            self.pass_time(NEW_WAIT + 1)

    @property
    def processes(self) -> list[Process]:
        return [worker for machine in self.machines for worker in machine.workers]

    def take(
        self, key: bytes, period: Period, limit: int, units: int = 1, process: Process | None = None,
        overdraw: bool = False, then: Callable[[Process, Taken], None] | None = None, most: int | None = None,
    ) -> None:  # fmt: skip
        """Ask for it, by any process, and note the answer whenever it comes. `most`: what may be granted in all."""
        chosen = process or self.random.choice(self.processes)

        def note(taken: Taken) -> None:
            if taken.granted:
                counted = self.granted[key, period] = self.granted.get((key, period), 0) + units
                assert overdraw or counted <= (most or limit), f"{counted} of {limit} were granted"
            else:
                self.refused += 1
            if then is not None:
                then(chosen, taken)

        async def ask() -> None:
            try:
                note(await settled_later(chosen.ledger.take(key, period, limit, units, overdraw)))
            except Unavailable:
                self.away += 1
            finally:
                self.open -= 1

        self.open += 1
        self.go(ask())

    def go(self, coroutine: Coroutine[Any, Any, None]) -> None:
        Alone(coroutine, lambda error: None if error is None else self.defects.append(error)).advance()

    def pass_time(self, seconds: float) -> None:
        """With every ledger's own work in it."""
        end = self.clock.wall() + seconds
        while self.clock.wall() < end:
            self.clock.advance(min(0.5, end - self.clock.wall()) or 0.001)
            for process in self.processes:
                process.ledger.tick()

    def restart_members(self) -> None:
        """All of them: what they held is gone. Who is connected to them again must call `connect`."""
        assert self.cluster is not None
        self.cluster.forget()

    def connect(self, machine: Machine) -> None:
        for process in machine.workers:
            assert process.witness is not None
            process.witness.look()

    def rest(self) -> None:
        """Let everything under way come to an end."""
        self.clock.advance(5.0)
        assert not self.defects, self.defects
