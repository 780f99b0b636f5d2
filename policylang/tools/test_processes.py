"""Tests in processes of their own, forked from one that has loaded everything.

Each process is given one test at a time, so that nobody waits for the slowest half. A test that kills its process, or
does not come to an end, is broken, and no other is.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from itertools import islice
from typing import Any

SECONDS = 60.0
"""Of real time, for one test."""
MOST_JOBS = 64
_ORPHAN = 5
"""Seconds beyond that in which a process ends its test by itself: whoever has given it is gone."""
_CHUNK = 65536
_DEFECT = "defect"

Perform = Callable[[int], dict[str, Any]]
"""Runs the test of that number and tells of it in what JSON can hold."""

Broken = Callable[[int, str], dict[str, Any]]
"""Tells of a test that nothing came of, and why."""


class Lost(Exception):
    """A test whose process has ended, or was ended, before it was done; the text says how."""


class _Worker:
    """One process, and the test that it has at hand."""

    def __init__(self, perform: Perform, others: list[_Worker]) -> None:
        asks, self._asks = os.pipe()
        self.answers, tells = os.pipe()
        self.at_hand: int | None = None
        self.began = 0.0
        self._held = b""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                # What is held open of others would keep them from seeing the end.
                for each in others:
                    os.close(each._asks)
                    os.close(each.answers)
                os.close(self._asks)
                os.close(self.answers)
                _serve(perform, asks, tells)
            finally:
                os._exit(0)
        os.close(asks)
        os.close(tells)

    @property
    def late(self) -> bool:
        return self.began + SECONDS <= time.monotonic()

    def give(self, number: int) -> None:
        self.at_hand, self.began = number, time.monotonic()
        with suppress(BrokenPipeError):  # of one that has just ended: its answer's end will say so
            os.write(self._asks, b"%d\n" % number)

    def take(self) -> dict[str, Any] | None:
        """What has come of the test at hand, None while it is not all there. Raises Lost."""
        data = os.read(self.answers, _CHUNK)
        if not data:
            raise Lost(f"its process ended with {_ending(self.end())}")
        self._held += data
        if not self._held.endswith(b"\n"):
            return None
        found: dict[str, Any] = json.loads(self._held)
        self._held, self.at_hand = b"", None
        return found

    def end(self, kill: bool = False) -> int:
        """Gives the process's status, once it has ended."""
        os.close(self._asks)
        os.close(self.answers)
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"


def _serve(perform: Perform, asks: int, tells: int) -> None:
    gc.enable()  # a test of many requests makes more than one that is checked
    try:
        with os.fdopen(asks, "rb") as numbers, os.fdopen(tells, "wb") as answers:
            for line in numbers:
                signal.alarm(int(SECONDS) + _ORPHAN)
                answers.write(json.dumps(_performed(perform, int(line))).encode() + b"\n")
                answers.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        pass


def _performed(perform: Perform, number: int) -> dict[str, Any]:
    try:
        return perform(number)
    except Exception as error:
        if os.environ.get("POL_DEBUG"):
            traceback.print_exc()
        return {_DEFECT: " ".join(f"a defect of ours: {type(error).__name__}: {error}".split())}


def _unless_defect(found: dict[str, Any], number: int, broken: Broken) -> dict[str, Any]:
    return broken(number, found[_DEFECT]) if _DEFECT in found else found


def run_all(
    count: int, perform: Perform, jobs: int, broken: Broken
) -> Generator[dict[str, Any], None, None]:
    """What came of the tests 0 up to `count`, in this order.

    Whoever closes the iterator ends the processes.
    """
    if not hasattr(os, "fork"):
        for number in range(count):
            yield _unless_defect(_performed(perform, number), number, broken)
        return
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # what is there already is not looked through by each of them, nor copied for it
    before = _end_with_all()
    workers: list[_Worker] = []
    done: dict[int, dict[str, Any]] = {}
    waiting = iter(range(count))
    shown = 0
    try:
        for number in islice(waiting, max(1, min(jobs, MOST_JOBS))):
            workers.append(_started(number, perform, workers))
        while shown < count:
            for worker, at_hand in _heard(workers):
                try:
                    found = _result(worker)
                except Lost as lost:
                    workers.remove(worker)
                    done[at_hand] = broken(at_hand, str(lost))
                    workers += [_started(each, perform, workers) for each in islice(waiting, 1)]
                    continue
                if found is not None:
                    done[at_hand] = _unless_defect(found, at_hand, broken)
                    for each in islice(waiting, 1):
                        worker.give(each)
            while shown in done:
                yield done.pop(shown)
                shown += 1
    finally:
        for worker in workers:
            worker.end(kill=worker.at_hand is not None)
        if before is not None:
            signal.signal(signal.SIGTERM, before)
        gc.unfreeze()


def _end_with_all() -> Any:
    """Have TERM end this process the long way, so that no other is left behind. Gives what it did before."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def ended(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    return signal.signal(signal.SIGTERM, ended)


def _started(number: int, perform: Perform, others: list[_Worker]) -> _Worker:
    worker = _Worker(perform, others)
    worker.give(number)
    return worker


def _heard(workers: list[_Worker]) -> list[tuple[_Worker, int]]:
    """Those that have something to say, or have had their time, with the test at hand; waits for the first."""
    busy = [(worker, worker.at_hand) for worker in workers if worker.at_hand is not None]
    left = max(0.0, min(worker.began for worker, _ in busy) + SECONDS - time.monotonic())
    ready, _, _ = select.select([worker.answers for worker, _ in busy], [], [], left)
    return [(worker, test) for worker, test in busy if worker.answers in ready or worker.late]


def _result(worker: _Worker) -> dict[str, Any] | None:
    if worker.late:
        worker.end(kill=True)
        raise Lost(f"it was not done after {SECONDS:g} s of real time")
    return worker.take()
