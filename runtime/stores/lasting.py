"""Entries that are on disk before a change is acknowledged: a thread writes, many changes in one transaction.

A commit waits for the disk, and its write lock for other workers, which the loop must not. What comes meanwhile queues
up and goes into the next commit: the more there is to do, the less a change costs. The loop reads what was committed
last.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import lmdb

from policylang.sdk import Change, Clock, Space, Unavailable
from policylang.sdk.waiter import Waiter
from runtime.stores import StoreUnavailable
from runtime.stores.kept import Kept, Place, Report

DEADLINE = 1.0
"""Seconds that a change may take: a disk that is busy can need hundreds of milliseconds for one sync."""
WAITING = 10_000
"""Changes that may wait for the disk; one more is refused at once."""
GROUP = 256
"""The most that go into one transaction: while their changes run, the loop waits for the interpreter."""
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
    """`tell` hears why changes fail, as often as they do."""

    what: ClassVar = "lasting entries"
    options: ClassVar = {}

    def __init__(self, path: Path, clock: Clock, loop: asyncio.AbstractEventLoop, tell: Report) -> None:
        super().__init__(path, clock)
        self._loop = loop
        self._tell = tell
        self._jobs: queue.SimpleQueue[Job | Literal["sweep", "end"]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._waiting = 0
        self._sweeping = False
        self._swept = 0
        self._panicked = False

    def _disown(self) -> None:
        super()._disown()
        self._jobs, self._thread = queue.SimpleQueue(), None

    # --- in the loop ---

    async def update(self, space: Space, key: bytes, change: Change) -> Any:
        if self._waiting >= WAITING:
            raise StoreUnavailable(f"{WAITING} changes wait for the disk of `{self.path}`: it is too slow")
        place = self.place(space.name)
        job = Job(place, self.raw(place, key), space.ttl, change)
        job.timer = self._loop.call_later(DEADLINE, self._late, job)
        self._waiting += 1
        self._put(job)
        return await job.waiter

    def sweep(self) -> int:
        """Have the thread sweep; gives how many the last time found."""
        if not self._sweeping:
            self._sweeping = True
            self._put("sweep")
        return self._swept

    def _put(self, job: Job | Literal["sweep"]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="lasting", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def _late(self, job: Job) -> None:
        """It may be done yet; but what no transaction has taken up by now none will."""
        self._tell(f"a change of the {self.what} in `{self.path}` took over {DEADLINE:g} s: the disk is too slow")
        job.waiter.fail(Unavailable("store"))

    def _deliver(self, jobs: list[Job]) -> None:
        self._waiting -= len(jobs)
        for job in jobs:
            if job.timer is not None:
                job.timer.cancel()
            if job.error is None:
                job.waiter.fire(job.answer)
            elif isinstance(job.error, StoreUnavailable):
                self._tell(str(job.error))
                job.waiter.fail(Unavailable("store"))
            else:
                job.waiter.fail(job.error)

    def _panic(self) -> None:
        self._panicked = True  # see `_reopen`

    def _reopen(self, done: threading.Event) -> None:
        """The thread waits meanwhile, and the loop reads only in its own turns: there is no transaction."""
        try:
            super()._panic()
            self._panicked = False
        except StoreUnavailable as error:
            self._tell(str(error))
        done.set()

    def close(self) -> None:
        if self._thread is not None:
            self._jobs.put("end")
            self._thread.join(LAST_WORDS)
            if self._thread.is_alive():
                return  # it is in a transaction, whose environment must stay; the process ends anyway
            self._thread = None
        super().close()

    # --- in the thread ---

    def _write(self) -> None:
        end = False
        while not end:
            jobs, sweep, end = self._group()
            if self._panicked:
                done = threading.Event()
                if not self._tell_loop(self._reopen, done):
                    return
                done.wait()
            self._commit([job for job in jobs if not job.waiter.done], self._found() if sweep else [])
            if sweep:
                self._sweeping = False
            if not self._tell_loop(self._deliver, jobs):
                return

    def _tell_loop(self, what: Callable[..., None], *arguments: object) -> bool:
        """False when the loop is closed: nobody waits any more."""
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:
            return False
        return True

    def _group(self) -> tuple[list[Job], bool, bool]:
        """The changes that wait, whether to sweep, and whether this is the end; at least one of them."""
        jobs: list[Job] = []
        sweep = False
        one = self._jobs.get()
        try:
            while one != "end":
                if isinstance(one, Job):
                    jobs.append(one)
                else:
                    sweep = True
                if len(jobs) == GROUP:
                    break
                one = self._jobs.get_nowait()
        except queue.Empty:
            pass
        return jobs, sweep, one == "end"

    def _found(self) -> list[bytes]:
        try:
            expired = self.expired()
        except (lmdb.Error, StoreUnavailable):
            expired = []  # changes say what is wrong
        self._swept = len(expired)
        return expired

    def _commit(self, jobs: list[Job], expired: list[bytes]) -> None:
        """All of it in one transaction; the answer or the error stands in each job."""
        if not jobs and not expired:
            return
        try:
            txn = self._begin(None, None, True)
            try:
                wrote = [self._one(txn, job) for job in jobs]
                if (expired and self.delete(txn, expired)) or any(wrote):
                    txn.commit()
                else:
                    txn.abort()
            except BaseException:
                txn.abort()
                raise
        except lmdb.MapFullError as error:
            # What has no room must not take the rest with it, and what is swept makes some.
            if jobs and expired:
                self._commit([], expired)
                self._commit(jobs, [])
            elif len(jobs) > 1:
                self._commit(jobs[: len(jobs) // 2], [])
                self._commit(jobs[len(jobs) // 2 :], [])
            elif jobs:
                jobs[0].error = self.unavailable(error)
            else:
                self._commit([], expired[: len(expired) // 4])
        except Exception as error:
            # Whatever it is, it is the callers': without this thread nothing would ever be written again.
            found = self.unavailable(error) if isinstance(error, lmdb.Error) else error
            self._look()
            for job in jobs:
                job.error = found

    def _look(self) -> None:
        """Whether the environment still works after what has failed."""
        try:
            self._begin().abort()
        except lmdb.PanicError:
            self._panicked = True
        except (lmdb.Error, StoreUnavailable):
            pass  # who asks next is told

    def _one(self, txn: lmdb.Transaction[bytes], job: Job) -> bool:
        """True where there is something to commit. A change that is refused or broken has written nothing."""
        job.error = None
        try:
            job.answer, wrote = self.step(txn, job.place, job.raw, job.ttl, job.change)
        except lmdb.Error:
            raise
        except BaseException as error:
            job.error = error
            return False
        return wrote
