"""Processes that stand for workers: each has opened a store, waits for a line, does a few lines, and may be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 60

RATES = """
import json, sys, time
from pathlib import Path
from runtime.stores.embedded import EmbeddedStore
store = EmbeddedStore.open(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
"""

ENTRIES = """
import os, signal, sys
from pathlib import Path
from entries_machine import CACHE, LASTING, PASSING, SPACES, HandClock, Opened, add_one, new_loop, put
from policylang.sdk.store import Changed
from runtime.stores.entries import EmbeddedEntries
clock, loop = HandClock(), new_loop()
entries = EmbeddedEntries(Path(sys.argv[1]), loop, clock, lambda text: print(text, file=sys.stderr))
store = Opened(entries, loop, clock)
print("open", flush=True)
sys.stdin.readline()
"""


@contextmanager
def workers(folder: Path, count: int, code: str, opening: str = RATES) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that have all opened the store, and wait for a line to begin."""
    paths = os.pathsep.join(str(ROOT / path) for path in (".", "tests", "tests/contracts"))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", opening + code, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths},
        )
        for _ in range(count)
    ]

    def kill_all() -> None:
        for worker in running:
            worker.kill()

    # A dead worker's line reads as "": no test waits for ever.
    deadline = threading.Timer(DEADLINE, kill_all)
    deadline.start()
    try:
        for worker in running:
            assert said(worker) == "open\n"
        yield running
    finally:
        deadline.cancel()
        kill_all()
        for worker in running:
            worker.communicate()


def begin(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("\n")
    worker.stdin.flush()


def said(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline()
