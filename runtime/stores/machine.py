"""The embedded store as assertions see it (`policylang.sdk.Store`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from policylang.sdk import Decision, Unavailable
from policylang.sdk.alone import Alone
from policylang.sdk.store import Limit
from policylang.sdk.window import standing
from runtime.stores import StoreFull, StoreUnavailable
from runtime.stores.embedded import SWEPT_PER_TRANSACTION, EmbeddedStore

SWEEP_INTERVAL = 1.0
"""Seconds between looks for expired keys while there are few of them."""
SWEEP_BUSY = 0.02
"""Seconds to the next look while there are many."""


class MachineStore:
    """Exact among the workers of this machine. `report` hears once a failure begins, and what it was.

    `holders`: how many workers share it. `calls`: how often it was asked, `errors`: how often in vain.

    An answer says no more than that the store is away: which folder, and why, is for the log.
    """

    def __init__(self, store: EmbeddedStore, report: Callable[[str], None], holders: int = 1) -> None:
        self._store = store
        self._admit = store.admit
        self._report = report
        self._last = ""
        self._answered = 0
        self.alone = Alone(holders)
        self.calls = self.errors = 0

    @property
    def machine(self) -> MachineStore:
        return self

    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        self.calls += 1
        try:
            if count:
                return self._admit(key, limit, window, burst, now, cost)
            return self._store.peek(key, limit, window, burst, now, cost)
        except StoreUnavailable as error:
            raise self._away(error, now) from None

    def admit_all(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1, count: bool = True
    ) -> tuple[Decision, ...]:
        self.calls += 1
        try:
            if count:
                return self._store.admit_all(key, limits, now, cost)
            states = self._store.states([key + limit.suffix for limit in limits])
        except StoreUnavailable as error:
            raise self._away(error, now) from None
        return tuple(standing(state, *limit[:3], now, cost) for state, limit in zip(states, limits, strict=True))

    def _away(self, error: StoreUnavailable, now: int) -> Unavailable:
        self.errors += 1
        self._tell(str(error))
        # A store that takes no new key has counted nothing for it.
        if not (isinstance(error, StoreFull) and error.unknown) and self.calls - self.errors != self._answered:
            # It has answered since it last failed: by now at the latest. (Noting the time of each would cost each.)
            self._answered = self.calls - self.errors
            self.alone.answered(now)
        return Unavailable("store")

    def sweep(self, now: int) -> float:
        """Delete some expired keys; gives the seconds until the next time."""
        try:
            many = self._store.sweep(now) == SWEPT_PER_TRANSACTION
        except StoreUnavailable as error:
            self._tell(str(error))
            return SWEEP_INTERVAL
        self._last = ""
        return SWEEP_BUSY if many else SWEEP_INTERVAL

    def room(self) -> dict[str, tuple[int, int]]:
        """Bytes that are taken, and of how many; then no new key is taken in."""
        try:
            return {"rates": self._store.room()}
        except StoreUnavailable as error:
            self._tell(str(error))
            return {}

    def _tell(self, text: str) -> None:
        if text != self._last:
            self._last = text
            self._report(text)

    def close(self) -> None:
        self._store.close()
