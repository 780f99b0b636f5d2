"""Simple models of what works on maps of the store, of `not_replayed` and of `lockout`: dictionaries and lists."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reference import values as v
from reference.limiting import again, key_text
from reference.values import Failing, Known

from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation

Given = dict[str, n.Expr]
PARAMETERS = {
    "lookup": ("key",), "store": ("key", "value"), "remember": ("key",), "forget": ("key",), "increment": ("key",),
    "not_replayed": ("id",), "lockout": ("key",),
}  # fmt: skip
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SIZES = {"B": 1, "KiB": 1 << 10, "KB": 1000}
GUESSES = [400, 401, 403, 422]


@dataclass(frozen=True)
class Shared:
    """`map NAME, ttl: …`"""

    name: str
    ttl: float
    largest: int
    private: bool


def declared(node: n.MapDeclaration) -> Shared:
    given = {a.name: a.value for a in node.args}
    ttl, size, private = given["ttl"], given.get("max_entry"), given.get("private")
    assert isinstance(ttl, n.DurationValue)
    largest = size.amount * SIZES[size.unit] if isinstance(size, n.SizeValue) else 64 << 10
    return Shared(
        node.name, ttl.amount * UNITS[ttl.unit], int(largest), isinstance(private, n.Bool) and private.value
    )


# --- maps ---


def _reach(at: Evaluation) -> None:
    if at.world.store_away:
        raise Failing("store-away", 503, kind="away", headers=(("Retry-After", "1"),))


def _place(given: Given, at: Evaluation) -> tuple[Shared, Any, bool]:
    """The map, the entry's name in the world (None for a key that is none), and whether what is found is private."""
    there: Shared = at.value(given["in"]).value
    key = at.value(given["key"])
    private = key.private or there.private
    if key.value is None:
        return there, None, private
    return there, (there.name, key_text(key.value)), private


def _there(place: Any, at: Evaluation) -> tuple[Any, float] | None:
    _reach(at)
    found = at.world.entries.get(place)
    return found if found is not None and found[1] > at.world.wall() else None


def _put(given: Given, at: Evaluation, place: Any, there: Shared, value: Any) -> None:
    at.world.entries[place] = (json.loads(json.dumps(value, default=str)), at.world.wall() + _ttl(given, at, there))


def _ttl(given: Given, at: Evaluation, there: Shared) -> float:
    if "ttl" not in given:
        return there.ttl
    seconds: float = at.value(given["ttl"]).value.seconds
    if seconds <= 0:
        raise v.wrong_type("no time")
    return min(seconds, there.ttl)


def lookup(given: Given, at: Evaluation) -> tuple[Known, ...]:
    _, place, private = _place(given, at)
    found = _there(place, at) if place is not None else None
    if found is None:
        if "optional" in given and at.value(given["optional"]).value:
            return (Known(None, private),)
        raise Failing("no-entry", 403)
    if "once" in given and at.value(given["once"]).value:
        del at.world.entries[place]
    return (Known(found[0], private),)


def store(given: Given, at: Evaluation) -> tuple[Known, ...]:
    there, place, _ = _written(given, at)
    _reach(at)
    _put(given, at, place, there, at.value(given["value"]).value)
    return ()


def _written(given: Given, at: Evaluation) -> tuple[Shared, Any, bool]:
    there, place, private = _place(given, at)
    if place is None:
        raise v.missing_value("a key is none")
    value = at.value(given["value"]).value if "value" in given else True
    if "ttl" in given:
        at.argument(given["ttl"], ("duration",), what="ttl")
    if value is None:
        raise v.missing_value("an entry that is none")
    text = json.dumps(value, default=_measure, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > there.largest:
        raise Failing("entry-too-large", 413, kind="error")
    _ttl(given, at, there)
    return there, place, private


def _measure(value: Any) -> str:
    if isinstance(value, (bytes, range)):
        raise v.wrong_type(f"a {v.kind_of(value)} has no form in JSON")
    return str(value)


def remember(given: Given, at: Evaluation) -> tuple[Known, ...]:
    there, place, _ = _written(given, at)
    if _there(place, at) is not None:
        raise Failing("already-there", 409)
    _put(given, at, place, there, at.value(given["value"]).value if "value" in given else True)
    return ()


def forget(given: Given, at: Evaluation) -> tuple[Known, ...]:
    _, place, _ = _place(given, at)
    if place is not None:
        _reach(at)
        at.world.entries.pop(place, None)
    return ()


def increment(given: Given, at: Evaluation) -> tuple[Known, ...]:
    there, place, private = _written(given, at)
    found = _there(place, at)
    by = at.value(given["by"]).value if "by" in given else 1
    value, until = found if found is not None else (0, at.world.wall() + _ttl(given, at, there))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Failing("not-a-number", 500, kind="error")
    at.world.entries[place] = (value + by, until)
    return (Known(value + by, private),)


# --- not_replayed ---


def not_replayed(call: n.Call, given: Given, at: Evaluation, name: Any) -> None:
    id, seconds = key_text(at.value(given["id"]).value), at.value(given["within"]).value.seconds
    if at.world.store_away and "log_only" in given:
        if again(at, call):
            at.logs.append(("warning", None, False))
        return
    _reach(at)
    if at.world.ids.get((name, id), -math.inf) > at.world.wall():
        if "log_only" in given:
            if again(at, call):
                at.logs.append(("warning", None, False))
            return
        raise Failing("replayed", 403)
    at.world.ids[name, id] = at.world.wall() + seconds


# --- lockout ---


@dataclass
class Lock:
    """`refused`: when; `level`: how often it was locked; `forgotten`: when all of it is."""

    refused: list[float] = field(default_factory=list)
    level: int = 0
    until: float = -math.inf
    forgotten: float = math.inf


def lockout(call: n.Call, given: Given, at: Evaluation, name: Any) -> str:
    """Runs the block unless the key is locked; gives its outcome."""
    usual = {"after": 5, "growing": 2, "answers": GUESSES, "resets": True, "log_only": False}
    rules: dict[str, Any] = {
        word: at.value(given[word]).value if word in given else plain for word, plain in usual.items()
    }
    for word, plain in (("within", 600.0), ("for", 60.0), ("max", 3600.0)):
        rules[word] = at.value(given[word]).value.seconds if word in given else plain
    key = key_text(at.value(given["key"]).value)
    if at.world.store_away and rules["log_only"]:
        if again(at, call):
            at.logs.append(("warning", None, False))
        assert call.block is not None
        return at.block(call.block)
    _reach(at)
    lock = at.world.locks.get((name, key), Lock())
    if lock.forgotten <= at.world.wall():
        lock = Lock()
    at.world.locks[name, key] = lock
    wait = lock.until - at.world.wall()
    if wait > 0:
        if not rules["log_only"]:
            raise Failing("locked-out", 429, headers=(("Retry-After", str(max(1, math.ceil(wait)))),))
        if again(at, call):
            at.logs.append(("warning", None, False))
    else:
        _touched(lock, at, rules)
    before = at.state.response.number if at.state.response is not None else None
    assert call.block is not None
    try:
        outcome = at.block(call.block)
    except Failing as failing:
        guessed = failing.kind == "refusal" and failing.status != 429
        _ended(lock, at, rules, "refused" if guessed else "nothing")
        raise
    response = at.state.response
    if response is None or response.number == before != 0:  # 0: it was made here
        _ended(lock, at, rules, "passed")
    elif response.status in rules["answers"]:
        _ended(lock, at, rules, "refused")
    else:
        _ended(lock, at, rules, "passed" if response.status < 400 else "nothing")
    return outcome


def _ended(lock: Lock, at: Evaluation, rules: dict[str, Any], how: str) -> None:
    now = at.world.wall()
    lock.refused = [when for when in lock.refused if when + rules["within"] > now]
    if how == "passed" and rules["resets"]:
        lock.refused, lock.level, lock.until = [], 0, -math.inf
    if how == "refused" and lock.until <= now:
        lock.refused.append(now)
        if len(lock.refused) >= (rules["after"] if lock.level == 0 else 1):
            seconds = min(rules["for"] * rules["growing"] ** lock.level, rules["max"])
            lock.refused, lock.level, lock.until = [], lock.level + 1, now + seconds
            at.logs.append(("warning", None, False))
    _touched(lock, at, rules)


def _touched(lock: Lock, at: Evaluation, rules: dict[str, Any]) -> None:
    """What is not touched is forgotten in the end."""
    last = min(rules["for"] * rules["growing"] ** (lock.level - 1), rules["max"]) if lock.level else 0
    now = at.world.wall()
    lock.forgotten = now + max(lock.until - now, 0) + max(rules["within"], last)
