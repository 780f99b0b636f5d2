"""Quotas: so many units in each period of the calendar, counted by all who share a store."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NamedTuple, Protocol

from policylang.sdk.periods import Period


class Taken(NamedTuple):
    """Whether the units were granted, how many are left then, and for `give_back` which reading they belong to.

    `overdrawn`: nobody could say whether they were there; they are counted later.
    """

    granted: bool
    remaining: int
    epoch: int = 0
    overdrawn: bool = False


class Quotas(Protocol):
    """Never more than the limit in a period. What is at hand is given at once, else a coroutine (see `settled`).

    Raises Unavailable when the store cannot say.
    """

    def take(
        self, key: bytes, period: Period, limit: int, units: int, overdraw: bool = False
    ) -> Taken | Coroutine[Any, Any, Taken]:
        """Count `units`, 0 or more, if they fit into what is left of `limit`; else count nothing.

        `overdraw`: where the store cannot say, count them all the same, for it to hear of later.
        """
        ...

    def give_back(self, key: bytes, period: Period, units: int, epoch: int) -> None:
        """What was taken was not used after all. Neither waits nor raises; may be lost with this process."""
        ...

    def left(self, key: bytes, period: Period, limit: int) -> int | Coroutine[Any, Any, int]:
        """How many are left, as far as this gateway knows: what others hold counts as used."""
        ...

    @property
    def machine(self) -> Quotas:
        """Counts for the workers of this machine alone."""
        ...
