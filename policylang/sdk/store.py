"""What assertions may ask of the shared store."""

from __future__ import annotations

from typing import Protocol

from policylang.sdk.window import Decision

__all__ = ["Decision", "Store"]


class Store(Protocol):
    async def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        """Count `cost` against `limit` per `window` nanoseconds, if it may pass.

        `burst` (nanoseconds) above 0 makes it a bucket of limit x burst / window. `now` is the clock's monotonic
        time. `count=False` only asks. Raises Unavailable when the store cannot answer in time or is full.
        """
        ...
