"""A worker's counters in a file that others read while it counts, and after it has died.

The file is a header, a row of cells (unsigned, 8 bytes, in the machine's order) and a table that says what they are:
lines of JSON, only ever added to, so that a reader needs to know nothing of a policy. Each line has `c`, the first
cell, and either `m` (the metric) and `l` (the values of its labels), or `p`: a path, a list of [line, times]: whatever
the cell has counted, each series of these lines has counted so many times.

It lies in the file system as one whole, with holes; a part of it is used only once it has its blocks (posix_fallocate),
since a store to a page that a full disk cannot back kills the process (SIGBUS). The lock on it is the worker's life:
whoever can take it knows that nobody writes any more.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

METRICS_FOLDER: Final = "metrics"
SUFFIX: Final = ".cells"
UNFINISHED: Final = ".new"
MAGIC: Final = int.from_bytes(b"polgate1", "little")
STEP: Final = 64 * 1024
"""Bytes that are taken from the disk at a time."""
HEADER: Final = 4096
MOST_CELLS: Final = 512 * 1024
TABLE_AT: Final = HEADER + 8 * MOST_CELLS
MOST_TABLE: Final = 12 * 1024 * 1024
SIZE: Final = TABLE_AT + MOST_TABLE
# Cells of the header.
IS_MAGIC, TABLE_USED, CELLS_USED = 0, 1, 2
NOWHERE: Final = 64
"""Cells at the beginning that no line names: what found no room is counted there, and nobody reads it."""


class Cells:
    """The writer's side. `row` is the cells: `row[first + 3] += 1` counts. `lost`: series that found no room."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.lost = 0
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, SIZE)
        whole = memoryview(self._map)
        self._header = whole[:HEADER].cast("Q")
        self.row = whole[HEADER:TABLE_AT].cast("Q")
        self._table = whole[TABLE_AT:]
        self._lines = 0
        self._cells_room = STEP // 8
        self._table_room = STEP
        self._header[CELLS_USED] = NOWHERE
        self._header[IS_MAGIC] = MAGIC

    @classmethod
    def create(cls, folder: Path, slot: int) -> Cells:
        """`folder`: the store's. Raises OSError where there is no room for even the first cells."""
        place = folder / METRICS_FOLDER
        place.mkdir(mode=0o700, exist_ok=True)
        # Never the name of another that a reader has not taken over yet: ids of processes come again.
        path = place / f"worker-{slot}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        hidden = path.with_suffix(UNFINISHED)
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, SIZE)
            os.posix_fallocate(descriptor, 0, HEADER + STEP)
            os.posix_fallocate(descriptor, TABLE_AT, STEP)
            made = cls(path, descriptor)
            os.rename(hidden, path)  # now that it says what it is, readers may find it
        except BaseException:
            os.close(descriptor)
            hidden.unlink(missing_ok=True)
            raise
        return made

    def series(self, metric: str, labels: Sequence[str], cells: int) -> tuple[int, int]:
        """A new series: its first cell and its line's number. Without room: cells that nobody reads, and -1."""
        return self._add({"m": metric, "l": list(labels)}, cells)

    def path_of(self, lines: Sequence[tuple[int, int]]) -> int:
        """A new path: its cell; 0 without room."""
        first, _ = self._add({"p": lines}, 1)
        return first

    def _add(self, line: dict[str, Any], cells: int) -> tuple[int, int]:
        first = self._header[CELLS_USED]
        text = orjson.dumps({"c": first, **line}, None, orjson.OPT_APPEND_NEWLINE)
        used = self._header[TABLE_USED]
        if not self._has_room(first + cells, used + len(text)):
            self.lost += 1
            return 0, -1
        self._table[used : used + len(text)] = text
        self._header[CELLS_USED] = first + cells
        self._header[TABLE_USED] = used + len(text)  # last: a reader looks no further than this
        self._lines += 1
        return first, self._lines - 1

    def _has_room(self, cells: int, table: int) -> bool:
        if cells > MOST_CELLS or table > MOST_TABLE:
            return False
        try:
            while cells > self._cells_room:
                os.posix_fallocate(self._descriptor, HEADER + 8 * self._cells_room, STEP)
                self._cells_room += STEP // 8
            while table > self._table_room:
                os.posix_fallocate(self._descriptor, TABLE_AT + self._table_room, STEP)
                self._table_room += STEP
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Nothing is counted any more; what was stays for the reader, who removes the file."""
        for view in (self._header, self.row, self._table):
            view.release()
        self._map.close()
        os.close(self._descriptor)


class Written:
    """The reader's side of one file. Raises OSError or ValueError when it is not what it should be.

    `series`: metric, labels, first cell of each line (None: a path); `paths`: cell and its lines with times.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.fstat(self._descriptor).st_size != SIZE:
                raise ValueError(f"`{path}` has another size than counters have")
            self._map = mmap.mmap(self._descriptor, SIZE, prot=mmap.PROT_READ)
        except BaseException:
            os.close(self._descriptor)
            raise
        whole = memoryview(self._map)
        self._header = whole[:HEADER].cast("Q")
        self._cells = whole[HEADER:TABLE_AT].cast("Q")
        self._table = whole[TABLE_AT:]
        del whole  # a view of it would keep the map from being closed
        self._read = 0
        self.series: list[tuple[str, tuple[str, ...], int] | None] = []
        self.paths: list[tuple[int, list[tuple[int, int]]]] = []
        if self._header[IS_MAGIC] != MAGIC:
            self.close()
            raise ValueError(f"`{path}` holds no counters of this version")

    def refresh(self) -> None:
        """Take up the lines that were added. What is not whole yet is left for the next time."""
        used = min(self._header[TABLE_USED], MOST_TABLE)
        text = bytes(self._table[self._read : used])
        for line in text.split(b"\n")[:-1]:
            try:
                found = orjson.loads(line)
                first = int(found["c"])
                if "p" in found:
                    self.paths.append((first, [(int(number), int(times)) for number, times in found["p"]]))
                    self.series.append(None)
                else:
                    self.series.append((found["m"], tuple(found["l"]), first))
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                break
            self._read += len(line) + 1

    def values(self, first: int, count: int) -> list[int]:
        # Aligned cells of 8 bytes, each read in one load: none is ever seen half written.
        return self._cells[first : first + count].tolist()

    def left(self) -> bool:
        """Whether its writer has gone for good."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def close(self) -> None:
        for view in (self._header, self._cells, self._table):
            view.release()
        self._map.close()
        os.close(self._descriptor)
