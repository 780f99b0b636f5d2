"""Where log lines go: whole lines, in batches, never waiting for a slow reader or a full disk."""

from __future__ import annotations

import os
import select
import socket
import stat
from collections import deque
from collections.abc import Callable

BACKLOG = 1024 * 1024
"""Bytes that may wait for a reader; what comes while it is full is dropped and counted."""
FILE_BATCH = 64 * 1024
PIPE_BATCH = select.PIPE_BUF
"""POSIX: a write of at most PIPE_BUF bytes to a pipe is not torn by other writers."""
_OPEN = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK

Notice = Callable[[int], bytes]


class Sink:
    """`place` is a file's path or a descriptor (1, 2). `write` takes whole lines of at most PIPE_BUF bytes.

    `lost` counts the lines dropped since the last notice, `lost_ever` all of them; `notice(count)` makes the line that
    says so, which is written as soon as there is room again. Raises OSError when a file cannot be opened.
    """

    def __init__(self, place: str | int, notice: Notice, backlog: int = BACKLOG) -> None:
        self.place = place
        self.lost = self.lost_ever = 0
        self._notice = notice
        self._backlog = backlog
        self._lines: list[bytes] = []
        self._size = 0
        # A batch, the lines that are lost with it, and of them those that were not lost before (as a notice's were).
        self._waiting: deque[tuple[bytes, int, int]] = deque()
        self._waiting_size = 0
        self._partial = False  # the first batch is the rest of one that was cut within a line
        self._torn = False  # such a rest was dropped: what is written next must begin on a line of its own
        self._open()

    def _open(self) -> None:
        self._descriptor = os.open(self.place, _OPEN, 0o640) if isinstance(self.place, str) else _own(self.place)
        mode = os.fstat(self._descriptor).st_mode
        self._socket = socket.socket(fileno=os.dup(self._descriptor)) if stat.S_ISSOCK(mode) else None
        # Where the description is shared (or cannot be opened anew) it must stay blocking for the others.
        shared = self._socket is None and not stat.S_ISREG(mode) and os.get_blocking(self._descriptor)
        self._ready = select.poll() if shared else None
        if self._ready is not None:
            self._ready.register(self._descriptor, select.POLLOUT)
        self._batch = FILE_BATCH if stat.S_ISREG(mode) else PIPE_BATCH

    def write(self, line: bytes) -> None:
        size = self._size + len(line)
        if size > self._batch:
            self._cut()
            size = len(line)
        self._lines.append(line)
        self._size = size

    def flush(self) -> None:
        """Write what waits, as far as it goes without waiting."""
        if self._lines:
            self._cut()
        elif self._waiting:
            self._push()
        if self.lost and self._room(PIPE_BATCH):
            self._announce()
            self._push()

    def reopen(self) -> None:
        """Open a file of that name anew (it was moved away). Raises OSError and keeps the old one when it cannot."""
        if not isinstance(self.place, str):
            return
        self.flush()
        old, old_socket = self._descriptor, self._socket
        self._open()
        os.close(old)
        if old_socket is not None:
            old_socket.close()

    def close(self) -> None:
        self.flush()
        os.close(self._descriptor)
        if self._socket is not None:
            self._socket.close()

    def _room(self, size: int) -> bool:
        return self._waiting_size + size <= self._backlog

    def _cut(self) -> None:
        lines, self._lines = self._lines, []
        size, self._size = self._size, 0
        if self.lost and self._room(size + PIPE_BATCH):
            self._announce()
        if self._room(size):
            self._waiting.append((b"".join(lines), len(lines), len(lines)))
            self._waiting_size += size
        else:
            self.lost += len(lines)
            self.lost_ever += len(lines)
        self._push()

    def _announce(self) -> None:
        line = self._notice(self.lost)
        self._waiting.append((line, self.lost, 0))
        self._waiting_size += len(line)
        self.lost = 0

    def _push(self) -> None:
        waiting = self._waiting
        while waiting:
            batch, lines, new = waiting[0]
            lead = b"\n" if self._torn else b""
            try:
                sent = self._put(lead + batch) - len(lead)
            except BlockingIOError:
                return
            except OSError:
                # The reader has gone or the disk is full: keeping it would only drop what comes later instead.
                self.lost += sum(count for _, count, _ in waiting)
                self.lost_ever += sum(count for _, _, count in waiting)
                waiting.clear()
                self._waiting_size = 0
                self._torn, self._partial = self._torn or self._partial, False
                return
            self._torn = False
            self._waiting_size -= sent
            if sent < len(batch):
                whole = batch.count(b"\n", 0, sent)
                waiting[0] = batch[sent:], lines - whole, max(0, new - whole)
                self._partial = not batch.endswith(b"\n", 0, sent)
            else:
                waiting.popleft()
                self._partial = False

    def _put(self, batch: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(batch, socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0))
        if self._ready is not None and not self._ready.poll(0):
            raise BlockingIOError
        return os.write(self._descriptor, batch)


def _own(number: int) -> int:
    """A descriptor for the same pipe or terminal whose O_NONBLOCK is ours alone.

    Set on an inherited descriptor, the flag would hit everybody who shares it, the user's shell among them. A regular
    file is taken as it is: it never blocks, and the inherited offset is the right one.
    """
    mode = os.fstat(number).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return os.open(f"/proc/self/fd/{number}", _OPEN & ~os.O_CREAT & ~os.O_APPEND)
        except OSError:
            pass
    return os.dup(number)
