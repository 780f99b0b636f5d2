"""Comparing and setting among processes, where answers are lost, come late, or before what they answer has happened."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from policylang.sdk import Unavailable
from policylang.sdk.store import UNKNOWN, Changed
from runtime.cluster.calls import LATE, SILENT, Missed
from runtime.cluster.change import HEAD, EntryChange, Wanted
from runtime.cluster.frames import unpacked

RESET = Missed("the connection was closed")
KEY = b"k"


class World:
    """One entry, and everything that is still to happen, in any order. `history`: all that it has been."""

    def __init__(self, seed: int, faults: float) -> None:
        self.random = random.Random(seed)
        self.faults = faults
        self.stored: bytes | None = None
        self.history: list[bytes | None] = [None]
        self.pending: list[Callable[[], None]] = []
        self.now = 1_000_000.0
        self.defects: list[BaseException] = []

    def run(self) -> None:
        while self.pending:
            self.now += self.random.choice((0.0, 0.000_001, 0.001))
            self.pending.pop(self.random.randrange(len(self.pending)))()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.defects.append(context["exception"])

    # what EntryChange asks of a loop and of calls

    @property
    def loop(self) -> World:
        return self

    def call_later(self, _: float, work: Callable[..., None], *arguments: Any) -> None:
        self.pending.append(lambda: work(*arguments))

    def ask(self, request: Any, _number: int, _write: bool, _decode: Any, then: Callable[..., None]) -> None:
        if self.random.random() >= self.faults:
            self.pending.append(lambda: then(self.execute(request), None))
            return
        fault = self.random.randrange(4)
        if fault == 0:
            then(None, SILENT)
            return
        missed = self.random.choice((RESET, LATE))
        if fault == 1:  # never arrived
            self.pending.append(lambda: then(None, missed))
        elif fault == 2:  # done, and the answer lost
            self.pending.append(lambda: self.lose(request, then, missed))
        else:  # not done yet, maybe for long
            self.pending.append(lambda: then(None, missed))
            self.pending.append(lambda: self.lose(request, lambda *_: None, missed))

    def lose(self, request: tuple[Any, ...], then: Callable[..., None], missed: Missed) -> None:
        self.execute(request)
        then(None, missed)

    def execute(self, request: tuple[Any, ...]) -> Any:
        what, *values = request
        if what == "get":
            return self.stored
        if what == "put":
            if self.stored is not None:
                return self.stored
            self.store(values[0])
            return None
        if self.stored != values[0]:
            return False
        self.store(values[1] if what == "replace" else None)
        return True

    def store(self, stored: bytes | None) -> None:
        self.stored = stored
        raw = None if stored is None else unpacked(stored)
        assert raw is None or raw not in self.history, "a value that has been there before"
        self.history.append(raw)


class Requests:
    def get(self, _: bytes) -> Any:
        return ("get",)

    def put_if_absent(self, _: bytes, value: bytes) -> Any:
        return "put", value

    def replace_if_same(self, _: bytes, old: bytes, new: bytes) -> Any:
        return "replace", old, new

    def remove_if_same(self, _: bytes, old: bytes) -> Any:
        return "remove", old


class Process:
    """One worker's side of the space."""

    ttl = 60.0

    def __init__(self, world: World) -> None:
        self.calls: Any = world
        self.requests: Any = Requests()
        self.wall = lambda: world.now
        self.last: bytes | None = None
        self.change: EntryChange | None = None

    def ask(self, change: Any, guess: Any) -> Wanted:
        wanted = Wanted(self, change, guess)
        if self.change is None:
            self.change = EntryChange(self, KEY)
        self.change.add(wanted)
        return wanted

    def known(self, _: bytes) -> bytes | None:
        return self.last

    def note(self, _: bytes, raw: bytes | None) -> None:
        self.last = raw

    def takes_new(self) -> bool:
        return True

    def ended(self, _: bytes) -> None:
        self.change = None

    def failed(self, _: str) -> Unavailable:
        return Unavailable("store")

    def not_ours(self, error: Any) -> Unavailable:
        raise error

    def payload(self, raw: bytes | None) -> bytes | None:
        return None if raw is None or HEAD.unpack_from(raw)[1] <= self.wall() * 1000 else raw[HEAD.size :]


def append(name: bytes) -> Callable[[bytes | None], Changed]:
    """The answer: what is there afterwards."""

    def change(before: bytes | None) -> Changed:
        after = (before or b"") + name + b","
        return Changed(after, after)

    return change


def take(before: bytes | None) -> Changed:
    return Changed(before, None)


def names(value: bytes | None) -> list[bytes]:
    return (value or b"").split(b",")[:-1]


@pytest.mark.parametrize("takes", [0.0, 0.1], ids=["", "and taken away"])
@pytest.mark.parametrize("faults", [0.0, 0.1, 0.5])
def test_what_was_acknowledged_was_made_once_and_nothing_twice(faults: float, takes: float) -> None:
    for seed in range(60):
        world = World(seed, faults)
        appended, taken = changes_of_three(world, takes)
        good = [wanted.waiter.value for wanted in taken if wanted.waiter.error is None]
        left = names(None if world.history[-1] is None else world.history[-1][HEAD.size :])
        seen = Counter(left + [name for value in good for name in names(value)])
        assert all(count == 1 for count in seen.values()), seed
        if any(wanted.waiter.error is not None for wanted in taken):
            continue  # it may have been made all the same, and what it took nobody knows
        for name, wanted in appended.items():
            if wanted.waiter.error is None:
                assert seen[name] == 1, seed
                assert names(wanted.waiter.value)[-1] == name
                assert takes or left[: len(names(wanted.waiter.value))] == names(wanted.waiter.value), seed
            else:
                assert isinstance(wanted.waiter.error, Unavailable)


def changes_of_three(world: World, takes: float) -> tuple[dict[bytes, Wanted], list[Wanted]]:
    """100 changes that three processes make; now and then somebody's time is over."""
    processes = [Process(world) for _ in range(3)]
    appended: dict[bytes, Wanted] = {}
    taken: list[Wanted] = []

    def begin(number: int) -> None:
        process = world.random.choice(processes)
        guess = world.random.choice((UNKNOWN, None, process.payload(process.last), b"wrong"))
        if world.random.random() < takes:
            taken.append(process.ask(take, guess))
            return
        wanted = appended[b"%d" % number] = process.ask(append(b"%d" % number), guess)
        if world.random.random() < world.faults / 5 and not wanted.over:
            wanted.expire()

    for number in range(100):
        world.pending.append(lambda number=number: begin(number))  # type: ignore[misc]
    world.run()
    assert all(process.change is None for process in processes), "something goes on for ever"
    assert all(wanted.over for wanted in [*appended.values(), *taken]), "somebody waits for ever"
    if not world.faults:
        assert all(wanted.waiter.error is None for wanted in [*appended.values(), *taken])
    return appended, taken


def test_a_defect_in_one_evaluation_holds_up_nobody_else() -> None:
    world = World(1, 0.0)
    process = Process(world)
    first, broken, last = (process.ask(append(b"%d" % number), UNKNOWN) for number in range(3))

    def defect() -> None:
        raise ZeroDivisionError

    broken.waiter.callback = defect
    world.run()
    assert first.waiter.value == b"0," and last.waiter.value == b"0,1,2,"
    assert [type(error) for error in world.defects] == [ZeroDivisionError]
    assert process.change is None
