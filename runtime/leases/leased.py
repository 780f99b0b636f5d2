"""What leases of a window and of a bucket have in common: units that may be spent without asking."""

from __future__ import annotations

from runtime.leases.asks import EXACT, SPENDING, Ask, Holder, spare_of


class Leased:
    """`free`: units that may be spent until `free_until`; `reserved`: those that are set aside. `spare`: how many the
    last grant was to have beyond need; `used`: how many were spent since the entry was last seen, at `contact`.
    `full_until`: until then what was refused is refused again."""

    __slots__ = (
        "contact", "free", "free_until", "full_until", "grace", "limit", "me", "reserved", "spare", "used", "window",
    )  # fmt: skip

    def __init__(self, me: Holder, window: int, grace: int, limit: int) -> None:
        self.me = me
        self.window = window
        self.grace = grace
        self.limit = limit
        self.free = self.free_until = self.full_until = 0
        self.reserved = self.spare = self.used = 0
        self.contact: int | None = None

    def unspent(self, now: int) -> int:
        return self.free if now < self.free_until else 0

    def reserve(self, units: int, limit: int, now: int) -> int | None:
        """Set aside what is leased; gives the time until which it may be spent, None where there is not so much."""
        if units > self.free or now >= self.free_until or limit != self.limit:
            return None
        self.free -= units
        self.reserved += units
        return self.free_until

    def unreserve(self, units: int, now: int, until: int) -> None:
        """It was not spent; it may be until then."""
        self.reserved -= units
        self.full_until = 0
        if self.limit > EXACT:
            until = min(until, now + self.window // SPENDING)
            self.free, self.free_until = (
                (self.free + units, min(until, self.free_until)) if self.unspent(now) else (units, until)
            )

    def wanted(self, asks: list[Ask], now: int) -> int:
        """Twice as much as was spent of late in the time that a lease may be spent in; a cold key begins slowly."""
        most = spare_of(self.limit, self.me.count)
        if not most or self.contact is None:
            return 0
        used = self.used + sum(ask.cost for ask in asks)
        pace = 2 * used * (self.window // SPENDING) // max(1, now - self.contact)
        return min(most, pace, 2 * self.spare + 1)
