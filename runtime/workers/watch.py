"""`polgate run --watch`: looks at the policy's files until they have changed and stand still, and orders a reload.

It looks at what a name leads to, so that an editor that puts a new file in the place of the old one is seen, and a
Kubernetes ConfigMap, where a link beside the files changes its target. It asks the file system instead of inotify:
that works on every mount, and a dozen files cost some microseconds a look.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping

EVERY = 0.4
"""Seconds between two looks; what has changed must look the same twice."""
IMPATIENT = 10
"""Looks after which what never stands still is read nevertheless."""

Mark = tuple[int, int, int, int] | None


def mark(path: str) -> Mark:
    """What tells one state of a file from another; None for one that cannot be seen."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def marks(paths: Iterable[str]) -> dict[str, Mark]:
    return {path: mark(path) for path in paths}


class Watch:
    """`read` gives every file of the last reading with its mark from before it was read, also those that it missed.

    `changed` is called with their names, from a thread of the watch's own.
    """

    def __init__(self, read: Callable[[], Mapping[str, Mark]], changed: Callable[[list[str]], None]) -> None:
        self._read = read
        self._changed = changed
        self._told: dict[str, Mark] = {}
        self._before: dict[str, Mark] = {}
        self._moving = 0

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _run(self) -> None:
        turn = threading.Event()
        while not turn.wait(EVERY):
            self.look()

    def look(self) -> None:
        """One look. Tells once of each change, also while it is being read."""
        read = self._read()
        now = marks(read)
        still, self._before = now == self._before, now
        names = [path for path, one in now.items() if one != read[path]]
        if not names or now == self._told:
            self._moving = 0
            return
        self._moving += 1
        if still or self._moving > IMPATIENT:
            self._moving, self._told = 0, now
            self._changed(names)
