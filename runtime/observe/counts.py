"""A worker's counters by metric and labels. They outlive every policy: what a reload brings is added."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from runtime.observe.access_log import printable
from runtime.observe.catalog import ASSERTION, MOST_SERIES, NO_ROOM, OTHER, Metric
from runtime.observe.cells import Cells

MOST_PATHS: Final = 10_000
"""Verdict paths that have a cell of their own; what beyond them comes is counted entry by entry."""
LONGEST_LABEL: Final = 256

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Step = tuple[str, str, str, str]
"""Service, assertion, line, outcome: the labels of ASSERTION."""


class Counts:
    """`row[counts.series(metric, "a", "b")] += 1` counts; what is beyond MOST_SERIES gets the series `_other`."""

    def __init__(self, cells: Cells) -> None:
        self.row = cells.row
        self._cells = cells
        self._known: dict[str, dict[tuple[str, ...], tuple[int, int]]] = {}
        self._paths: dict[tuple[tuple[int, int], ...], int] = {}
        self._lost = self.series(NO_ROOM)
        self._set: dict[str, list[int]] = {}

    def series(self, metric: Metric, *labels: str) -> int:
        """The first of its cells."""
        return self._find(metric, labels)[0]

    def _find(self, metric: Metric, labels: tuple[str, ...]) -> tuple[int, int]:
        known = self._known.get(metric.name)
        if known is None:
            known = self._known[metric.name] = {}
        found = known.get(labels)
        if found is None:
            if len(known) >= MOST_SERIES:
                labels = (OTHER,) * len(metric.labels)
                found = known.get(labels)
                if found is not None:
                    return found
            said = [_label(label) for label in labels]
            found = known[labels] = self._cells.series(metric.name, said, metric.cells)
            if found[1] < 0:
                self.row[self._lost] = self._cells.lost
        return found

    def path(self, steps: Sequence[Step]) -> int:
        """The cell that counts this whole path; 0 where there is none, and each step is to be counted by itself."""
        lines = Counter(self._find(ASSERTION, step)[1] for step in steps)
        key = tuple(sorted(lines.items()))
        cell = self._paths.get(key)
        if cell is None:
            if not key or key[0][0] < 0 or len(self._paths) >= MOST_PATHS:
                return 0
            cell = self._paths[key] = self._cells.path_of(key)
        return cell

    def gauges(self, metric: Metric, values: Sequence[tuple[tuple[str, ...], int]]) -> None:
        """Set a gauge's series, and to 0 those that it had before. Values are whole and not negative."""
        now: list[int] = []
        for labels, value in values:
            cell = self.series(metric, *labels)
            self.row[cell] = max(0, int(value))
            now.append(cell)
        before = self._set.get(metric.name)
        if before != now:
            for cell in set(before or ()) - set(now):
                self.row[cell] = 0
            self._set[metric.name] = now

    def close(self) -> None:
        self._cells.close()


def _label(text: str) -> str:
    """What a reader may trip over reads as its escape; labels that become one by this are one series."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found.group()):02x}", printable(text[:LONGEST_LABEL]))
