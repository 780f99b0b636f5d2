"""Permits: what limits how much happens at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from policylang.sdk import Clock, Exchange
from runtime.permits.permits import StoredPermits

if TYPE_CHECKING:
    from runtime.edge.edge import Edge
    from runtime.stores.opened import Stores

LOST = "permit-lost"
"""The failure of an exchange that was cut because the store could not be reached for too long."""


def permits_over(
    stores: Stores, clock: Clock, edge: Edge, defect: Callable[[BaseException], str], tell: Callable[[str], None]
) -> StoredPermits:
    """A worker's: those of the cluster, and with them those of its machine.

    `defect` takes a mistake of ours, `tell` what the operator must know.
    """

    def cut(exchange: Exchange) -> None:
        edge.cut(exchange, LOST, "its permit could not be renewed in time")

    def report(error: BaseException) -> None:
        defect(error)

    own = StoredPermits(stores.machine, clock, cut, report, tell)
    cluster = stores.cluster
    if cluster is None:
        return own
    shared = StoredPermits(stores.entries, clock, cut, report, tell, cluster=True, machine=own)
    cluster.on_lost.append(shared.doubt)
    cluster.on_connected.append(shared.doubt)
    return shared
