"""Permits: how many exchanges may be under way at once for one key, counted by all who share a store."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from policylang.sdk.exchange import Exchange


class Wish(NamedTuple):
    """What is asked for: one of `limit` permits.

    `wait`: nanoseconds to wait for one, behind at most `queue` others that wait in this process for the same key; 0
    asks once. `stays`: while the store is away it may count among this process's own share instead of being lost.
    """

    limit: int
    wait: int = 0
    queue: int = 0
    stays: bool = False


class Permit(Protocol):
    """One of a limit. It is lost, and its exchange cut, once the process has not reached the store for 10 s."""

    running: int
    """How many of the key were out with it, when the store last said."""

    def release(self) -> None:
        """Give it back; a second time does nothing. It neither waits nor raises."""
        ...


class Permits(Protocol):
    """Never more than the limit are out among live processes; those of a dead one come back within 15 s."""

    def acquire(self, key: bytes, wish: Wish, exchange: Exchange) -> Permit | Coroutine[Any, Any, Permit | None] | None:
        """A permit, or None where all are out (with a `wait`: are still out after it).

        Raises Unavailable when the store cannot say.
        """
        ...

    def acquire_alone(self, key: bytes, wish: Wish, exchange: Exchange) -> Permit | None:
        """One of this process's share, limit // processes, for while the store is away; it counts what is out here."""
        ...

    @property
    def machine(self) -> Permits:
        """Counts for the workers of this machine alone."""
        ...
