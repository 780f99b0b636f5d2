"""Everything that a worker keeps outside of its own memory, opened together."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from policylang.sdk import Clock, Entries
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.entries import EmbeddedEntries
from runtime.stores.machine import SWEEP_BUSY, MachineStore
from runtime.stores.prepared import ID_BYTES, gateway_id
from runtime.workers.settings import StoreSettings


@dataclass(slots=True)
class Stores:
    """`rates` and `entries` are what all share, `machine` what the workers of this machine do.

    `gateway`: 8 bytes that this machine keeps, `incarnation`: 8 that no other process has had.
    """

    rates: MachineStore
    entries: Entries
    machine: EmbeddedEntries
    gateway: bytes
    incarnation: bytes = field(default_factory=lambda: secrets.token_bytes(ID_BYTES))
    _rates_due: int = 0

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
        machine = EmbeddedEntries(folder, loop, clock, report)
        return cls(rates, machine, machine, gateway_id(folder))

    def start(self) -> None:
        """Begin what goes on beside the traffic; from within the running loop."""

    def sweep(self, now: int) -> float:
        """Delete some expired entries; gives the seconds until the next time."""
        many = self.machine.sweep()
        if now >= self._rates_due:
            self._rates_due = now + int(self.rates.sweep(now) * 1e9)
        return SWEEP_BUSY if many else (self._rates_due - now) / 1e9

    @property
    def calls(self) -> int:
        return self.rates.calls + self.machine.calls

    @property
    def errors(self) -> int:
        return self.rates.errors + self.machine.errors

    def close(self) -> None:
        self.rates.close()
        self.machine.close()
