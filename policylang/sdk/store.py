"""What assertions may ask of the store that the workers of a machine, or the gateways of a cluster, share.

Two protocols: `Rates` counts against limits, `Entries` keeps bytes under keys. Everything else (quotas, permits,
caches, maps) is built on these two, so that each store implements them and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from policylang.sdk.window import Decision

__all__ = [
    "UNKNOWN", "Change", "Changed", "Decision", "Entries", "Limit", "Rates", "Space", "Store", "own_object", "settled",
]  # fmt: skip

T = TypeVar("T")


class Limit(NamedTuple):
    """`most` in each `window`, or with a `burst` above 0 a bucket of most x burst / window. Times in nanoseconds.

    `suffix` is added to the key: limits of several windows count apart.
    """

    most: int
    window: int
    burst: int = 0
    suffix: bytes = b""


class Rates(Protocol):
    """A store that is at hand answers at once, one that is not gives a coroutine. `now`: the clock's monotonic time.

    Raises Unavailable when the store cannot answer in time or is full.
    """

    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision | Coroutine[Any, Any, Decision]:
        """Count `cost` against `limit` per `window` nanoseconds, if it may pass.

        `burst` (nanoseconds) above 0 makes it a bucket of limit x burst / window. `count=False` only asks: `remaining`
        and `reset` are then as nothing is taken.
        """
        ...

    def admit_all(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1, count: bool = True
    ) -> tuple[Decision, ...] | Coroutine[Any, Any, tuple[Decision, ...]]:
        """Count against every limit if all of them let it pass, else against none. A decision for each, in order;
        of one that would have let it pass where another does not: how it stands."""
        ...


class Store(Rates, Protocol):
    """Itself it counts for all who share it: the workers of this machine, or the gateways of the cluster."""

    @property
    def machine(self) -> Rates:
        """Counts for the workers of this machine alone."""
        ...

    @property
    def alone(self) -> Rates:
        """Counts in this process: its share of every limit, for while the store is away. Never raises Unavailable.

        A share below one lets nothing pass. After the last time that the store answered it lets nothing pass for a
        window, since what was admitted then may have been the whole limit.
        """
        ...


@dataclass(frozen=True, slots=True)
class Space:
    """A part of the store with keys of its own.

    `kind`: `passing` outlives processes, not the machine's boot (on a cluster: not all of its members); `lasting` is on
    disk (on two members) before a change is acknowledged; `cache` may lose any entry at any time. `ttl`: seconds that
    no entry outlives; a space is always opened with the same.
    """

    name: str
    kind: Literal["passing", "lasting", "cache"]
    ttl: float


class Changed(NamedTuple):
    """`answer` is for the caller. `value`: what is to be there; None removes it, the very object that was given leaves
    it as it is. `ttl`: seconds from now that it shall live; None: as long as the space allows."""

    answer: Any
    value: bytes | None
    ttl: float | None = None


Change: TypeAlias = Callable[[bytes | None], Changed]
"""From what is there (None: nothing) to what shall be. Pure and quick: it may be called again when another was faster,
and runs while the store's write lock is held."""


class _Own(bytes):
    pass


def own_object(value: bytes | None) -> bytes | None:
    """What a store gives a `Change`: of one byte or none Python has one object only, and then an equal value that is to
    be written anew, to live longer, could not be told from the one that was given."""
    return _Own(value) if value is not None and len(value) < 2 else value


class _Unknown:
    __slots__ = ()


UNKNOWN = _Unknown()
"""No guess."""


class Entries(Protocol):
    """Bytes under keys (1 to 10,000 bytes; a key that is too long for a store is hashed there).

    What is at hand is given at once, else a coroutine: see `settled`. Raises Unavailable within the store's deadline;
    then a change may have happened, or happen yet, unless something else has changed the entry before.
    """

    def read(self, space: Space, key: bytes) -> bytes | Coroutine[Any, Any, bytes | None] | None: ...

    def update(
        self, space: Space, key: bytes, change: Change, guess: bytes | _Unknown | None = UNKNOWN
    ) -> Any | Coroutine[Any, Any, Any]:
        """Change an entry in one step, and give the `answer` of the change that was made.

        `guess`: what the caller believes is there (None: nothing). Where asking costs a round trip, a right guess saves
        one; a wrong one changes nothing of the outcome.
        """
        ...

    def scan(
        self, space: Space, after: bytes = b"", count: int = 1000
    ) -> list[tuple[bytes, bytes]] | Coroutine[Any, Any, list[tuple[bytes, bytes]]]:
        """Up to `count` (at most 1,000) entries with their keys as stored, in the order of these, beyond `after`.

        For operators, not for traffic.
        """
        ...


async def settled(value: T | Coroutine[Any, Any, T]) -> T:
    """What a store has given, or will give."""
    return await value if isinstance(value, CoroutineType) else value  # type: ignore[return-value]
