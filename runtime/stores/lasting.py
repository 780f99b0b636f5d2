"""Entries that are on disk before a change is acknowledged: a thread writes, many changes in one transaction.

A commit waits for the disk, which the loop must not. While one runs, what comes meanwhile queues up, and goes into the
next: the more there is to do, the less a change costs.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from pathlib import Path
from typing import Any, Self

import lmdb

from policylang.sdk import Change, Clock, Space, Unavailable
from policylang.sdk.waiter import Waiter
from runtime.stores import StoreUnavailable
from runtime.stores.kept import KEY_BYTES, Kept, Place, Report, digested

DEADLINE = 1.0
"""Seconds that a change may take: a disk that is busy can need hundreds of milliseconds for one sync."""
WAITING = 10_000
"""Changes that may wait for the disk; one more is refused at once."""
GROUP = 1000
"""The most that go into one transaction."""
LAST_WORDS = 2.0
"""Seconds that closing waits for what is being written."""


class Job:
    """One change under way."""

    __slots__ = ("answer", "change", "error", "place", "raw", "timer", "ttl", "waiter")

    def __init__(self, place: Place, raw: bytes, ttl: float, change: Change) -> None:
        self.place = place
        self.raw = raw
        self.ttl = ttl
        self.change = change
        self.waiter: Waiter[Any] = Waiter()
        self.timer: asyncio.TimerHandle | None = None
        self.answer: Any = None
        self.error: BaseException | None = None


class Lasting(Kept):
    """`read` and `scan` answer at once, from what was committed last; `update` gives a coroutine."""

    what = "lasting entries"
    loop: asyncio.AbstractEventLoop
    tell: Report

    @classmethod
    def open(cls, path: Path, clock: Clock, size: int, loop: asyncio.AbstractEventLoop, tell: Report) -> Self:
        kept = cls.opened(path, clock, size, readahead=False)
        kept.loop, kept.tell = loop, tell
        kept._jobs = queue.SimpleQueue()
        kept._waiting = 0
        kept._thread = None
        return kept

    _jobs: queue.SimpleQueue[Job | list[bytes] | None]
    _waiting: int
    _thread: threading.Thread | None

    async def update(self, space: Space, key: bytes, change: Change) -> Any:
        place = self.place(space.name)
        raw = place.prefix + key
        if len(raw) >= KEY_BYTES:
            raw = digested(raw)
        if self._waiting >= WAITING:
            raise StoreUnavailable(f"{WAITING} changes wait for the disk of `{self.path}`: it is too slow")
        job = Job(place, raw, space.ttl, change)
        job.timer = self.loop.call_later(DEADLINE, self._late, job)
        self._put(job)
        self._waiting += 1
        return await job.waiter

    def _put(self, job: Job | list[bytes]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="lasting", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _late(self, job: Job) -> None:
        """It may be done yet; a change that no transaction has taken up by now is dropped."""
        self.tell(f"a change of the {self.what} in `{self.path}` took over {DEADLINE:g} s: the disk is too slow")
        job.waiter.fail(Unavailable("store"))

    # --- in the thread ---

    def _write(self) -> None:
        more = True
        while more:
            jobs, more = self._group()
            self._commit([job for job in jobs if not job.waiter.done])
            try:
                self.loop.call_soon_threadsafe(self._deliver, jobs)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _group(self) -> tuple[list[Job], bool]:
        """All that waits, for at least one; and whether there will be more."""
        jobs: list[Job] = []
        one = self._jobs.get()
        while one is not None:
            if isinstance(one, Job):
                jobs.append(one)
            else:
                self._forget(one)
            if len(jobs) == GROUP:
                break
            try:
                one = self._jobs.get_nowait() if jobs else self._jobs.get()
            except queue.Empty:
                break
        return jobs, one is not None

    def _commit(self, jobs: list[Job]) -> None:
        try:
            with self._begin(write=True) as txn:
                changed = False
                for job in jobs:
                    job.error = None
                    try:
                        job.answer, wrote = self.step(txn, job.place, job.raw, job.ttl, job.change)
                    except lmdb.Error:
                        raise
                    except BaseException as error:
                        job.error = error
                    else:
                        changed = changed or wrote
                if not changed:
                    txn.abort()
        except lmdb.MapFullError as error:
            if len(jobs) > 1:
                # One that has no room must not take the others with it.
                self._commit(jobs[: len(jobs) // 2])
                self._commit(jobs[len(jobs) // 2 :])
            else:
                jobs[0].error = self.unavailable(error)
        except (lmdb.Error, StoreUnavailable) as error:
            found = self.unavailable(error) if isinstance(error, lmdb.Error) else error
            for job in jobs:
                job.error = found

    def _forget(self, expired: list[bytes]) -> None:
        try:
            self._sweep_now(expired)
        except (lmdb.Error, StoreUnavailable):
            pass  # there is a next time; changes say what is wrong

    def _sweep_now(self, expired: list[bytes]) -> None:
        super()._sweep(expired)

    # --- in the loop ---

    def _sweep(self, expired: list[bytes]) -> int:
        count = len(expired)
        self._put(expired)
        return count

    def _deliver(self, jobs: list[Job]) -> None:
        self._waiting -= len(jobs)
        for job in jobs:
            if job.timer is not None:
                job.timer.cancel()
            if job.error is None:
                job.waiter.fire(job.answer)
            elif isinstance(job.error, StoreUnavailable):
                self.tell(str(job.error))
                job.waiter.fail(Unavailable("store"))
            else:
                job.waiter.fail(job.error)

    def close(self) -> None:
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(LAST_WORDS)
            if self._thread.is_alive():
                return  # it is in a transaction, whose environment must stay; the process ends anyway
        super().close()
