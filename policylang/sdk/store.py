"""What assertions may ask of the shared store."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from policylang.sdk.window import Decision

__all__ = ["Decision", "Store"]


class Store(Protocol):
    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision | Coroutine[Any, Any, Decision]:
        """Count `cost` against `limit` per `window` nanoseconds, if it may pass.

        `burst` (nanoseconds) above 0 makes it a bucket of limit x burst / window. `now` is the clock's monotonic
        time. `count=False` only asks. A store that is at hand answers at once, one that is not gives a coroutine.
        Raises Unavailable when the store cannot answer in time or is full.
        """
        ...
