"""A journal that also notes when its entries came."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class TimedJournal(list[Any]):
    """`spent`: entries with the ns since the entry before them.

    What comes in one go (`extend`: the statements that end with another one, the branches of `parallel`) says nothing
    of its own time, and has none.
    """

    __slots__ = ("_at", "_now", "spent")

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__()
        self.spent: list[tuple[Any, int]] = []
        self._now = now
        self._at = now()

    def append(self, entry: Any) -> None:
        now = self._now()
        self.spent.append((entry, now - self._at))
        self._at = now
        list.append(self, entry)

    def extend(self, entries: Iterable[Any]) -> None:
        self._at = self._now()
        list.extend(self, entries)
