"""How long a place in a line is from its turn, when all before it pass as early as they can."""

from __future__ import annotations

from policylang.sdk import Limit, Rates, settled
from policylang.sdk.window import MAX_LIMIT

NEVER = float("inf")


async def until_turn(
    rates: Rates, key: bytes, limits: tuple[Limit, ...], ahead: int, cost: int, now: int
) -> float:
    """Seconds until `cost` units could pass behind `ahead` units that wait; NEVER where they are more than fit.

    Exact for units that wait one by one: what passed at some time is free again a window later, and a bucket fills
    evenly. Of larger costs each may be a little later.
    """
    longest = 0.0
    for limit in limits:
        if cost > room(limit):
            return NEVER
        most, window, burst, suffix = limit
        if burst:
            found = await settled(rates.admit(key + suffix, most, window, burst, now, cost, False))
            if found.admitted:
                wait = max(0, ahead + cost - found.remaining) * window / most / 1e9
            else:
                wait = found.retry_after + ahead * window / most / 1e9
        else:
            windows, rest = divmod(min(ahead + cost, MAX_LIMIT) - 1, most)
            found = await settled(rates.admit(key + suffix, most, window, 0, now, rest + 1, False))
            wait = (0.0 if found.admitted else found.retry_after) + windows * window / 1e9
        longest = max(longest, wait)
    return longest


def room(limit: Limit) -> int:
    """The most that ever passes at once."""
    return limit.most * limit.burst // limit.window if limit.burst else limit.most
