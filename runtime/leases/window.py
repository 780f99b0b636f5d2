"""Leases of a window: never more than a limit in any window of T, whoever of the holders spends it. Without I/O.

The entry of a key has a section for each holder: how many units it has, that is those that it has spent within the last
T and those that it may spend yet. The sum of all sections is never above the limit, and every grant is one compare and
set, so two holders never have the same unit. A holder takes a unit out of its section T after it has spent it, by its
own monotonic clock: whoever gets it next spends it later than that. So no two clocks are ever compared, with one
exception: a holder that died takes nothing out. Its section is removed T + `grace` after another holder first saw it as
it is (it saw it after it was written, and nothing can be spent later than `grace` after it was asked for, so all of it
was spent more than T ago), or T + `grace` + 2 s after it was written by the wall clocks, which differ by 2 s at most.

What a lost reply has granted is never spent, and goes with the next change of the section. A holder that forgot what it
knows of a key takes its own section for spent at that moment.
"""

from __future__ import annotations

from struct import Struct

from policylang.sdk.store import UNKNOWN, Changed, Decision
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
from runtime.leases.runs import Runs

_SECTION = Struct("<8sIIQI")
"""Holder, number of the change, units, wall clock (ms), and how long no unit will be given back from then on (µs)."""
_KIND = b"w"
_LONGEST_NEXT = (1 << 32) - 1

FREE_POLLS = 256
"""So often in a row a refused key is looked at at once, when a unit may have become free at any moment."""


class Attempt:
    """One change of the entry. Its `change` may be called more than once; what it found stands in `found`."""

    __slots__ = ("asks", "base", "first", "guess", "leases", "now", "number", "spare", "tries", "wall_ms")

    def __init__(self, leases: WindowLeases, asks: list[Ask], now: int, wall_ms: int, number: int) -> None:
        self.leases = leases
        self.asks = asks
        self.now = now
        self.wall_ms = wall_ms
        self.number = number
        self.base = leases.held(now)
        self.spare = leases.spare if asks else 0
        self.guess = leases.guess if leases.lucky >= 0 else UNKNOWN
        self.first: bytes | None = None
        self.tries = 0

    def change(self, old: bytes | None) -> Changed:
        """The answer is a Found, its amounts in units."""
        if not self.tries:
            self.first = old
        self.tries += 1
        leases, now = self.leases, self.now
        others, mine, dropped = 0, None, False
        kept: list[Section] = []
        for section in unpacked(old):
            if section[0] == leases.me.id:
                mine = section
            elif leases.outlived(section, now, self.wall_ms):
                dropped = True
            else:
                kept.append(section)
                others += section[2]
        inherited = 0
        if mine is not None and leases.number is None and not leases.outlived(mine, now, self.wall_ms):
            inherited = mine[2]
        total = others + self.base + inherited
        granted, refused, limit = 0, False, leases.limit
        verdicts: list[bool] = []
        for ask in self.asks:
            passes = total + ask.cost <= ask.limit
            verdicts.append(passes)
            refused = refused or not passes
            if passes and ask.count and not ask.dead:
                total += ask.cost
                granted += ask.cost
        extra = 0 if refused else max(0, min(self.spare - leases.unspent(now), limit - total))
        units = self.base + inherited + granted + extra
        stored = 0 if mine is None else mine[2]
        if not (granted or extra or dropped or units != stored or (leases.fence and units)):
            return Changed(Found(verdicts, extra, others, inherited, old, kept, False, stored), old)
        written = list(kept)
        if units:
            written.append((leases.me.id, self.number, units, self.wall_ms, leases.next_in(now)))
        value = packed(written)
        return Changed(Found(verdicts, extra, others, inherited, value, kept, True, units), value)


class WindowLeases(Leased):
    """What one holder knows of one key. All times are its own monotonic ns, but for `wall_ms`.

    `limit`: the one asked for last. `stored`: units of the own section, as far as is known. `others`: those of all
    other holders. `contact`: when the entry was last seen. `look_at`: as a bucket's. `lucky`: below 0 where guesses of
    the entry fail mostly.
    """

    __slots__ = (
        "_again", "_last", "_runs", "_spent", "fence", "guess", "lucky", "number", "others", "polls", "seen", "sent",
        "stored",
    )  # fmt: skip

    look_at: int | None = None

    def __init__(self, me: Holder, window: int, grace: int, limit: int) -> None:
        super().__init__(me, window, grace, limit)
        self._runs = Runs(window)
        self._spent = 0  # and not yet in `_runs`, the last of it at `_last`
        self._last = 0
        self.number: int | None = None
        self.guess: bytes | None = None
        self.fence = False
        self.lucky = 0
        self.seen: dict[bytes, Seen] = {}
        self.sent: int | None = None
        self.stored = self.others = 0
        self._again = 0  # when a refused one may try again
        self.polls = 0

    # --- without asking ---

    def at_once(self, cost: int, limit: int, now: int) -> Decision | None:
        """From what is leased or remembered; None where the entry has to be asked."""
        if cost <= self.free and now < self.free_until and limit == self.limit:
            self.free -= cost
            self._spent += cost
            self.used += cost
            self._last = now
            left = limit - self.others - self.stored
            return Decision(True, left + self.free if left > 0 else self.free, self.window / 1e9, 0.0)
        return self.refused(cost, limit, now)

    def refused(self, cost: int, limit: int, now: int) -> Decision | None:
        """What is remembered to be over the limit."""
        left = limit - self.others - self.stored
        if now < self.full_until and cost > left:
            wait = self._again - now if cost <= limit else self.window
            return Decision(False, left if left > 0 else 0, self.window / 1e9, max(wait, 1_000_000) / 1e9)
        return None

    def stands(self, cost: int, limit: int, now: int) -> Decision | None:
        """How the key stands, where that was seen of late."""
        if self.contact is None or now - self.contact > self.window // SPENDING:
            return None
        return self._standing(cost, limit, now, self.others)

    def _standing(self, cost: int, limit: int, now: int, others: int) -> Decision:
        left = max(0, limit - others - self.held(now) + self.unspent(now))
        if cost > left:
            return self._refusal(limit, cost, now)
        return Decision(True, left, self.window / 1e9 if others or self._spent or self._runs.total else 0.0, 0.0)

    def _refusal(self, limit: int, cost: int, now: int) -> Decision:
        left = max(0, limit - self.others - self.held(now))
        wait = self.window
        if cost <= limit:
            wait = max(1_000_000, min(self._waits(now)))
        return Decision(False, left, self.window / 1e9, wait / 1e9)

    def _waits(self, now: int) -> list[int]:
        """How long until somebody's next unit is free, as far as is known: the own, then the others'."""
        waits = [self._release(now) - now]
        return waits + [max(0, seen.since + self.window // SPENDING - now) for seen in self.seen.values() if seen.since]

    def held(self, now: int) -> int:
        """The units that this holder has: spent within the last T, reserved, or still to be spent."""
        self._fold()
        return self._runs.live(now) + self.reserved + self.unspent(now)

    def spend(self, units: int, now: int) -> None:
        self._fold()
        self._runs.add(units, now, self.limit <= EXACT)

    def _fold(self) -> None:
        if self._spent:
            self._runs.add(self._spent, self._last, self.limit <= EXACT)
            self._spent = 0

    def _release(self, now: int) -> int:
        """When the next of the own units will be free."""
        self._fold()
        return self._runs.next_end(now)

    def next_in(self, now: int) -> int:
        """For the others: how long (µs) no unit of this section will be given back."""
        if self.unspent(now) or self.reserved:
            return 0
        return min((self._release(now) - now) // 1000, _LONGEST_NEXT)

    # --- asking ---

    def outlived(self, section: Section, now: int, wall_ms: int) -> bool:
        """Whether nothing of another holder's section can live any more."""
        span = self.window + self.grace
        seen = self.seen.get(section[0])
        if seen is not None and seen.number == section[1] and now - seen.first >= span:
            return True
        return bool((wall_ms - section[3] - SKEW_MS) * 1_000_000 >= span)

    def begin(self, asks: list[Ask], now: int, wall_ms: int, number: int) -> Attempt:
        if asks:
            self.limit = asks[-1].limit
            self.spare = self.wanted(asks, now)
        return Attempt(self, asks, now, wall_ms, number)

    def lost(self, attempt: Attempt) -> None:
        """The store did not answer: the change may have happened, or happen yet."""
        self.fence = True

    def finish(self, attempt: Attempt, found: Found, now: int) -> list[Decision | None]:
        """The decisions of the attempt's asks; None where it came too late to be one."""
        verdicts, extra, others, inherited, value, kept, wrote, stored, _ = found
        self.lucky = max(-4, min(3, self.lucky + (1 if self._right(attempt) else -1)))
        self.guess, self.others, self.stored = value, others, stored
        self._look(kept, now)
        if inherited:
            self.spend(inherited, now)
        if wrote or inherited:
            self.number, self.fence = attempt.number, False
        elif self.number is None:
            self.number = attempt.number
        self.free = self.unspent(attempt.now)
        if extra:
            self.free += extra
            self.free_until = attempt.now + self.window // SPENDING
        self.sent, self.contact, self.used = attempt.now, now, 0
        in_time = now <= attempt.now + self.grace
        decisions: list[Decision | None] = []
        refused = False
        for ask, passes in zip(attempt.asks, verdicts, strict=True):
            if not passes:
                refused = True
                decisions.append(None if ask.dead else self._refusal(ask.limit, ask.cost, now))
            elif not ask.count:
                decisions.append(None if ask.dead else self._standing(ask.cost, ask.limit, now, others))
            elif ask.dead or not in_time:
                decisions.append(None)
            elif ask.kept:
                self.reserved += ask.cost
                ask.until = attempt.now + self.grace
                decisions.append(Decision(True, ask.limit - others - stored, self.window / 1e9, 0.0))
            else:
                self.spend(ask.cost, now)
                decisions.append(Decision(True, max(0, ask.limit - others - stored), self.window / 1e9, 0.0))
        if not refused:
            self.polls = 0
        if refused or others + stored >= self.limit:
            self.full_until = self._full_until(now)
            self._again = max(self.full_until, now + min(self._waits(now)))
        else:
            self.full_until = 0
        return decisions

    def _right(self, attempt: Attempt) -> bool:
        """Whether a guess was right, or would have been."""
        return attempt.tries == 1 and attempt.first == self.guess

    def _look(self, kept: list[Section], now: int) -> None:
        seen: dict[bytes, Seen] = {}
        for holder, number, _, _, after in kept:
            known = self.seen.get(holder)
            if known is not None and known.number == number:
                seen[holder] = known
            else:
                self.polls = 0
                seen[holder] = Seen(number, now, None if self.sent is None else self.sent + after * 1000)
        self.seen = seen

    def _full_until(self, now: int) -> int:
        """Until when a refusal needs no look at the entry."""
        earliest = self._release(now)
        for seen in self.seen.values():
            earliest = min(earliest, now if seen.since is None else seen.since)
        if self.limit > EXACT:
            return max(earliest, now + min(self.window // LOOKS, LONGEST_POLL))
        if earliest > now:
            return earliest
        # Another's unit may have become free at any moment: look again, but less and less often.
        self.polls += 1
        if self.polls <= FREE_POLLS:
            return 0
        return now + min(self.window // 1000 << min(self.polls - FREE_POLLS, 5), LONGEST_POLL)

    # --- by the way ---

    def due(self, now: int) -> tuple[int | None, bool]:
        """When to look again (None: nothing is kept here any more), and whether the entry has to be told now."""
        held = self.held(now)
        back = self.stored - held
        if self.limit <= EXACT:
            if back > 0:
                return now, True
            return (self._release(now), False) if held else (None, False)
        if back * SPENDING * self.me.count > self.limit:
            # Where it is asked for all the time, the next grant tells it.
            at = (self.contact or 0) + 2 * self.window // SPENDING
            return at, at <= now
        if not held:
            return None, False
        release = self._release(now)
        if self.stored * SPENDING * self.me.count <= self.limit:
            return release, False  # so little that it need not be told
        return max(release, now + self.window // SPENDING), False

    # --- while the store is away ---

    def alone(self, cost: int, limit: int, now: int, since: int, count: bool) -> Decision:
        """Of this holder's share. `since`: until then the others may have been granted everything."""
        share = limit // self.me.count
        if now < since + self.window + self.grace:
            return Decision(False, 0, self.window / 1e9, (since + self.window + self.grace - now) / 1e9)
        self.free = 0
        live = self.held(now)
        if live + cost > share:
            wait = self.window if cost > share else self._release(now) - now
            return Decision(False, max(0, share - live), self.window / 1e9, wait / 1e9)
        if count:
            self.spend(cost, now)
            live += cost
        return Decision(True, share - live, self.window / 1e9, 0.0)


def packed(sections: list[Section]) -> bytes | None:
    return _KIND + b"".join(_SECTION.pack(*section) for section in sections) if sections else None


def unpacked(value: bytes | None) -> list[Section]:
    """What is not ours to read counts as nothing: another version's entry."""
    if value is None or value[:1] != _KIND or len(value) % _SECTION.size != 1:
        return []
    return list(_SECTION.iter_unpack(value[1:]))
