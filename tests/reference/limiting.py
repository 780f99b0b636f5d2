"""Simple models of `rate_limit` and `rate_limit_status`: a list of moments for each counter."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from reference import values as v
from reference.values import Failing, Known

from policylang.sdk.values import Duration, Ip, Rate, Size
from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation

Given = dict[str, n.Expr]
PARAMETERS = {
    "rate_limit": (
        "limit", "per", "by", "burst", "over", "queue", "wait", "blackout", "name", "scope", "when_down", "fields",
        "log_only",
    ),
    "rate_limit_status": ("limit", "per", "burst", "name", "scope"),
}  # fmt: skip
_NS = 1_000_000_000
SHARE = 2
"""What part of a limit is this process's own while the store is away."""


class _Limit:
    """One rate of a call, as it stands now."""

    def __init__(self, at: Evaluation, rate: Rate, counter: Any, key: str, alone: bool) -> None:
        self.rate = rate
        self.window = rate.window * _NS
        self.most = rate.count // SHARE if alone else rate.count
        # What is counted in minutes says nothing of seconds.
        self._moments = at.world.counters.setdefault((counter, key, rate.window, alone), [])
        self._now = at.world.monotonic()

    def live(self) -> list[tuple[int, int]]:
        return [(moment, cost) for moment, cost in self._moments if moment + self.window > self._now]

    def left(self) -> int:
        return self.most - sum(cost for _, cost in self.live())

    def count(self, cost: int) -> None:
        self._moments.append((self._now, cost))

    def reset(self) -> float:
        live = self.live()
        return (live[-1][0] + self.window - self._now) / _NS if live else 0.0

    def wait(self, cost: int) -> float:
        """Seconds until so much could pass; the whole window for what never can."""
        excess = cost - self.left()
        if cost > self.most:
            return self.window / _NS
        for moment, each in self.live():
            excess -= each
            if excess <= 0:
                return (moment + self.window - self._now) / _NS
        return 0.0


def rate_limit(given: Given, at: Evaluation, statement: Any) -> tuple[Known, ...]:
    """`statement` tells this call from all others."""
    rates, hidden = _rates(given, at)
    cost, private = _cost(given, at)
    key, secret = _key(given, at)
    hidden = hidden or private or secret
    name = at.value(given["name"]).value if "name" in given else None
    counter, only_log = at.counter_name(name), flag(given, "log_only", at)
    down = word(given, "when_down", "local")
    names = [f"{name or 'default'}-{rate.unit}" if len(rates) > 1 else name or "default" for rate in rates]
    told = [(statement, rate) for rate in rates]
    if cost == 0:
        if at.world.store_away:
            if down == "reject" and not only_log:
                raise store_away()
            return _outputs([(rates[0].count, 0, 0.0)], hidden)
        limits = [_Limit(at, rate, counter, key, False) for rate in rates]
        return _outputs([(one.most, one.left(), one.reset()) for one in limits], hidden)
    pause = at.value(given["blackout"]).value.seconds if "blackout" in given and not only_log else 0
    if pause:
        rest = (statement, key)
        end = at.world.blackouts.get(rest, 0)
        if end <= at.world.now and not at.world.store_away:
            end = at.world.blackouts[rest] = at.world.blackouts.get((counter, key), 0)
        if end > at.world.now:
            for identity, called in zip(told, names, strict=True):
                tell(at, identity, called, 0, shown=word(given, "fields", "") != "hidden")
            raise _over((end - at.world.now) / _NS, "in-blackout")
    began, least = at.world.now, 0.001
    while True:
        if at.world.store_away:
            if down == "reject" and not only_log:
                raise store_away()
            if again(at, statement):
                at.logs.append(("warning", None, False))
            if down != "local":
                return _outputs([(rates[0].count, 0, 0.0)], hidden)
        limits = [_Limit(at, rate, counter, key, at.world.store_away) for rate in rates]
        refused = [one for one in limits if one.left() < cost]
        if not refused:
            for one in limits:
                one.count(cost)
        if not refused or word(given, "over", "reject") != "shape" or only_log or at.world.store_away:
            break
        seconds = max(one.wait(cost) for one in refused)
        longest = at.value(given["wait"]).value.seconds if "wait" in given else 5
        if any(cost > one.most for one in limits) or at.world.now + seconds * _NS > began + longest * _NS:
            break
        at.world.pass_time(max(least, math.ceil(seconds * 1000) / 1000))
        least = min(2 * least, 0.05)
    for identity, called, one in zip(told, names, limits, strict=True):
        tell(at, identity, called, max(0, one.left()), shown=word(given, "fields", "") != "hidden")
    outputs = _outputs([(one.rate.count, max(0, one.left()), one.reset()) for one in limits], hidden)
    if not refused:
        return outputs
    if only_log:
        if again(at, statement):
            at.logs.append(("warning", None, False))
        return outputs
    wait = max(one.wait(cost) for one in refused)
    if at.world.store_away:
        raise store_away(wait)
    if pause:
        at.world.blackouts[statement, key] = at.world.blackouts[counter, key] = at.world.now + round(pause * _NS)
    raise _over(max(wait, pause))


def rate_limit_status(given: Given, at: Evaluation, statement: Any) -> tuple[Known, ...]:
    rates, hidden = _rates(given, at)
    key, secret = _key(given, at)
    name = at.value(given["name"]).value if "name" in given else None
    if at.world.store_away:
        raise store_away()
    limits = [_Limit(at, rate, at.counter_name(name), key, False) for rate in rates]
    return _outputs([(one.most, max(0, one.left()), one.reset()) for one in limits], hidden or secret)


def _rates(given: Given, at: Evaluation) -> tuple[list[Rate], bool]:
    found = at.argument(given["limit"], ("rate", "list"), what="limit")
    rates = found.value if isinstance(found.value, (list, tuple)) else [found.value]
    if any(not isinstance(rate, Rate) or rate.count < 1 or rate.unit == "month" for rate in rates):
        raise v.wrong_type("limit")
    return list(rates), found.private


def _cost(given: Given, at: Evaluation) -> tuple[int, bool]:
    if "by" not in given:
        return 1, False
    found = at.argument(given["by"], ("number", "size"), what="by")
    value = found.value.bytes if isinstance(found.value, Size) else found.value
    if value < 0 or value != int(value):
        raise v.wrong_type("by")
    return int(value), found.private


def _key(given: Given, at: Evaluation) -> tuple[str, bool]:
    if "per" not in given:
        return key_text(Ip(at.client_ip)), False
    found = at.value(given["per"])
    return key_text(found.value), found.private


def key_text(value: Any) -> str:
    """A key without collisions: the types and texts of its parts."""
    if isinstance(value, (list, tuple)):
        return json.dumps([key_text(each) for each in value])
    if v.kind_of(value) in ("map", "none"):
        raise v.missing_value("a key is none") if value is None else v.wrong_type("a map is no key")
    return json.dumps([v.kind_of(value), v.as_text(value)])


def tell(at: Evaluation, identity: Any, name: str, remaining: int, shown: bool) -> None:
    """For the answer's fields: one entry for each rate of a statement, the least that it has left, under a name that
    no other has."""
    for told in at.limits:
        if told[0] == identity:
            told[2] = min(told[2], remaining)
            return
    taken = [told[1] for told in at.limits]
    number, called = 1, name
    while called in taken:
        number += 1
        called = f"{name}-{number}"
    at.limits.append([identity, called, remaining, shown])


def _outputs(found: list[tuple[int, int, float]], hidden: bool) -> tuple[Known, ...]:
    limit, remaining, reset = min(found, key=lambda each: (each[1], -each[2]))
    return Known(limit, hidden), Known(remaining, hidden), Known(Duration(reset), hidden)


def again(at: Evaluation, statement: Any) -> bool:
    """A statement reports once a second."""
    last = at.world.reported.get(statement)
    if last is not None and at.world.now < last + _NS:
        return False
    at.world.reported[statement] = at.world.now
    return True


def _over(seconds: float, name: str = "rate-exceeded") -> Failing:
    return Failing(name, 429, headers=(("Retry-After", str(max(1, math.ceil(seconds)))),))


def store_away(seconds: float = 1.0) -> Failing:
    headers = (("Retry-After", str(max(1, math.ceil(seconds)))),)
    return Failing("store-away", 503, kind="away", headers=headers)


def word(given: Given, name: str, usual: str) -> str:
    node = given.get(name)
    return node.name if isinstance(node, n.Name) else usual


def flag(given: Given, name: str, at: Evaluation) -> bool:
    return name in given and at.value(given[name]).value is True
