"""One key of a cluster's rates at one holder: at most one call of the store at a time, and those who wait for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import Any, Protocol

from policylang.sdk import Unavailable
from policylang.sdk.store import Change, Decision, Space
from runtime.leases.asks import Ask
from runtime.leases.bucket import BucketLeases
from runtime.leases.window import WindowLeases

RETRY = 250_000_000
"""Nanoseconds that a key which the store did not answer for is left alone."""
LATER = 1_000_000
"""Nanoseconds that a look which is due in no time is put off, so that it never runs in a circle."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Surroundings(Protocol):
    """What a key needs of `runtime.leases.rates`."""

    deadline: int

    def now(self) -> int: ...

    def wall_ms(self) -> int: ...

    def next_number(self) -> int: ...

    def update(self, key: KeyRate, change: Change, guess: Any) -> None:
        """Ends in a call of `key.told`."""
        ...

    def later(self, nanoseconds: int, call: Any) -> Timer: ...

    def answered(self, key: KeyRate) -> None: ...

    def failed(self, now: int) -> None: ...

    @property
    def away(self) -> bool: ...

    def drop(self, key: KeyRate) -> None: ...


class KeyRate:
    """`away_since`: when the store first failed to answer for it; None while it does."""

    __slots__ = (
        "_asks", "_attempt", "_failed_at", "_late", "_rates", "_timer", "away_since", "leases", "name", "space",
    )  # fmt: skip

    def __init__(self, rates: Surroundings, name: bytes, space: Space, leases: WindowLeases | BucketLeases) -> None:
        self._rates = rates
        self.name = name
        self.space = space
        self.leases = leases
        self.away_since: int | None = None
        self._failed_at = 0
        self._asks: deque[Ask] = deque()
        self._attempt: Any = None
        self._timer: Timer | None = None
        self._late: Timer | None = None

    @property
    def flying(self) -> bool:
        return self._attempt is not None

    @property
    def busy(self) -> bool:
        """Somebody waits, or has what is not spent yet: it must not be forgotten."""
        return self._attempt is not None or bool(self._asks) or self.leases.reserved > 0

    # --- those who wait ---

    def asked(self, ask: Ask) -> Coroutine[Any, Any, Decision]:
        return self._asked(ask)

    async def _asked(self, ask: Ask) -> Decision:
        self.put(ask)
        try:
            return await ask.waiter
        finally:
            # Whoever leaves gives up its place; what it may have been granted meanwhile goes back.
            ask.dead = True

    def put(self, ask: Ask) -> None:
        """Raises Unavailable at once where the store was away a moment ago; it is asked beside that, now and then."""
        if self.away_since is not None or self._rates.away:
            self.probe()
            raise Unavailable("store")
        self._asks.append(ask)
        if self._attempt is None:
            self._begin()

    def probe(self) -> bool:
        """Look whether the store answers again, if it is time to."""
        due = self._attempt is None and not self._rates.away and self._rates.now() >= self._failed_at + RETRY
        if due:
            self._begin()
        return due

    def sync(self) -> None:
        """Tell the entry how things stand here."""
        if self._attempt is None:
            self._begin()

    def known_away(self, now: int) -> bool:
        """Whether the store did not answer for it just now: what was so a while ago says nothing of the others."""
        return self.away_since is not None and now - self._failed_at <= 2 * RETRY

    # --- the call ---

    def _begin(self) -> None:
        rates = self._rates
        asks = [ask for ask in self._asks if not ask.dead]
        self._asks.clear()
        now = rates.now()
        self._attempt = attempt = self.leases.begin(asks, now, rates.wall_ms(), rates.next_number())
        if asks and asks[0].at < now:
            # Those who have waited for the call before this one have less time than it.
            self._late = rates.later(asks[0].at + rates.deadline - now, self._lapse)
        rates.update(self, attempt.change, attempt.guess)

    def _lapse(self) -> None:
        self._late = None
        if self._attempt is None:
            return
        now = self._rates.now()
        waiting = []
        for ask in self._attempt.asks:
            if ask.dead:
                continue
            if ask.at + self._rates.deadline <= now:
                ask.dead = True
                ask.waiter.fail(Unavailable("store"))
            else:
                waiting.append(ask)
        if waiting and self._attempt is not None and waiting[0].at < self._attempt.now:
            self._late = self._rates.later(waiting[0].at + self._rates.deadline - now, self._lapse)

    def told(self, found: Any, error: BaseException | None) -> None:
        """The call has ended."""
        rates, attempt = self._rates, self._attempt
        now = rates.now()
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if error is not None:
            self.leases.lost(attempt)
            if self.away_since is None:
                self.away_since = now
            self._failed_at = now
            asks = [*attempt.asks, *self._asks]
            self._asks.clear()
            self._attempt = None
            rates.failed(now)
            for ask in asks:
                if not ask.dead:
                    ask.waiter.fail(Unavailable("store"))
            return
        decisions = self.leases.finish(attempt, found, now)
        self.away_since = None
        rates.answered(self)
        # Who hears of a decision may ask again at once: that is for the next call.
        for ask, decision in zip(attempt.asks, decisions, strict=True):
            if ask.dead:
                continue
            if decision is None:
                ask.waiter.fail(Unavailable("store"))
            else:
                ask.waiter.fire(decision)
        self._attempt = None
        if self._asks:
            self._begin()
        elif self._timer is None or self.leases.look_at is not None or None in decisions:
            self.look()

    # --- what was reserved ---

    def commit(self, units: int, now: int) -> None:
        self.leases.reserved -= units
        self.leases.spend(units, now)

    def give_back(self, units: int, until: int) -> None:
        """They were not spent, and may be until then: others may have them."""
        self.leases.unreserve(units, self._rates.now(), until)
        if self._attempt is None:
            self.look()

    # --- by the way ---

    def look(self) -> None:
        """Tell the entry what is free again, if that matters, and look again when it may; else forget the key."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rates = self._rates
        if self._attempt is not None:
            return  # its end looks again
        now = rates.now()
        at, tell = self.leases.due(now)
        if self.away_since is not None or rates.away:
            if tell and self.probe():
                return
            tell = False
            if at is not None:
                at = max(at, now + RETRY)
        if tell:
            self._begin()
        elif at is not None:
            self._timer = rates.later(max(at - now, LATER if at <= now else 0), self._due)
        elif not self.busy:
            rates.drop(self)

    def mind(self) -> None:
        """Something was spent without asking: look at the key in time."""
        if self._timer is None:
            self.look()

    def _due(self) -> None:
        self._timer = None
        self.look()

    def stop(self) -> None:
        for timer in (self._timer, self._late):
            if timer is not None:
                timer.cancel()
        self._timer = self._late = None
