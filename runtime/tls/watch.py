"""Files that are taken up again when they change: looked at once a second, by one timer for a whole process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from typing import Final, Protocol
from weakref import WeakSet

EVERY: Final = 1.0
"""Seconds."""

Mark = tuple[tuple[int, int, int] | None, ...]


class Watched(Protocol):
    def look(self) -> None:
        """See whether a file has changed. Raises nothing."""
        ...


class Files:
    """Some files and what they looked like last.

    A change counts when it has stood for one look: of a certificate and its key, two files, only one may be there yet.
    """

    __slots__ = ("_paths", "_seen", "mark")

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(paths)
        self.mark = self._seen = marks(self._paths)

    def changed(self) -> bool:
        """True once for each change."""
        now = marks(self._paths)
        settled, self._seen = now == self._seen, now
        if not settled or now == self.mark:
            return False
        self.mark = now
        return True


def marks(paths: Iterable[str]) -> Mark:
    """What tells one state of files from another; None for one that is not there."""
    return tuple(map(_mark, paths))


def _mark(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Watch:
    """Everything of a process that is made of files. What is let go of elsewhere is watched no more.

    `tell` gets what the operator must know where nobody else is there to be told; a worker points it at its error log.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str], None] = _to_stderr
        self._watched: WeakSet[Watched] = WeakSet()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Watched) -> None:
        self._watched.add(watched)

    def look(self) -> None:
        for watched in list(self._watched):
            try:
                watched.look()
            except Exception as error:  # a mistake of ours must not come again every second, nor stop the others
                self._watched.discard(watched)
                self.tell(f"files of TLS are not taken up again until a reload: {type(error).__name__}: {error}")

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look every second from now on."""
        self.stop()
        self._timer = loop.call_later(EVERY, self._go_on, loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(EVERY, self._go_on, loop)
        self.look()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


WATCH: Final = Watch()
"""The one of this process."""
