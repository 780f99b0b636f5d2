"""What a gateway does so that ids which it has let pass are known to a cluster whose members have all begun anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from policylang.sdk import Clock, Entries, Space, settled
from policylang.sdk.replays import first_of, held_until, replay_spaces
from runtime.quotas.witness import AT_ONCE, together

LONGEST: Final = 10.0
"""Seconds that it may take. What is left then this machine alone still refuses."""


class Replays:
    """Of one worker; the others of its machine do the same, which changes nothing. `report` hears what was left."""

    def __init__(self, entries: Entries, machine: Entries, clock: Clock, report: Callable[[str], None]) -> None:
        self._entries = entries
        self._machine = machine
        self._clock = clock
        self._report = report

    async def put_back(self) -> None:
        """Let the cluster have every id that this machine has let pass. Raises Unavailable."""
        until = self._clock.monotonic() + int(LONGEST * 1e9)
        for space in replay_spaces():
            after, page = b"", [(b"", b"")]
            while page:
                if self._clock.monotonic() > until:
                    self._report(f"not all ids of `not_replayed` were put back into the cluster within {LONGEST:g} s")
                    return
                page = await settled(self._machine.scan(space, after))
                if page:
                    after = page[-1][0]
                for start in range(0, len(page), AT_ONCE):
                    part = page[start : start + AT_ONCE]
                    await together([self._put_one_back(space, key, entry) for key, entry in part])

    async def _put_one_back(self, space: Space, key: bytes, entry: bytes) -> None:
        seconds = held_until(entry) - self._clock.wall()
        if seconds > 0:
            await settled(self._entries.update(space, key, first_of(entry, seconds), None))
