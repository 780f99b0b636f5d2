"""Simple models of `quota`, `quota_status` and `concurrency_limit`: what is used of a period, and how many are out."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from reference import values as v
from reference.limiting import SHARE, again, flag, key_text, store_away, tell, word
from reference.values import Failing, Known

from policylang.sdk.values import Duration, Ip, Rate, Size
from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation

Given = dict[str, n.Expr]
PARAMETERS = {"quota": ("limit",), "quota_status": ("limit",), "concurrency_limit": ("limit",)}
USUAL_KEYS = {"quota": "client.ip", "quota_status": "client.ip", "concurrency_limit": '""'}
_SHOWN = {"s": 6, "min": 5, "hour": 4, "day": 3, "month": 2}
"""How much of a date and a time tells the periods of a unit apart."""


def period(unit: str, zone: str, wall: float) -> tuple[float, float]:
    """Where the one of this moment begins and ends."""
    place = ZoneInfo(zone)
    parts = datetime.fromtimestamp(wall, place).timetuple()[: _SHOWN[unit]]
    start = datetime(*(*parts, 1)[: max(3, len(parts))], tzinfo=place)  # type: ignore[misc,arg-type]
    if unit == "month":
        end = (start + timedelta(days=31)).replace(day=1)
    else:
        end = start + {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "hour": timedelta(hours=1),
                       "day": timedelta(days=1)}[unit]  # fmt: skip
    return start.timestamp(), end.timestamp()


class _Used:
    """Of one key, in the period that it is now."""

    def __init__(self, given: Given, at: Evaluation, counter: Any, rate: Rate, key: str) -> None:
        zone = at.value(given["zone"]).value if "zone" in given else "UTC"
        self.rate = rate
        start, end = period(rate.unit, zone, at.world.wall())
        self.reset = end - at.world.wall()
        self.place = (counter, key, rate.unit, start, end)
        self.world = at.world

    def left(self) -> int:
        return max(0, self.rate.count - self.world.used.get(self.place, 0))

    def use(self, units: int) -> None:
        self.world.used[self.place] = max(0, self.world.used.get(self.place, 0) + units)


def quota(given: Given, at: Evaluation, counter: Any, statement: Any) -> tuple[Known, ...]:
    rate, hidden = _rate(given, at)
    units, private = _units(given, at)
    key, secret = _key(given, at, Ip(at.client_ip))
    used = _Used(given, at, counter, rate, key)
    name = at.value(given["name"]).value if "name" in given else "default"
    log_only, shown = flag(given, "log_only", at), word(given, "fields", "") != "hidden"
    away = at.world.store_away
    if away and not log_only and word(given, "when_down", "") != "allow":
        raise store_away()
    granted = away or units <= used.left()
    if granted:
        used.use(units)
        if word(given, "count", "") == "success" and units:
            at.ends.append(lambda status: used.use(-units) if status >= 400 else None)
    tell(at, (statement, rate, used.place[3:]), name, used.left(), shown=shown and not away)
    if (away or not granted) and (away or log_only) and again(at, statement):
        at.logs.append(("warning", None, False))
    if not granted and not log_only:
        retry = str(max(1, math.ceil(used.reset)))
        raise Failing("quota-exceeded", 429, headers=(("Retry-After", retry),))
    hidden = hidden or private or secret
    return Known(used.left(), hidden), Known(Duration(used.reset), hidden)


def quota_status(given: Given, at: Evaluation, counter: Any) -> tuple[Known, ...]:
    rate, hidden = _rate(given, at)
    key, secret = _key(given, at, Ip(at.client_ip))
    if at.world.store_away:
        raise store_away()
    used = _Used(given, at, counter, rate, key)
    found = rate.count, used.left(), Duration(used.reset)
    return tuple(Known(each, hidden or secret) for each in found)


def concurrency_limit(call: n.Call, given: Given, at: Evaluation, counter: Any, statement: Any) -> str:
    """One exchange after the other, but some are still under way: what waits for a permit waits in vain."""
    key, secret = _key(given, at, "")
    found = at.argument(given["limit"], ("number",), what="limit")
    limit, hidden = found.value, found.private or secret
    if limit < 0 or limit != int(limit):
        raise v.wrong_type("limit")
    log_only, name = flag(given, "log_only", at), at.value(given["name"]).value if "name" in given else "concurrency"
    out, away = at.world.permits, at.world.store_away
    alone = away and word(given, "when_down", "local") == "local"
    most = 0 if away and not alone else limit // SHARE if alone else limit
    if not away and out[counter, key] >= most and word(given, "over", "") == "wait" and not log_only:
        at.world.pass_time(at.value(given["wait"]).value.seconds if "wait" in given else 2)
    granted = out[counter, key] < most
    if (alone or (log_only and not granted)) and again(at, statement):
        at.logs.append(("warning", None, False))
    if alone or (log_only and not granted and not away):
        tell(at, (statement, limit), name, 0, shown=False)
    if not granted and not log_only:
        raise store_away() if away else Failing("too-many-concurrent", 429, headers=(("Retry-After", "1"),))
    out[counter, key] += granted
    running = 0 if away else out[counter, key] if granted else limit

    def end(status: int) -> None:
        out[counter, key] -= granted

    if call.block is None:
        at.ends.append(end)
        return at._bind(call, (Known(running, hidden),))
    try:
        return at.block(call.block)
    finally:
        end(0)


def _rate(given: Given, at: Evaluation) -> tuple[Rate, bool]:
    found = at.argument(given["limit"], ("rate",), what="limit")
    if found.value.count < 1:
        raise v.wrong_type("limit")
    return found.value, found.private


def _units(given: Given, at: Evaluation) -> tuple[int, bool]:
    if "by" not in given:
        return 1, False
    found = at.argument(given["by"], ("number", "size"), what="by")
    value = found.value.bytes if isinstance(found.value, Size) else found.value
    if value < 0 or value != int(value):
        raise v.wrong_type("by")
    return int(value), found.private


def _key(given: Given, at: Evaluation, usual: Any) -> tuple[str, bool]:
    found = at.value(given["per"]) if "per" in given else Known(usual)
    return key_text(found.value), found.private
