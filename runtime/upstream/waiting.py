"""Requests that wait until one of all their upstream's connections is free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policylang.sdk import Waiter
from runtime.edge.wheel import NEVER
from runtime.upstream.failures import Busy, timeout

if TYPE_CHECKING:
    from runtime.upstream.connection import UpstreamConnection
    from runtime.upstream.dial import Dial
    from runtime.upstream.pool import UpstreamPool
    from runtime.upstream.server import Server


class Turn:
    """One of them."""

    __slots__ = ("dial", "due", "pool", "seen", "server", "waiter")

    def __init__(self, pool: UpstreamPool, server: Server, waiter: Waiter[UpstreamConnection]) -> None:
        self.due = self.seen = NEVER
        self.pool = pool
        self.server = server
        self.waiter = waiter
        self.dial: Dial | None = None  # once a connection is opened for it

    def expired(self) -> None:
        self.pool.queue.remove(self)
        limit = self.pool.settings.connections
        failed = timeout(f"all {limit} connections to `{self.pool.name}` are in use", "connection_limit_reached")
        self.waiter.fail(Busy(failed.failure))
