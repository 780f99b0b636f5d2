"""Keys that are refused for a while because they were over a limit: known here, and to all who share the store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Coroutine
from types import CoroutineType
from typing import Any, Final, cast

from policylang.sdk import Changed, Entries, Exchange, Space, settled

LONGEST: Final = 86_400.0
"""The longest blackout, in seconds."""
MOST_KNOWN: Final = 10_000
"""Keys that one statement remembers; of what it forgets the store is asked again."""
TRUSTED: Final = 1_000_000_000
"""Nanoseconds that a key is taken for free where asking costs a round trip: so late a blackout that began on another
gateway may be noticed here. A store that is at hand is asked every time."""
SPACE: Final = Space("blackout", "passing", LONGEST)


class Blackouts:
    """Those of one statement. Ends stand in the store as milliseconds of wall time, in 8 bytes."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[int, bool]] = OrderedDict()  # until when (monotonic ns), whether refused

    def left(self, entries: Entries, exchange: Exchange, key: bytes) -> float | Coroutine[Any, Any, float]:
        """Seconds until the key's blackout ends; 0 where it has none. While it is known here no store is asked.

        Raises Unavailable.
        """
        now = exchange.environment.clock.monotonic()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return (known[0] - now) / 1e9 if known[1] else 0.0
        found = entries.read(SPACE, key)
        if found.__class__ is CoroutineType:
            return self._asked(exchange, key, cast("Coroutine[Any, Any, bytes | None]", found))
        return 0.0 if found is None else self._found(exchange, key, cast(bytes, found))

    async def _asked(self, exchange: Exchange, key: bytes, asking: Coroutine[Any, Any, bytes | None]) -> float:
        found = await asking
        left = 0.0 if found is None else self._found(exchange, key, found)
        if not left:
            self._note(key, exchange.environment.clock.monotonic() + TRUSTED, False)
        return left

    def _found(self, exchange: Exchange, key: bytes, value: bytes) -> float:
        clock = exchange.environment.clock
        left = int.from_bytes(value) / 1000 - clock.wall()
        if left <= 0:
            return 0.0
        left = min(left, LONGEST)
        self._note(key, clock.monotonic() + int(left * 1e9), True)
        return left

    async def begin(self, entries: Entries, exchange: Exchange, key: bytes, seconds: float) -> None:
        """Refuse the key from now on. Known here also where this raises Unavailable."""
        clock = exchange.environment.clock
        self._note(key, clock.monotonic() + int(seconds * 1e9), True)
        end = int((clock.wall() + seconds) * 1000).to_bytes(8)

        def change(before: bytes | None) -> Changed:
            # Of two excesses at one time the later end holds.
            return Changed(None, before if before is not None and before >= end else end, seconds)

        await settled(entries.update(SPACE, key, change, None))

    def _note(self, key: bytes, until: int, refused: bool) -> None:
        known = self._known
        known[key] = until, refused
        known.move_to_end(key)
        if len(known) > MOST_KNOWN:
            known.popitem(last=False)
