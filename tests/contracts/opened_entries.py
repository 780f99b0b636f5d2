"""Every implementation of `Entries`, opened for a test that drives it as the gateway does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import CoroutineType
from typing import Any

from members import Members

from policylang.sdk import Entries, Waiter
from policylang.sdk.memory import MemoryEntries, MemoryStore
from runtime.cluster.client import Cluster
from runtime.cluster.entries import ClusterEntries
from runtime.edge.loop import new_loop
from runtime.stores import lasting
from runtime.stores.entries import EmbeddedEntries
from runtime.stores.folder import FolderClaim
from runtime.workers.settings import StoreSettings

WAIT = 20.0
"""Seconds: the deadline of every wait."""

# Where a disk is shared with other tests a sync can take long; tests of the deadline set one of their own.
lasting.DEADLINE = WAIT


class HandClock:
    """Wall time that stands at the machine's, moved by `offset`, since members have clocks of their own."""

    def __init__(self) -> None:
        self.offset = 0.0

    def wall(self) -> float:
        return time.time() + self.offset

    def monotonic(self) -> int:
        return time.monotonic_ns() + int(self.offset * 1e9)

    def sleep(self, seconds: float) -> Waiter[None]:
        raise AssertionError("stores do not sleep by the clock")


class Opened:
    """`entries`, and a loop that runs while something is asked of them."""

    def __init__(self, entries: Entries, loop: asyncio.AbstractEventLoop, clock: HandClock) -> None:
        self.entries = entries
        self.loop = loop
        self.clock = clock
        self.cluster: Cluster | None = None
        self.reports: list[str] = []

    def ask(self, value: Any) -> Any:
        """What a store gives, or will give."""
        return self.all(value)[0]

    def all(self, *values: Any) -> list[Any]:
        """Several at a time."""
        return self.loop.run_until_complete(asyncio.wait_for(self._all(values), WAIT))

    async def _all(self, values: Sequence[Any]) -> list[Any]:
        return list(await asyncio.gather(*(self.drive(value) for value in values)))

    async def drive(self, value: Any) -> Any:
        if not isinstance(value, CoroutineType):
            return value
        ended: asyncio.Future[Any] = self.loop.create_future()
        step(value, ended)
        return await ended

    def until(self, true: Callable[[], object], what: str) -> None:
        async def wait() -> None:
            end = self.loop.time() + WAIT
            while not true():
                assert self.loop.time() < end, what
                await asyncio.sleep(0.005)

        self.loop.run_until_complete(wait())


def step(coroutine: Coroutine[Any, Any, Any], ended: asyncio.Future[Any]) -> None:
    """Drive it as an evaluation is driven: it suspends on waiters alone."""
    try:
        waiter = coroutine.send(None)
    except StopIteration as stop:
        ended.set_result(stop.value)
    except BaseException as error:
        ended.set_exception(error)
    else:
        assert isinstance(waiter, Waiter), waiter
        waiter.callback = lambda: step(coroutine, ended)


@contextmanager
def in_memory() -> Iterator[Opened]:
    clock, loop = HandClock(), new_loop()
    yield Opened(MemoryEntries(clock, MemoryStore()), loop, clock)
    loop.close()


@contextmanager
def on_machine(folder: Path) -> Iterator[Opened]:
    clock, loop = HandClock(), new_loop()
    claim = FolderClaim.take(folder / "store", rates_bytes=16 << 20)
    opened = Opened(None, loop, clock)  # type: ignore[arg-type]
    entries = EmbeddedEntries(claim.folder, loop, clock, opened.reports.append)
    opened.entries = entries
    try:
        yield opened
    finally:
        entries.close()
        claim.release()
        loop.close()


@contextmanager
def in_cluster(members: Members, deadline: float = 5.0, connected: bool = True) -> Iterator[Opened]:
    """The deadline is a long one where it is not what is tested: members that have just started are slow."""
    clock, loop = HandClock(), new_loop()
    opened = Opened(None, loop, clock)  # type: ignore[arg-type]
    settings = StoreSettings(cluster=members.name, members=tuple(members.addresses), deadline=deadline)
    unexpected: list[Any] = []
    loop.set_exception_handler(lambda _, context: unexpected.append(context))
    cluster = opened.cluster = Cluster(settings, loop, opened.reports.append)
    opened.entries = ClusterEntries(cluster, clock)

    cluster.start()  # before the loop runs, as in a worker
    loop.run_until_complete(asyncio.sleep(0))
    try:
        if connected:
            opened.until(lambda: cluster.connected, "no connection")
        yield opened
    finally:
        loop.run_until_complete(asyncio.wait_for(cluster.stop(), WAIT))
        loop.run_until_complete(end_tasks())
        loop.close()
    assert not unexpected, unexpected


async def end_tasks() -> None:
    """The client's own; a gateway's process just ends."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
