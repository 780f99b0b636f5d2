"""The embedded store as assertions see it (`policylang.sdk.Store`)."""

from __future__ import annotations

from collections.abc import Callable

from policylang.sdk import Decision, Unavailable
from runtime.stores import StoreUnavailable
from runtime.stores.embedded import SWEPT_PER_TRANSACTION, EmbeddedStore

SWEEP_INTERVAL = 1.0
"""Seconds between looks for expired keys while there are few of them."""
SWEEP_BUSY = 0.02
"""Seconds to the next look while there are many."""


class MachineStore:
    """Exact among the workers of this machine. `report` hears once a failure begins, and what it was.

    `calls`: how often it was asked, `errors`: how often in vain.

    An answer says no more than that the store is away: which folder, and why, is for the log.
    """

    def __init__(self, store: EmbeddedStore, report: Callable[[str], None]) -> None:
        self._store = store
        self._admit = store.admit
        self._report = report
        self._last = ""
        self.calls = self.errors = 0

    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        self.calls += 1
        try:
            if count:
                return self._admit(key, limit, window, burst, now, cost)
            return self._store.peek(key, limit, window, burst, now, cost)
        except StoreUnavailable as error:
            self.errors += 1
            self._tell(str(error))
            raise Unavailable("store") from None

    def sweep(self, now: int) -> float:
        """Delete some expired keys; gives the seconds until the next time."""
        try:
            many = self._store.sweep(now) == SWEPT_PER_TRANSACTION
        except StoreUnavailable as error:
            self._tell(str(error))
            return SWEEP_INTERVAL
        self._last = ""
        return SWEEP_BUSY if many else SWEEP_INTERVAL

    def _tell(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._report(text)

    def close(self) -> None:
        self._store.close()
