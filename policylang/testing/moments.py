"""`advance`, what becomes of the store (`store_away`, `store_slow`, `store_back`), and times as a test writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from policylang.sdk.assertion import Assertion, Outcome, param
from policylang.sdk.exchange import Exchange
from policylang.sdk.periods import NoSuchZone, time_zone
from policylang.sdk.values import Duration, Expr, Time
from policylang.testing.world import Broken, World, world_of

FIRST, LAST = 0, 221_845_392_000
"""What a test's clock may show: 1970 to the end of 8999, so that calendars have a period before and after it."""
_OUTSIDE = "a test's clock shows the years 1970 to 8999"


def moment(text: str | Time, zone: str) -> float:
    """Seconds since the epoch of what a clock in that zone shows. Raises ValueError with a sentence for the author.

    Where the clock shows it twice, the first one; what it never shows is none.
    """
    seconds = text.epoch if isinstance(text, Time) else _read(text, zone)
    if not FIRST <= seconds < LAST:
        raise ValueError(_OUTSIDE)
    return seconds


def _read(text: str, zone: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'`{text}` is no time: write it as "2026-03-31T23:59:58"') from None
    if found.tzinfo is None:
        if not 1969 <= found.year < 9000:
            raise ValueError(_OUTSIDE)
        found = found.replace(tzinfo=time_zone(zone))
        seen = datetime.fromtimestamp(found.timestamp(), found.tzinfo)
        if seen.replace(tzinfo=None) != found.replace(tzinfo=None):
            raise ValueError(f"no clock in {zone} shows `{text}`: it goes on to {seen:%H:%M} there")
    return found.timestamp()


def wrong_moment(constants: Mapping[str, Any], name: str) -> str | None:
    """What is wrong with the time of that parameter and with `zone`, as far as they are known."""
    zone = constants.get("zone", "UTC")
    try:
        time_zone(zone)
    except NoSuchZone as wrong:
        return f"`zone`: {wrong}"
    text = constants.get(name)
    if isinstance(text, str):
        try:
            moment(text, zone)
        except ValueError as wrong:
            return f"`{name}`: {wrong}"
    return None


def moment_of(text: str | Time, zone: str) -> float:
    """As `moment`. Raises Broken."""
    try:
        return moment(text, zone)
    except ValueError as wrong:
        raise Broken(str(wrong)) from None


class Advance(Assertion):
    """Let time pass. The clock of a test stands still otherwise.

    While requests wait for time (a stub's `delay:`, a place in a queue) it passes by itself, as far as they need it.
    `to:` is a time of the calendar, which has to be later than now.

        advance 1s
    """

    name: ClassVar[str] = "advance"

    by: Expr[Duration] | None = param("How long.", positional=True, default=None)
    to: Expr[str | Time] | None = param("Until when: a time, or text such as \"2026-04-01T00:00\".", default=None)
    zone: Expr[str] = param("The time zone that `to:` is of, by its IANA name.", default='"UTC"')

    def evaluate(self, exchange: Exchange) -> Outcome:
        world = world_of(exchange)
        if self.by is not None:
            seconds = self.by(exchange).seconds
        else:
            assert self.to is not None
            seconds = moment_of(self.to(exchange), self.zone(exchange)) - world.clock.wall()
            if seconds < 0:
                raise Broken(f"`advance to:` leads back: it is {Time(world.clock.wall())} already")
        if seconds < 0:
            raise Broken("`advance` takes a time that is not below 0s")
        if world.clock.wall() + seconds >= LAST:
            raise Broken(_OUTSIDE)
        world.pass_time(seconds)
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        given = [name for name in ("by", "to") if name in constants and constants[name] is not None]
        left_out = [name for name in ("by", "to") if name in constants and constants[name] is None]
        if len(given) == 2:
            return "`advance` takes a time or `to`, not both"
        if len(left_out) == 2:
            return 'say how long, as in `advance 1s`, or until when, as in `advance to: "2026-04-01T00:00"`'
        return wrong_moment(constants, "to")


class _OfStore(Assertion):
    at: Expr[str] | None = param("For which gateway; left out: for all.", default=None)

    def change(self, exchange: Exchange, away: bool | None = None, delay: float | None = None) -> None:
        world: World = world_of(exchange)
        world.reach_store(None if self.at is None else self.at(exchange), away, delay)


class StoreAway(_OfStore):
    """From here on the store cannot be reached.

    What is counted then, each gateway counts for itself: its share of a limit is what one of so many gateways may have,
    beginning one window after a request has found the store away. No gateway has taken units of a quota in advance.
    A request that holds a permit beyond that share is cut after 10 s: it has no answer (`response.status` is 0), and
    its `failure.name` is `permit-lost`. 2 s later others may have the permit.

        store_away
    """

    name: ClassVar[str] = "store_away"

    def evaluate(self, exchange: Exchange) -> Outcome:
        self.change(exchange, away=True)
        return None


class StoreSlow(_OfStore):
    """From here on each answer of the store takes so long.

    From the store's deadline on (100ms, where `store` in `gateway` sets no other) it is as if it were away.

        store_slow 80ms
    """

    name: ClassVar[str] = "store_slow"

    takes: Expr[Duration] = param("How long an answer takes.", positional=True)

    def evaluate(self, exchange: Exchange) -> Outcome:
        self.change(exchange, delay=max(0.0, self.takes(exchange).seconds))
        return None


class StoreBack(_OfStore):
    """The store answers again, and at once.

        store_back
    """

    name: ClassVar[str] = "store_back"

    def evaluate(self, exchange: Exchange) -> Outcome:
        self.change(exchange, away=False, delay=0.0)
        return None
