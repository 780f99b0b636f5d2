"""What every request might report is reported once in a while."""

from __future__ import annotations

from typing import Final

BETWEEN: Final = 1_000_000_000
"""Nanoseconds from one report to the next."""


class Seldom:
    """Whether it is time again: at most once in `between` nanoseconds of the clock whose readings are given."""

    __slots__ = ("_between", "_next")

    def __init__(self, between: int = BETWEEN) -> None:
        self._between = between
        self._next: int | None = None

    def again(self, now: int) -> bool:
        if self._next is not None and now < self._next:
            return False
        self._next = now + self._between
        return True
