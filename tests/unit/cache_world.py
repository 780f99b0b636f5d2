"""Several workers' caches over one store, on a clock that moves when told, and what an answer of theirs must be."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from types import CoroutineType
from typing import Any

from policylang.sdk import Changed, Client, Exchange, Field, Response, Space, Waiter
from policylang.sdk.bench import VirtualClock, make_fields, run
from policylang.sdk.caches import Life, Name, asked
from policylang.sdk.memory import MemoryEntries, MemoryStore
from runtime.caches.worker_caches import AGAIN, LOOK, WorkerCaches
from runtime.edge.request import ReceivedRequest, Trace


class Shared(MemoryEntries):
    """With the number that rises with every change, as the store of a machine has it."""

    def __init__(self, clock: VirtualClock, store: MemoryStore) -> None:
        super().__init__(clock, store)
        self.versions: dict[Space, int] = {}

    def update(self, space: Space, key: bytes, change: Callable[[bytes | None], Changed], guess: object = None) -> Any:
        self.versions[space] = self.versions.get(space, 0) + 1
        return super().update(space, key, change)

    def version(self, space: Space) -> int:
        return self.versions.get(space, 0)


class Far:
    """A store of a cluster: each call is made, and answered, when `settle` says so; the order is anybody's."""

    def __init__(self, inner: MemoryEntries, random: Random) -> None:
        self.inner = inner
        self.calls = 0
        self.waiting: list[Waiter[None]] = []
        self._random = random

    def read(self, space: Space, key: bytes) -> Any:
        return self._later(lambda: self.inner.read(space, key))

    def update(self, space: Space, key: bytes, change: Any, guess: object = None) -> Any:
        return self._later(lambda: self.inner.update(space, key, change))

    async def _later(self, work: Callable[[], Any]) -> Any:
        self.calls += 1
        waiter: Waiter[None] = Waiter()
        self.waiting.append(waiter)
        await waiter
        return work()

    def settle(self) -> None:
        while self.waiting:
            self.waiting.pop(self._random.randrange(len(self.waiting))).fire(None)


def exchange(fields: dict[str, str] | None = None, path: str = "/x") -> Exchange:
    request = ReceivedRequest("GET", path, None, make_fields(fields or {}), host="h")
    request.trace = Trace()
    environment: Any = None
    return Exchange(request, Client("192.0.2.1", 4), environment)


def name_of(path: str) -> Name:
    return (b"12345678", "http", "h", path, None)


class World:
    """`far`: a cluster's store between the workers. `ask` and `drop` check what they are given."""

    def __init__(self, workers: int, far: bool, random: Random, entries: Any = None) -> None:
        self.clock = VirtualClock()
        self.store = MemoryStore()
        self.random = random
        self.shared: Any = entries or Shared(self.clock, self.store)
        self.far = Far(self.shared, random) if far else None
        over: Any = self.far or self.shared
        self.defects: list[BaseException] = []
        self.workers = [
            WorkerCaches(over, self.clock, not far, lambda text: None, self.defects.append) for _ in range(workers)
        ]
        self.serial = 0
        self.hits = self.kept = 0
        self.dropped: dict[str, list[tuple[float, int]]] = {}
        self.pending: list[tuple[int, str, str, bool, float, float]] = []

    def settle(self) -> None:
        if self.far is not None:
            self.far.settle()

    def finished(self, value: Any) -> Any:
        if not isinstance(value, CoroutineType):
            return value
        while True:
            try:
                waiter = value.send(None)
            except StopIteration as stop:
                return stop.value
            while not waiter.done:
                self.settle()

    def ask(self, worker: int, path: str, language: str, ttl: float) -> dict[str, Any] | None:
        one = exchange({"Accept-Language": language}, path)
        found = self.finished(self.workers[worker].answer(one, name_of(path), int(ttl * 1e9)))
        if isinstance(found, str):
            return None
        self.hits += 1
        said: dict[str, Any] = json.loads(found.body)
        self.judge(worker, path, language, ttl, said, found)
        return said

    def judge(self, worker: int, path: str, language: str, ttl: float, said: dict[str, Any], found: Response) -> None:
        now = self.clock.wall()
        assert said["path"] == path, "another key's answer"
        assert not said["varies"] or said["language"] == language, "another variant's answer"
        assert now < said["kept"] + min(said["ttl"], ttl), "an answer past its ttl"
        assert abs(int(found.header(b"age") or "") - (now - said["kept"] + said["age"])) <= 1
        for when, by in self.dropped.get(path, []):
            if said["since"] <= when:  # it was asked for before
                late = 0.0 if by == worker else LOOK / 1e9 if self.far is None else AGAIN / 1e9
                assert now <= when + late, f"an answer that was forgotten {now - when:.3f} s ago"

    def fetch(self, worker: int, path: str, language: str, varies: bool, ttl: float) -> None:
        """Somebody goes to the upstream; `arrive` brings what he gets."""
        self.pending.append((worker, path, language, varies, ttl, self.clock.wall()))

    def arrive(self) -> None:
        worker, path, language, varies, ttl, since = self.pending.pop(self.random.randrange(len(self.pending)))
        self.serial += 1
        age = self.random.choice([0, 0, 7])
        body = json.dumps({
            "path": path, "language": language, "varies": varies, "ttl": ttl, "since": since,
            "kept": self.clock.wall(), "serial": self.serial, "age": age, "filler": "x" * self.random.randrange(3000),
        })  # fmt: skip
        one = exchange({"Accept-Language": language}, path)
        fields: list[Field] = [(b"date", b"Date", b"Sat, 21 Nov 2026 12:00:00 GMT")]
        one.response = Response(200, fields, body.encode())
        ended: list[bool | None] = []
        life = Life(ttl, age, (b"accept-language",) if varies else ())
        self.workers[worker].keep(one, name_of(path), asked(one.request), life, 10_000, since, ended.append)
        self.settle()
        assert len(ended) == 1
        self.kept += ended == [True]
        assert not self.defects

    def drop(self, worker: int, path: str) -> None:
        self.workers[worker].drop(name_of(path))
        self.settle()
        self.dropped.setdefault(path, []).append((self.clock.wall(), worker))

    def step(self) -> None:
        random = self.random
        worker, path = random.randrange(len(self.workers)), f"/{random.randrange(4)}"
        language, ttl = random.choice("abc"), random.choice([0.5, 5.0, 60.0])
        choice = random.random() if len(self.pending) < 6 else 0.7
        if choice < 0.55:
            if self.ask(worker, path, language, random.choice([2.0, 60.0, 3600.0])) is None:
                self.fetch(worker, path, language, random.random() < 0.5, ttl)
        elif choice < 0.75 and self.pending:
            self.arrive()
        elif choice < 0.78:
            self.drop(worker, path)
        else:
            self.clock.advance(random.choice([0.0, 0.001, 0.019, 0.021, 0.1, 0.3, 0.999, 1.001, 4.0, 40.0]))


__all__ = ["Far", "Shared", "World", "exchange", "name_of", "run"]
