"""What a loop could not hand to anybody: exceptions out of callbacks, and of tasks that nobody waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from runtime.observe.events import EventLog

INTERVAL: Final = 60.0
"""Seconds between two lines about the same kind of error of the system's."""
KINDS: Final = 100
"""So many kinds are told apart."""


class Unexpected:
    """A loop's exception handler that writes to the error log, where the loop's own would print each traceback.

    What is no OSError is a defect, and the log sees to it that one does not fill it. An OSError is the network's or
    the kernel's doing (a peer that is gone, no descriptors to accept with): one line a minute for each kind.
    """

    def __init__(self, events: EventLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._events = events
        self._monotonic = monotonic
        self._told: dict[tuple[str, int | None], float] = {}

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        message = str(context.get("message") or "an error in the loop")
        if not isinstance(error, OSError):
            self._events.defect(error if error is not None else RuntimeError(message))
            return
        now, kind = self._monotonic(), (message[:64], error.errno)
        if now - self._told.get(kind, -INTERVAL) < INTERVAL:
            return
        if len(self._told) >= KINDS:
            self._told.clear()
        self._told[kind] = now
        self._events.write("warning", f"{message}: {(error.strerror or str(error)).lower()}")
