"""Everything that a worker keeps outside of its own memory, opened together."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from policylang.sdk import Clock, Entries
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.entries import EmbeddedEntries
from runtime.stores.machine import SWEEP_BUSY, MachineStore
from runtime.stores.prepared import ID_BYTES, gateway_id
from runtime.workers.settings import StoreSettings

if TYPE_CHECKING:
    from runtime.cluster.client import Cluster
    from runtime.cluster.entries import ClusterEntries
    from runtime.leases.rates import ClusterRates


@dataclass(slots=True)
class Stores:
    """`rates` and `entries` are what all share, `counted` and `machine` what the workers of this machine do.

    `gateway`: 8 bytes that this machine keeps, `incarnation`: 8 that no other process has had. `cluster`: None where
    there is none; it tells when entries may be gone, and has to be asked again (`on_connected`).
    """

    rates: MachineStore | ClusterRates
    entries: Entries
    machine: EmbeddedEntries
    gateway: bytes
    counted: MachineStore
    incarnation: bytes = field(default_factory=lambda: secrets.token_bytes(ID_BYTES))
    cluster: Cluster | None = None
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
        counted = MachineStore(EmbeddedStore.open(folder), report, workers)
        machine = EmbeddedEntries(folder, loop, clock, report)
        if not settings.members:
            return cls(counted, machine, machine, gateway_id(folder), counted)
        # A tenth of a second of imports, which a gateway without a cluster does not need.
        from runtime.cluster.client import Cluster
        from runtime.cluster.entries import ClusterEntries
        from runtime.leases.holders import HolderCount
        from runtime.leases.rates import ClusterRates

        cluster, known = Cluster(settings, loop, report), HolderCount(folder, report)
        entries, incarnation = ClusterEntries(cluster, clock), secrets.token_bytes(ID_BYTES)
        rates = ClusterRates(
            entries, counted, clock, loop, incarnation, known.read() or workers, settings.deadline, report, known.write
        )
        cluster.on_connected.append(rates.reconnected)
        return cls(rates, entries, machine, gateway_id(folder), counted, incarnation, cluster)

    def start(self) -> None:
        """Begin what goes on beside the traffic; from within the running loop."""
        if self.cluster is not None:
            self.cluster.start()
            self.rates.start()  # type: ignore[union-attr]

    def sweep(self, now: int) -> float:
        """Delete some expired entries; gives the seconds until the next time."""
        many = self.machine.sweep()
        if now >= self._rates_due:
            self._rates_due = now + int(self.counted.sweep(now) * 1e9)
        return SWEEP_BUSY if many else (self._rates_due - now) / 1e9

    def room(self) -> dict[str, tuple[int, int]]:
        """By what is kept on this machine: bytes that are taken, and of how many."""
        return self.counted.room() | self.machine.room()

    @property
    def calls(self) -> int:
        return self.counted.calls + self.machine.calls + (0 if self._shared is None else self._shared.calls)

    @property
    def errors(self) -> int:
        return self.counted.errors + self.machine.errors + (0 if self._shared is None else self._shared.errors)

    @property
    def _shared(self) -> ClusterEntries | None:
        """Entries that are not on this machine."""
        return self.entries if self.cluster is not None else None  # type: ignore[return-value]

    def close(self) -> None:
        if self.cluster is not None:
            self.rates.close()
            self.cluster.close()
        self.counted.close()
        self.machine.close()
