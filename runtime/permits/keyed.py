"""What a holder knows of one key: its permits, and who asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from policylang.sdk import UNKNOWN, Exchange, Waiter
from policylang.sdk.permits import Wish

if TYPE_CHECKING:
    from runtime.permits.permits import StoredPermits
    from runtime.permits.rows import Claimed

MOST_AT_ONCE: Final = 1000
"""Askers for whom the store is asked in one call."""


class Asker:
    """Somebody who wants a permit. `waits`: the store has said no, and it stays. `looked`: whether those who hold the
    others live has been looked at."""

    __slots__ = ("exchange", "gone", "looked", "permit", "until", "waiter", "waits", "wish")

    def __init__(self, wish: Wish, exchange: Exchange, now: int) -> None:
        self.wish = wish
        self.exchange = exchange
        self.until = now + wish.wait
        self.waiter: Waiter[HeldPermit | None] = Waiter()
        self.permit: HeldPermit | None = None
        self.looked = self.waits = self.gone = False

    def go(self) -> None:
        if not self.gone:
            self.waiter.fire(self.permit)


class Keyed:
    """`out`: permits in use. `sure`: how many the store has for this holder, at least. `unsure`: it may have another
    number. `all`: how many all holders had when it was asked last. `watched`: until when (monotonic ns) a change of
    which nobody has heard may still come. `lost`: the holder is no more.

    `asking`: the store is being asked, one call at a time. `dead`: whose permits to take away in the next one.
    """

    __slots__ = (
        "all", "askers", "asking", "dead", "guess", "key", "later", "limit", "lost", "out", "polled", "sure", "unsure",
        "waiting", "watched",
    )  # fmt: skip

    def __init__(self, key: bytes, limit: int = 0) -> None:
        self.key = key
        self.limit = limit
        self.out: set[HeldPermit] = set()
        self.askers: list[Asker] = []
        self.waiting = 0
        self.sure = self.all = 0
        self.watched = 0
        self.guess: Any = None  # what is in the store
        self.dead: frozenset[bytes] = frozenset()
        self.unsure = self.lost = self.asking = self.later = self.polled = False

    def take(self, claimed: Claimed) -> None:
        self.sure, self.all = claimed.own, claimed.all
        self.unsure = False
        # Where there are others, they have changed it by the next time.
        self.guess = UNKNOWN if claimed.strangers else claimed.entry

    def leave(self, asker: Asker) -> None:
        self.askers.remove(asker)
        self.waiting -= asker.waits
        asker.waits = False

    def attempt(self) -> list[Asker]:
        """Those for whom the store is asked next: the first ones, as far as they have one limit."""
        if not self.askers:
            return []
        limit = self.askers[0].wish.limit
        found: list[Asker] = []
        for asker in self.askers[:MOST_AT_ONCE]:
            if asker.wish.limit != limit:
                break
            found.append(asker)
        return found


class HeldPermit:
    __slots__ = ("_exchange", "_keyed", "_permits", "running", "stays")

    def __init__(self, permits: StoredPermits, keyed: Keyed, exchange: Exchange, stays: bool) -> None:
        self._permits = permits
        self._keyed: Keyed | None = keyed
        self._exchange: Exchange | None = exchange
        self.stays = stays
        self.running = keyed.all
        keyed.out.add(self)

    def release(self) -> None:
        keyed, self._keyed = self._keyed, None
        self._exchange = None
        if keyed is not None:
            keyed.out.discard(self)
            self._permits.returned(keyed)

    def move(self, keyed: Keyed) -> None:
        """Its holder has another id."""
        self._keyed = keyed
        keyed.out.add(self)

    def give_up(self) -> Exchange | None:
        """It is lost. Gives the exchange that must not go on."""
        self._keyed = None
        exchange, self._exchange = self._exchange, None
        return exchange
