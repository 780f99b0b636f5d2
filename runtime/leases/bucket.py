"""Leases of a bucket: never more than L x (t + D) in any t, whoever of the holders spends it. Without I/O.

A bucket of L per T with a burst of D is at most L x D / T of units that are used up, and drains at L per T. The entry
of a key has a section for each holder: what it has used up and what it may spend yet (`extra`), and its part of the
draining, a fraction of the rate. The sum of what is used up and may be is never above the capacity, that of the parts
never above one, and every change is one compare and set.

What a holder has used up drains by its own part and its own monotonic clock, and stops at nothing. So all holders
together drain no more than L per T, in any time, and no two clocks are compared: that is the promise. A unit counts
from its grant and drains from when it is spent, so one that is spent late breaks nothing. A holder lowers its part when
it asks for the change and raises it when it knows of it, so no part belongs to two. After a lost reply it goes by the
lowest of those that it may have, and its next change is written in any case, so that a late one no longer fits.

Others know of a section's draining without being told: since a holder first saw a section as it is, it has drained for
longer than that by any clock; or since it was written by the wall clocks, less the 2 s by which these differ. What may
be spent yet counts as spent `grace` after that. A section of which nothing is left is removed, and its part is free.

Parts follow what the holders have used up, so that none of them drains nothing while another is full.

Amounts are units times T, in ns: an L-th of that drains in a nanosecond at the whole rate.
"""

from __future__ import annotations

from struct import Struct

from policylang.sdk.store import UNKNOWN, Changed, Decision
from policylang.sdk.window import admit_bucket
from runtime.leases.asks import (
    EXACT,
    LONGEST_POLL,
    LOOKS,
    SKEW_MS,
    SPENDING,
    Ask,
    Found,
    Holder,
    Section,
    Seen,
)
from runtime.leases.leased import Leased

_HEAD = Struct("<cI")
"""Kind, limit."""
_SECTION = Struct("<8sIIQIQI")
"""Holder, number of the change, units to be spent, wall clock (ms), part of the draining, used up (low, high)."""
_KIND = b"b"
WHOLE = (1 << 32) - 1
"""The whole of the draining."""
_LOW = (1 << 64) - 1
STEADY = WHOLE >> 5
"""A part that differs from what it should be by less than this is left alone."""


def drained(used: int, part: int, limit: int, span: int) -> int:
    """What is left of what is used up after `span` ns."""
    left = used - part * limit * span // WHOLE if span > 0 else used
    return left if left > 0 else 0


class Attempt:
    """One change of the entry. Its `change` may be called more than once."""

    __slots__ = (
        "asks", "before", "first", "guess", "leases", "least", "now", "number", "spare", "tries", "used", "wall_ms",
    )  # fmt: skip

    def __init__(self, leases: BucketLeases, asks: list[Ask], now: int, wall_ms: int, number: int) -> None:
        self.leases = leases
        self.asks = asks
        self.now = now
        self.wall_ms = wall_ms
        self.number = number
        self.spare = leases.spare if asks else 0
        self.used = leases.used_up(now)
        self.before = self.least = leases.part
        self.guess = leases.guess if leases.lucky >= 0 else UNKNOWN
        self.first: bytes | None = None
        self.tries = 0

    def change(self, old: bytes | None) -> Changed:
        """The answer is a Found."""
        if not self.tries:
            self.first = old
        self.tries += 1
        leases, now, limit, window = self.leases, self.now, self.leases.limit, self.leases.window
        capacity = leases.burst * limit
        kept: list[Section] = []
        amounts: list[int] = []
        mine, inherited, dropped = None, 0, False
        for section in unpacked(old, limit):
            amount = leases.amount(section, limit, now, self.wall_ms)
            if section[0] == leases.me.id:
                mine = section
                inherited = amount if leases.number is None else 0
            elif amount:
                kept.append(section)
                amounts.append(amount)
            else:
                dropped = True
        others = sum(amounts)
        keeps = leases.reserved + leases.unspent(now)
        own = self.used + inherited + keeps * window
        total = others + own
        verdicts: list[bool] = []
        granted, refused = 0, False
        for ask in self.asks:
            # Of a limit that differs from the others' the same part of the bucket is taken.
            amount = -(-ask.cost * window * limit // ask.limit) if ask.limit > 0 else capacity + 1
            passes = total + amount <= capacity
            verdicts.append(passes)
            refused = refused or not passes
            if passes and ask.count and not ask.dead:
                total += amount
                own += amount
                granted += -(-amount // window)
        extra = 0 if refused else max(0, min(self.spare - leases.unspent(now), (capacity - total) // window))
        own += extra * window
        part = self._part(kept, amounts, own)
        units = keeps + granted + extra
        if mine is None:
            same, told, has = not own, 0, 0
        else:
            told, has = mine[2] * window + mine[5], mine[4]
            same = own > 0 and units == mine[2] and abs(part - has) < STEADY and told - own < leases.step
        if same and not (granted or extra or dropped or leases.fence):
            return Changed(Found(verdicts, extra, others, inherited, old, kept, False, told, has), old)
        written = list(kept)
        if own:
            written.append((leases.me.id, self.number, units, self.wall_ms, part, self.used + inherited))
        else:
            part = 0
        self.least = min(self.least, part)
        value = packed(written, limit)
        return Changed(Found(verdicts, extra, others, inherited, value, kept, True, own, part), value)

    def _part(self, kept: list[Section], amounts: list[int], own: int) -> int:
        """All that nobody else has; but what others lack, once that is more than twice what is due by what is used up.

        What is given up drains nothing until somebody takes it, so little is given up, and late.
        """
        total = own + sum(amounts)
        if not own:
            return 0
        free = WHOLE
        lacking = 0
        for section, amount in zip(kept, amounts, strict=True):
            free -= section[4]
            lacking += max(0, WHOLE * amount // total - section[4])
        due = WHOLE * own // total
        if free <= 2 * due or not lacking:
            return max(0, free)
        return max(due, free - lacking)


class BucketLeases(Leased):
    """What one holder knows of one key. Times are its own monotonic ns.

    `part`: its part of the draining, of WHOLE. `others`: the others' amount when the entry was last seen. `look_at`:
    when to look at the entry in any case.
    """

    __slots__ = (
        "_alone", "_alone_since", "_at", "_flying", "_last", "_spent", "_total", "_used", "burst", "fence", "guess",
        "look_at", "lucky", "number", "others", "part", "seen", "stored",
    )  # fmt: skip

    def __init__(self, me: Holder, window: int, burst: int, grace: int, limit: int) -> None:
        super().__init__(me, window, grace, limit)
        self.burst = burst
        self._used = 0  # as of `_at`
        self._at = 0
        self._spent = 0  # units that are not yet in `_used`, the last of them at `_last`
        self._last = 0
        self.part = 0
        self._flying = False
        self.stored = 0
        self.number: int | None = None
        self.guess: bytes | None = None
        self.fence = False
        self.lucky = 0
        self.seen: dict[bytes, Seen] = {}
        self.others = 0
        self._total = 0
        self.look_at: int | None = None
        self._alone: bytes | None = None
        self._alone_since = -1

    # --- without asking ---

    def at_once(self, cost: int, limit: int, now: int) -> Decision | None:
        if cost <= self.free and now < self.free_until and limit == self.limit:
            self.free -= cost
            self._spent += cost
            self.used += cost
            self._last = now
            return self._stand(True, now)
        return self.refused(cost, limit, now)

    def refused(self, cost: int, limit: int, now: int) -> Decision | None:
        """What is remembered to be over the limit."""
        if self.contact is not None and limit == self.limit:
            # More than this cannot have drained meanwhile.
            excess = self._excess(cost)
            if excess > 0 and (limit < 1 or now < max(self.contact - (-excess // limit), self.full_until)):
                return self._refusal(cost, now)
        return None

    def _excess(self, cost: int) -> int:
        """By how much `cost` was above the capacity when the entry was last seen."""
        return self._total + cost * self.window - self.burst * self.limit

    def stands(self, cost: int, limit: int, now: int) -> Decision | None:
        if self.contact is None or now - self.contact > self.window // SPENDING or limit != self.limit:
            return None
        return self._standing(cost, now)

    def _standing(self, cost: int, now: int) -> Decision:
        decision = self._stand(True, now)
        return decision if cost <= decision.remaining else self._refusal(cost, now)

    def _stand(self, admitted: bool, now: int) -> Decision:
        limit = self.limit
        total = self._total if self.contact is None else max(0, self._total - limit * (now - self.contact))
        left = (self.burst * limit - total) // self.window + self.unspent(now)
        return Decision(admitted, max(0, left), total / limit / 1e9 if limit else 0.0, 0.0)

    def _refusal(self, cost: int, now: int) -> Decision:
        _, left, reset, _ = self._stand(False, now)
        wait = self.burst
        if self.limit and cost * self.window <= self.burst * self.limit and self.contact is not None:
            wait = max(1_000_000, self.contact + self._excess(cost) // self.limit - now)
        return Decision(False, min(left, max(0, cost - 1)), reset, wait / 1e9)

    def used_up(self, now: int) -> int:
        """What this holder has used up and is not drained."""
        if self._spent:
            self._used = drained(self._used, self.part, self.limit, self._last - self._at) + self._spent * self.window
            self._at, self._spent = max(self._at, self._last), 0
        self._used = drained(self._used, self.part, self.limit, now - self._at)
        self._at = max(self._at, now)
        return self._used

    def held(self, now: int) -> int:
        """Above 0 while this holder has anything to remember."""
        return self.used_up(now) + self.unspent(now) + self.reserved

    def spend(self, units: int, now: int) -> None:
        self._spent += units
        self._last = now

    # --- asking ---

    def amount(self, section: Section, limit: int, now: int, wall_ms: int) -> int:
        """What at most is left of a section."""
        _, number, units, written, part, used = section
        seen = self.seen.get(section[0])
        span = (wall_ms - written - SKEW_MS) * 1_000_000
        if seen is not None and seen.number == number:
            span = max(span, now - seen.first)
        used = drained(used, part, limit, min(span, self.grace)) + units * self.window
        return drained(used, part, limit, span - self.grace)

    @property
    def step(self) -> int:
        """By so much the own section may say too much."""
        if self.limit <= EXACT:
            return self.window
        return max(self.window, self.limit * self.window // (SPENDING * self.me.count))

    def begin(self, asks: list[Ask], now: int, wall_ms: int, number: int) -> Attempt:
        self.used_up(now)
        limit = asks[-1].limit if asks else self.limit
        if limit != self.limit:
            self._used = -(-self._used * limit // self.limit) if self.limit else 0
            self.limit = limit
        if asks:
            self.spare = self.wanted(asks, now)
        attempt = Attempt(self, asks, now, wall_ms, number)
        self.part, self._flying = 0, True  # until it is known
        return attempt

    def lost(self, attempt: Attempt) -> None:
        self.fence = True
        self.part, self._flying = min(attempt.before, attempt.least), False

    def finish(self, attempt: Attempt, found: Found, now: int) -> list[Decision | None]:
        verdicts, extra, others, inherited, value, kept, wrote, told, part = found
        self.lucky = max(-4, min(3, self.lucky + (1 if attempt.tries == 1 and attempt.first == self.guess else -1)))
        self.guess, self.others, self.stored = value, others, told
        if wrote or self.number is None:
            self.number = attempt.number
        if wrote:
            self.fence = False
        # From the question to the answer it has drained by the lower of the two parts.
        self._used = drained(self._used, min(attempt.before, part), self.limit, now - attempt.now) + inherited
        self._at, self.part, self._flying = now, part, False
        self.seen = {
            holder: known if (known := self.seen.get(holder)) is not None and known.number == number
            else Seen(number, now, None)
            for holder, number, *_ in kept
        }  # fmt: skip
        self.free = self.unspent(attempt.now)
        if extra:
            self.free += extra
            self.free_until = attempt.now + self.window // SPENDING
        self.contact, self.used = now, 0
        self._total = others + told
        self.look_at = self._next_look(kept, now)
        in_time = now <= attempt.now + self.grace
        decisions: list[Decision | None] = []
        refused = False
        for ask, passes in zip(attempt.asks, verdicts, strict=True):
            if not passes:
                refused = True
                decisions.append(None if ask.dead else self._refusal(ask.cost, now))
            elif not ask.count:
                decisions.append(None if ask.dead else self._stand(True, now))
            elif ask.dead or not in_time:
                decisions.append(None)
            else:
                if ask.kept:
                    self.reserved += ask.cost
                    ask.until = attempt.now + self.grace
                else:
                    self._used += -(-ask.cost * self.window * self.limit // ask.limit)
                decisions.append(self._stand(True, now))
        full = refused or self._excess(1) > 0
        self.full_until = now + min(self.window // LOOKS, LONGEST_POLL) if full and self.limit > EXACT else 0
        return decisions

    # --- by the way ---

    def _next_look(self, kept: list[Section], now: int) -> int | None:
        """When some of the draining may be had that this holder lacks, or that nobody has any more."""
        own = self.used_up(now)
        if not own or not kept or not self.limit:
            return None
        # Where it is asked for all the time, the next grant comes before.
        soon = now + (1 if self.limit <= EXACT else 2) * self.window // SPENDING
        if self.part * 2 * self._total < WHOLE * own:
            return soon
        empty = min(
            (units * self.window + used) * WHOLE // (part * self.limit) if part else self.burst
            for _, _, units, _, part, used in kept
        )
        return max(soon, now + empty)

    def due(self, now: int) -> tuple[int | None, bool]:
        held = self.used_up(now) + (self.unspent(now) + self.reserved) * self.window
        back = self.stored - held
        soon = now + self.window // SPENDING
        if back >= self.step or (back > 0 and not held and self.limit <= EXACT):
            at = now if self.limit <= EXACT else (self.contact or 0) + 2 * self.window // SPENDING
            return at, at <= now
        if not held:
            return None, False
        if self.look_at is not None:
            if self.look_at <= now:
                return now, True
            soon = min(soon, self.look_at)
        if not self.part:
            return soon, False
        wait = (min(self.step - back, held) * WHOLE) // (self.part * self.limit) + 1
        at = max(now + wait, soon if self.limit > EXACT else 0)
        return (at if self.look_at is None else min(at, self.look_at)), False

    # --- while the store is away ---

    def alone(self, cost: int, limit: int, now: int, since: int, count: bool) -> Decision:
        """From this holder's share of the bucket, which was empty at `since`: the others may have taken everything."""
        share = limit // self.me.count
        if not self._flying:
            self.used_up(now)
            self.part = WHOLE // self.me.count
        if since != self._alone_since:
            self._alone_since = since
            whole = share * self.burst // self.window
            self._alone = admit_bucket(None, share, self.window, self.burst, since, whole)[1] if whole else None
        decision, changed = admit_bucket(self._alone, share, self.window, self.burst, now, cost)
        if count and changed is not None:
            self._alone = changed
            self._spent += cost  # of the shared bucket, too: it will be told when it is back
            self._last = now
        return decision


def packed(sections: list[Section], limit: int) -> bytes | None:
    if not sections:
        return None
    return _HEAD.pack(_KIND, limit) + b"".join(
        _SECTION.pack(*section[:5], section[5] & _LOW, section[5] >> 64) for section in sections
    )


def unpacked(value: bytes | None, limit: int) -> list[Section]:
    """The sections, their amounts by a limit that may not be the one that they were written under."""
    if value is None or value[:1] != _KIND or (len(value) - _HEAD.size) % _SECTION.size:
        return []
    _, former = _HEAD.unpack_from(value)
    sections = []
    for holder, number, units, written, part, low, high in _SECTION.iter_unpack(value[_HEAD.size:]):
        used = high << 64 | low
        if former != limit and former:
            used = -(-used * limit // former)
        sections.append((holder, number, units, written, part, used))
    return sections
