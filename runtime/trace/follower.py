"""An operator who follows journals: what waits for him, between the supervisor's thread and the admin listener's."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import orjson

LONGEST_FOLLOW: Final = 3600.0
"""Seconds that one may follow."""
LONGEST_QUEUE: Final = 1024 * 1024
"""Bytes that wait for one who reads slowly; journals beyond are lost to him, and counted."""


class Follower:
    """`expression` and `service` say which requests, empty for all. Lines are JSON: journals, and notes.

    A note has the key `trace`: `lost` (`journals`: so many), and at the end `end` (`why`, `lost` in all, and `unread`:
    for so many requests the expression could not be worked out).
    """

    def __init__(self, expression: str, service: str) -> None:
        self.expression = expression
        self.service = service
        self.number = 0  # given when it is taken
        self.news: Callable[[], None] = lambda: None
        """Called from any thread when there is something to take."""
        self.leave: Callable[[], None] = lambda: None
        """To be called when nobody takes any more."""
        self.ended = False
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._lost = self._lost_told = self._unread = 0
        self._lock = threading.Lock()

    def journal(self, line: bytes) -> None:
        with self._lock:
            if self.ended:
                return
            if self._size + len(line) > LONGEST_QUEUE:
                self._lost += 1
                return
            self._add(line)
        self.news()

    def missed(self, lost: int, unread: int) -> None:
        """What a worker could not tell: too much at a time, or expressions that cannot be worked out."""
        with self._lock:
            self._lost += lost
            self._unread += unread
        self.news()

    def end(self, why: str) -> None:
        """No more comes. What waits is still to be taken."""
        with self._lock:
            if self.ended:
                return
            self._tell_lost()
            self._add(orjson.dumps({"trace": "end", "why": why, "lost": self._lost, "unread": self._unread}))
            self.ended = True
        self.news()

    def take(self) -> bytes:
        """All lines that wait, and how many could not."""
        with self._lock:
            self._tell_lost()
            lines, self._size = list(self._lines), 0
            self._lines.clear()
            return b"".join(lines)

    def _tell_lost(self) -> None:
        if self._lost > self._lost_told:
            self._add(orjson.dumps({"trace": "lost", "journals": self._lost - self._lost_told}))
            self._lost_told = self._lost

    def _add(self, line: bytes) -> None:
        self._lines.append(line + b"\n")
        self._size += len(line) + 1
