"""Rates over entries that a cluster shares (`policylang.sdk.Store`): most requests are answered from leased units."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from hashlib import blake2b
from typing import Any, Protocol

from policylang.sdk import Clock, Entries, Rates, Unavailable
from policylang.sdk.store import Change, Decision, Limit, Space
from policylang.sdk.window import MAX_LIMIT
from runtime.leases.asks import SKEW_MS, Ask, Holder, grace_of
from runtime.leases.bucket import BucketLeases
from runtime.leases.holders import BEAT, GONE, KEY, PROBE, SPACE, Roll
from runtime.leases.key import KeyRate, Timer
from runtime.leases.window import WindowLeases
from runtime.permits.calls import ask as call_store

MOST_KEYS = 20_000
"""So many keys a holder knows of; of more, those that it has known longest are forgotten (the entries know them)."""
LOOKED_AT = 16
"""How many are looked at for one that may be forgotten."""
AWAY_AFTER = 3
"""So many calls in a row without an answer mean that the store is away, whatever the key."""
SYNCED = 16
"""How many keys are told to a store that is back, before others get a turn."""
SYNC_PAUSE = 2_000_000
LONGEST_KEY = 64
"""A longer key's entry is under its digest."""
DIGEST_BYTES = 32

SPANS = (1, 10, 60, 600, 3600, 21_600, 86_400, 604_800, 2_678_400, 31_622_400)
"""Seconds. Windows, or bursts, up to one of these share a space: entries of a space have one time to live."""
_SLACK = 10.0
"""Seconds. The time to live is that of a window and all that may be spent late."""
_S = 1_000_000_000


class Loop(Protocol):
    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer: ...


def space_of(span: int) -> Space:
    """Where keys stand of which nothing matters after `span` ns. Raises ValueError for more than a year."""
    for seconds in SPANS:
        if span <= seconds * _S:
            return Space(f"rate-{seconds}s", "passing", seconds * 1.02 + SKEW_MS / 1000 + _SLACK)
    raise ValueError(f"a window of {span} ns is longer than a year")


class ClusterRates:
    """For one process and one thread. `deadline`: seconds that a call of `entries` takes at most.

    `holder`: bytes that no other process has. `holders`: how many share the limits, as far as is known; `remember`
    hears of it when that changes. `machine`: the rates of this machine alone. `calls`: how often it was asked,
    `errors`: how often in vain, `updates`: how many changes of entries were asked for, `tries`: how often these were
    computed, which is once where a guess was right.
    """

    def __init__(
        self, entries: Entries, machine: Rates, clock: Clock, loop: Loop, holder: bytes, holders: int,
        deadline: float, report: Callable[[str], None], remember: Callable[[int], None] = lambda count: None,
        most_keys: int = MOST_KEYS,
    ) -> None:  # fmt: skip
        self._entries = entries
        self._machine = machine
        self._clock = clock
        self._loop = loop
        self._report = report
        self._remember = remember
        self._most = most_keys
        self.me = Holder(holder, max(1, holders))
        self.deadline = round(deadline * _S)
        self.now = clock.monotonic
        self._keys: dict[tuple[bytes, int, int], KeyRate] = {}
        self._names: dict[KeyRate, tuple[bytes, int, int]] = {}
        self._roll = Roll(self.me)
        self._at_least = self.me.count
        self._known_from = 0
        self._number = 0
        self._failures = 0
        self.away_since: int | None = None
        self._to_sync: list[KeyRate] = []
        self._syncing = False
        self._closed = False
        self._beating: Timer | None = None
        self.calls = self.errors = self.updates = self.tries = 0
        self.alone = _Share(self)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def machine(self) -> Rates:
        return self._machine

    @property
    def away(self) -> bool:
        return self.away_since is not None

    # --- what assertions ask ---

    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision | Coroutine[Any, Any, Decision]:
        self.calls += 1
        one = self._keys.get((key, window, burst)) or self._new(key, limit, window, burst)
        leases = one.leases
        if cost < 1 or limit > MAX_LIMIT:
            raise ValueError(f"cost {cost} must be at least 1, limit {limit} at most {MAX_LIMIT}")
        known = leases.at_once(cost, limit, now) if count else leases.stands(cost, limit, now)
        if known is not None:
            return known
        return self._ask(one, Ask(cost, limit, now, count))

    async def _ask(self, one: KeyRate, ask: Ask) -> Decision:
        try:
            return await one.asked(ask)
        except Unavailable:
            self.errors += 1
            raise

    def admit_all(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1, count: bool = True
    ) -> tuple[Decision, ...] | Coroutine[Any, Any, tuple[Decision, ...]]:
        self.calls += 1
        if cost < 1 or any(limit.most > MAX_LIMIT for limit in limits):
            raise ValueError(f"cost {cost} must be at least 1, limits at most {MAX_LIMIT}")
        ones = [
            self._keys.get((key + suffix, window, burst)) or self._new(key + suffix, most, window, burst)
            for most, window, burst, suffix in limits
        ]
        known = [
            one.leases.refused(cost, limit.most, now) if count else one.leases.stands(cost, limit.most, now)
            for one, limit in zip(ones, limits, strict=True)
        ]
        if any(known) if count else all(known):
            # One that refuses decides for all; how the others stand is told as far as it is known.
            return tuple(
                found or one.leases.stands(cost, limit.most, now) or Decision(True, limit.most, 0.0, 0.0)
                for found, one, limit in zip(known, ones, limits, strict=True)
            )
        if count and all(
            cost <= one.leases.unspent(now) and limit.most == one.leases.limit
            for one, limit in zip(ones, limits, strict=True)
        ) and len(set(ones)) == len(ones):
            spent = [one.leases.at_once(cost, limit.most, now) for one, limit in zip(ones, limits, strict=True)]
            return tuple(found for found in spent if found is not None)
        return self._ask_all(ones, limits, now, cost, count)

    async def _ask_all(
        self, ones: list[KeyRate], limits: Sequence[Limit], now: int, cost: int, count: bool
    ) -> tuple[Decision, ...]:
        asks = [Ask(cost, limit.most, now, count, kept=count) for limit in limits]
        decisions: list[Decision] = []
        spent = False
        try:
            for one, ask in zip(ones, asks, strict=True):
                until = one.leases.reserve(cost, ask.limit, now) if count else None
                if until is None:
                    one.put(ask)
                else:
                    ask.until = until
                    ask.waiter.fire(Decision(True, ask.limit - one.leases.others - one.leases.stored, 0.0, 0.0))
            for ask in asks:
                decisions.append(await ask.waiter)
            now = self.now()
            if count and all(one.admitted for one in decisions):
                if any(now > ask.until for ask in asks):
                    raise Unavailable("store")
                spent = True
                for one in ones:
                    one.commit(cost, now)
            return tuple(decisions)
        except Unavailable:
            self.errors += 1
            raise
        finally:
            for one, ask in zip(ones, asks, strict=True):
                ask.dead = True
                if ask.until and not spent:
                    one.give_back(cost, ask.until)

    # --- keys ---

    def _new(self, key: bytes, limit: int, window: int, burst: int) -> KeyRate:
        if window < 1:
            raise ValueError(f"a window of {window} ns must be at least 1")
        if len(self._keys) >= self._most:
            self._forget_one()
        grace = grace_of(window, self.deadline)
        space = space_of(max(window, burst))
        leases: BucketLeases | WindowLeases
        if burst:
            leases = BucketLeases(self.me, window, burst, grace, limit)
        else:
            leases = WindowLeases(self.me, window, grace, limit)
        name = key if len(key) <= LONGEST_KEY else blake2b(key, digest_size=DIGEST_BYTES).digest()
        made = KeyRate(self, name + b"%d" % window + (b"b%d" % burst if burst else b""), space, leases)
        place = key, window, burst
        self._keys[place] = made
        self._names[made] = place
        return made

    def _forget_one(self) -> None:
        """Of those that were known first one that nothing hangs on. Raises Unavailable when there is none."""
        now = self.now()
        for place in [place for place, _ in zip(self._keys, range(LOOKED_AT), strict=False)]:
            one = self._keys[place]
            reached = one.away_since is None and self.away_since is None
            if not one.busy and (reached or not one.leases.held(now)):
                self.drop(one)
                one.stop()
                return
            self._keys[place] = self._keys.pop(place)  # looked at last the next time
        self.errors += 1
        raise Unavailable("store", "too many keys")

    def drop(self, key: KeyRate) -> None:
        place = self._names.pop(key, None)
        if place is not None:
            del self._keys[place]

    # --- what keys need ---

    def wall_ms(self) -> int:
        return int(self._clock.wall() * 1000)

    def next_number(self) -> int:
        self._number = (self._number + 1) & 0xFFFFFFFF
        return self._number

    def later(self, nanoseconds: int, call: Callable[[], None]) -> Timer:
        return self._loop.call_later(nanoseconds / _S, call)

    def update(self, key: KeyRate, change: Change, guess: Any) -> None:
        self.updates += 1
        call_store(lambda: self._entries.update(key.space, key.name, change, guess), key.told, self._defect)

    def _defect(self, error: BaseException) -> None:
        self._report(f"a defect of ours: rates of the cluster: {error!r}")

    def answered(self, key: KeyRate | None) -> None:
        self._failures = 0
        if self.away_since is not None:
            self.away_since = None
            self._report("the store answers again: rates are shared")
            self._to_sync = list(self._names)
        if self._to_sync and not self._syncing:
            self._sync()

    def failed(self, now: int) -> None:
        self._failures += 1
        if self._failures >= AWAY_AFTER and self.away_since is None:
            self.away_since = now
            self._report("the store does not answer: limits are kept to as their `when_down` says")
            self._schedule_beat(PROBE)

    def _sync(self) -> None:
        """What was spent meanwhile is told before anything is granted; keys that are quiet tell it by themselves."""
        self._syncing = False
        now = self.now()
        told = 0
        while self._to_sync and told < SYNCED and self.away_since is None:
            one = self._to_sync.pop()
            if one in self._names and one.leases.held(now):
                self._syncing = True  # what is answered at once must not come back here
                one.sync()
                self._syncing = False
                told += 1
        if self._to_sync and self.away_since is None and not self._closed:
            self._syncing = True
            self.later(SYNC_PAUSE, self._sync)

    def reconnected(self) -> None:
        """What the members keep may be gone: it is told anew, as far as it is known here."""
        self._to_sync = list(self._names)
        self._schedule_beat(0)

    # --- who lives ---

    def start(self) -> None:
        self._known_from = self.now() + GONE
        self._beat()

    def _schedule_beat(self, after: int) -> None:
        if self._beating is not None:
            self._beating.cancel()
        if not self._closed:
            self._beating = self.later(after, self._beat)

    def _beat(self) -> None:
        self._beating = None
        renewal = self._roll.renewal(self.now(), self.wall_ms())
        call_store(
            lambda: self._entries.update(SPACE, KEY, renewal.change, self._roll.guess), self._renewed, self._defect
        )

    def _renewed(self, found: Any, error: BaseException | None) -> None:
        now = self.now()
        if error is not None:
            self.failed(now)
            self._schedule_beat(PROBE)
            return
        count = self._roll.finish(found, now)
        if now < self._known_from:
            count = max(count, self._at_least)  # the others have just begun, too
        if count != self.me.count:
            self.me.count = count
            self._remember(count)
        self.answered(None)
        self._schedule_beat(BEAT)

    def close(self) -> None:
        self._closed = True
        if self._beating is not None:
            self._beating.cancel()
        for one in self._names:
            one.stop()


class _Share:
    """What this process may pass by itself while the store is away (`policylang.sdk.Store.alone`)."""

    def __init__(self, rates: ClusterRates) -> None:
        self._rates = rates

    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        return self.admit_all(key, (Limit(limit, window, burst),), now, cost, count)[0]

    def admit_all(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1, count: bool = True
    ) -> tuple[Decision, ...]:
        rates = self._rates
        found = []
        for most, window, burst, suffix in limits:
            try:
                one = rates._keys.get((key + suffix, window, burst)) or rates._new(key + suffix, most, window, burst)
            except Unavailable:
                return tuple(Decision(False, 0, limit.window / 1e9, limit.window / 1e9) for limit in limits)
            found.append((one, most))
        asked = tuple(self._ask(one, cost, most, now, False) for one, most in found)
        if not count or not all(one.admitted for one in asked):
            return asked
        return tuple(self._ask(one, cost, most, now, True) for one, most in found)

    def _ask(self, one: KeyRate, cost: int, most: int, now: int, count: bool) -> Decision:
        rates = self._rates
        if one.known_away(now) and one.away_since is not None:
            since = one.away_since  # whatever the store says of other keys meanwhile
        elif rates.away_since is not None:
            since = max(rates.away_since, one.away_since or 0)
        else:
            since = now  # others may be granted something at this moment
        decision = one.leases.alone(cost, most, now, since, count)
        if count:
            one.mind()
        return decision
