"""Simple models of `cache` and of the values that `cache_store` keeps: dictionaries with a moment of their end.

What an upstream says of being kept (Cache-Control, Vary, Set-Cookie and their like), and what is packed on its way, is
left to tests/unit/test_caching*.py: messages that have it are not compared.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from reference import values as v
from reference.limiting import again, flag, key_text, store_away
from reference.message import Response
from reference.values import Interval, Known
from reference.walk import walk

from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation

Given = dict[str, n.Expr]
PARAMETERS = {"cache": (), "cache_lookup": ("name",), "cache_store": ("name",), "cache_remove": ("name",)}
_SPEAKING = ("cache-control", "vary", "set-cookie", "expires", "date", "age")
_LARGEST = 1_000_000


def cache(call: n.Call, given: Given, at: Evaluation, statement: Any) -> str:
    """Runs the block unless its answer is there; gives its outcome."""
    assert call.block is not None
    request, state, world = at.state.request, at.state, at.world
    key = key_text(at.value(given["key"]).value) if "key" in given else ""
    vary = at.value(given["vary"]).value if "vary" in given else []
    place = (
        statement, key, request.scheme, request.host, request.path, request.query_string,
        *(tuple(request.header_values(name)) for name in vary),
    )  # fmt: skip
    reads = _reads(given["key"]) if "key" in given else ""
    shared = flag(given, "shared", at)
    before = _number(state.response)
    nobody = state.user is None
    why = ""
    if request.method not in ("GET", "HEAD"):
        why = "fwd=method"
    elif request.body or not (nobody or shared or "user" in reads):
        why = "fwd=bypass"
    elif world.store_away:
        if again(at, statement):
            at.logs.append(("warning", None, False))
        why = "fwd=bypass"
    else:
        kept, since, seconds = world.answers_kept.get(place, (None, 0.0, 0.0))
        if kept is not None and world.wall() < since + seconds:
            state.response = _again(kept, world.wall() - since, seconds)
            world.answered += 1
            state.response.number = world.answered
            return "passed"
    outcome = at.block(call.block)
    response = at.state.response
    if outcome == "responded" or response is None or _number(response) == before:
        return outcome
    if why == "fwd=method" and request.method not in ("OPTIONS", "TRACE") and response.status < 400:
        world.answers_kept.pop(place, None)
    if not why:
        for_all = shared or reads or "authorization" in [name.lower() for name in vary]
        kept_too = (
            request.method == "GET" and not (nobody and at.state.user is not None)
            and (for_all or not request.header_values("authorization")) and _keepable(given, at, response)
        )  # fmt: skip
        why = "fwd=uri-miss; stored" if kept_too else "fwd=uri-miss"
        if kept_too:
            world.answers_kept[place] = (copy.deepcopy(response), world.wall(), at.value(given["ttl"]).value.seconds)
    response.headers = [*response.headers, ("Cache-Status", f"polgate; {why}")]
    return outcome


def _again(kept: Response, passed: float, seconds: float) -> Response:
    response = copy.deepcopy(kept)
    response.streams = response.arrived = response.sent = False
    response.limit = None
    response.headers = [pair for pair in response.headers if pair[0].lower() != "content-length"]
    response.headers.append(("Age", str(int(passed))))
    response.headers.append(("Cache-Status", f"polgate; hit; ttl={int(seconds - passed)}"))
    return response


def _keepable(given: Given, at: Evaluation, response: Response) -> bool:
    if any(name.lower() in _SPEAKING for name, _ in response.headers):
        at.world.unclear = True
    statuses = at.value(given["statuses"]).value if "statuses" in given else Interval(200, 299)
    largest = at.value(given["max_size"]).value.bytes if "max_size" in given else _LARGEST
    return v.within(response.status, statuses) and response.status not in (206, 304) and len(response.body) <= largest


def _reads(key: n.Expr) -> str:
    """What of callers a key's text names."""
    user = any(isinstance(node, n.Name) and node.name == "user" for node in walk(key))
    return ("user " if user else "") + ("authorization" if "authorization" in key.span.text.lower() else "")


def _number(response: Response | None) -> int:
    return -1 if response is None else response.number


# --- values ---


def _place(given: Given, at: Evaluation) -> tuple[Any, bool]:
    key = at.value(given["key"])
    return (at.value(given["name"]).value, key_text(key.value)), key.private


def cache_lookup(given: Given, at: Evaluation) -> tuple[Known, ...]:
    place, private = _place(given, at)
    value, until = at.world.values_kept.get(place, (None, 0.0))
    there = at.world.wall() < until and not at.world.store_away
    return (Known(value if there else None, private),)


def cache_store(given: Given, at: Evaluation) -> tuple[Known, ...]:
    response = at.state.response
    if response is not None and not 200 <= response.status <= 299 and not flag(given, "errors", at):
        return ()
    value = at.value(given["value"]).value
    if value is None:
        failing = v.missing_value("none in a cache")
        failing.status, failing.blames_expression = 400 if response is None else 502, False
        raise failing
    text = json.dumps(value, default=str)
    place, _ = _place(given, at)
    if not at.world.store_away:
        at.world.values_kept[place] = json.loads(text), at.world.wall() + at.value(given["ttl"]).value.seconds
    return ()


def cache_remove(given: Given, at: Evaluation) -> tuple[Known, ...]:
    place, _ = _place(given, at)
    if at.world.store_away:
        raise store_away()
    at.world.values_kept.pop(place, None)
    return ()
