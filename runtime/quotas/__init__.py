"""Quotas over a store's entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from policylang.sdk import Clock
from runtime.quotas.ledger import Ledger
from runtime.quotas.witness import Witness

if TYPE_CHECKING:
    from runtime.stores.opened import Stores


def quotas_over(stores: Stores, clock: Clock, report: Callable[[BaseException], object]) -> Ledger:
    """Those of one worker; `start` begins what goes on beside the traffic."""
    ledger = Ledger(stores.entries, stores.machine, stores.gateway, clock, report)
    if stores.cluster is not None:
        ledger.witness = Witness(ledger, clock)
        stores.cluster.on_connected.append(ledger.witness.look)
    return ledger
