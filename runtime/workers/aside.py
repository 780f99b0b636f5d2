"""Work that would hold up a worker's loop, done in a thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

SWITCH_INTERVAL: Final = 0.001
"""Seconds after which the thread lets the loop in (Python's own 5 ms would be seen in the latencies)."""
_USUAL: Final = sys.getswitchinterval()
_running: set[threading.Thread] = set()


def aside(
    loop: asyncio.AbstractEventLoop, work: Callable[[], T], then: Callable[[T | BaseException], None]
) -> None:
    """Have `then` called on the loop with what `work` gives, or raises. To be called on the loop."""

    def run() -> None:
        result: T | BaseException
        try:
            result = work()
        except BaseException as error:
            result = error
        loop.call_soon_threadsafe(done, result)

    def done(result: T | BaseException) -> None:
        _running.discard(thread)
        if not _running:
            sys.setswitchinterval(_USUAL)
        then(result)

    thread = threading.Thread(target=run, name="aside", daemon=True)
    _running.add(thread)
    sys.setswitchinterval(SWITCH_INTERVAL)
    thread.start()
