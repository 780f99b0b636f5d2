"""Everything that a worker keeps outside of its own memory, opened together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from policylang.sdk import Clock, Entries
from policylang.sdk.memory import MemoryEntries, MemoryStore
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.machine import MachineStore
from runtime.workers.settings import StoreSettings


@dataclass(slots=True)
class Stores:
    """`rates` and `entries` are what all share, `machine` what the workers of this machine do."""

    rates: MachineStore
    entries: Entries
    machine: Entries

    @classmethod
    def open(
        cls, folder: Path, settings: StoreSettings, workers: int, loop: asyncio.AbstractEventLoop, clock: Clock,
        report: Callable[[str], None],
    ) -> Stores:  # fmt: skip
        """From the folder that the supervisor has prepared; `report` hears what the operator must know.

        Waits for nothing: a cluster that is away is asked for again and again. Raises StoreUnavailable where the folder
        cannot be used.
        """
        rates = MachineStore(EmbeddedStore.open(folder), report, workers)
        entries = MemoryEntries(clock, MemoryStore())
        return cls(rates, entries, entries)

    def start(self) -> None:
        """Begin what goes on beside the traffic; from within the running loop."""

    def sweep(self, now: int) -> float:
        """Delete some expired entries; gives the seconds until the next time."""
        return self.rates.sweep(now)

    @property
    def calls(self) -> int:
        return self.rates.calls

    @property
    def errors(self) -> int:
        return self.rates.errors

    def close(self) -> None:
        self.rates.close()
