"""What `route` and `mirror` send, and what comes back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reference import values as v
from reference.limiting import key_text
from reference.message import Response
from reference.target import target_text
from reference.values import Failing, Interval, Known
from reference.writing import TOKEN, unsafe_value

from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation

Given = dict[str, n.Expr]
IN_HOST = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~"
UNRESERVED = IN_HOST


def route(given: Given, at: Evaluation) -> tuple[Known, ...]:
    if at.state.request.too_long():
        at.world.unclear = True  # for a later statement it may have to be held, and cannot be
    call = asked(given, at)
    request = at.state.request
    if request.limit is not None and len(request.body) > request.limit:
        if request.streams:
            raise Failing("body-too-large", 413)
        at.world.unclear = True  # it was refused, or the policy has made it
    request.sent = True
    upstream = given["upstream"]
    assert isinstance(upstream, n.Name)
    stub = at.world.next_answer(upstream.name)
    at.upstream_calls.append(sent(upstream.name, call, at))
    if isinstance(stub, str):
        raise Failing(stub, 504 if stub == "upstream-timeout" else 502, kind="error")
    at.world.answered += 1
    at.state.response = Response(
        status=stub.status, headers=list(stub.headers), body=stub.body, streams=stub.streams,
        most=at.world.bodies.body, number=at.world.answered,
    )  # fmt: skip
    if "fail_on" in given and names_status(at.value(given["fail_on"]).value, stub.status):
        raise Failing("upstream-status", 502, f"the upstream answered {stub.status}", kind="error")
    return ()


def mirror(given: Given, at: Evaluation) -> tuple[Known, ...]:
    share = at.value(given["share"]).value if "share" in given else 1
    if at.world.draw < share:
        upstream = given["upstream"]
        assert isinstance(upstream, n.Name)
        at.upstream_calls.append(sent(f"copy to {upstream.name}", asked(given, at), at))
    return ()


def names_status(value: Any, status: int) -> bool:
    if isinstance(value, list):
        return any(names_status(each, status) for each in value)
    return value.low <= status <= value.high if isinstance(value, Interval) else bool(value == status)


def sent(name: str, call: tuple[Any, ...], at: Evaluation) -> tuple[Any, ...]:
    request = at.state.request
    return (
        name, request.method, request.path, request.query_string, sorted(request.headers), request.body, *call,
    )  # fmt: skip


def asked(given: Given, at: Evaluation) -> tuple[Any, ...]:
    """Target, time-out, method, host and further tries, each None where it is as usual."""
    target = target_text(given["path"], at) if "path" in given else None
    own = at.state.request.query_string
    if "query" in given:
        target = target if target is not None else at.state.request.path
        query = query_text(given["query"], at)
        if query:
            target += ("&" if "?" in target else "?") + query
    elif target is not None and "?" not in target and own is not None:
        target += "?" + own
    method = sendable(given, "method", at)
    if method is not None and (not method or method == "CONNECT" or any(c not in TOKEN for c in method)):
        raise unsendable()
    host = sendable(given, "host", at)
    if host is not None and (not host or any(c not in IN_HOST for c in host)):
        raise unsendable()
    timeout = at.value(given["timeout"]).value.seconds if "timeout" in given else None
    retries = at.value(given["retries"]).value if "retries" in given else None
    return target, timeout, method, host, retries


def sendable(given: Given, name: str, at: Evaluation) -> str | None:
    return str(at.argument(given[name], ("string",), what=name).value) if name in given else None


def unsendable() -> Failing:
    failing = unsafe_value()
    failing.blames_expression = False
    return failing


def query_text(expr: n.Expr, at: Evaluation) -> str:
    """Pairs of a map's names and values; text as it is."""
    try:
        if isinstance(expr, n.MapValue):
            found = []
            for entry in expr.entries:
                found += pairs(entry.key, at.value(entry.value).value)
            return "&".join(found)
        value = at.value(expr).value
        if isinstance(value, dict):
            return "&".join(pair for name, each in value.items() for pair in pairs(name, each))
        if value is None:
            raise v.missing_value("query")
        if not isinstance(value, str):
            raise v.wrong_type("query")
        if any(not "!" <= c <= "~" or c == "#" for c in value):
            raise unsafe_value()
        return value.removeprefix("?")
    except Failing as failing:
        raise at._blame(failing, expr) from None


def pairs(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        value = [value]
    elif any(isinstance(each, (list, tuple)) for each in value):
        raise v.wrong_type("a list in a list")
    return [f"{encoded(name)}={encoded(v.as_text(each))}" for each in value if each is not None]


def encoded(text: str) -> str:
    """As forms are: a blank becomes a plus."""
    return "".join(
        c if c in UNRESERVED else "+" if c == " " else "".join(f"%{byte:02X}" for byte in c.encode()) for c in text
    )


# --- circuit_breaker ---


class Circuit:
    """How many of the last runs have failed, by tenths of the window."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, bool, bool]] = []
        """Tenth, failed, slow."""
        self.opened: int | None = None
        self.probing = False
        self.well = 0

    def retry_after(self, now: int, pause: int) -> int | None:
        """None where it lets through."""
        if self.opened is None or self.probing:
            return None
        left = self.opened + pause - now
        if left > 0:
            return max(1, math.ceil(left / 1_000_000_000))
        self.probing, self.well = True, 0
        return None

    def ended(self, now: int, failed: bool, slow: bool, settings: dict[str, Any]) -> None:
        if self.probing:
            if failed or slow:
                self.opened, self.probing = now, False
            else:
                self.well += 1
                if self.well == settings["probes"]:
                    self.__init__()  # type: ignore[misc]
            return
        if self.opened is not None:
            return
        tenth = now // (settings["window"] // 10)
        self.runs = [run for run in [*self.runs, (tenth, failed, slow)] if run[0] > tenth - 10]
        failures = sum(failed for _, failed, _ in self.runs)
        slows = sum(slow for _, _, slow in self.runs)
        much = failures >= settings["errors"] * len(self.runs) and failures
        lame = slows >= settings["slow"] * len(self.runs) and slows
        if len(self.runs) >= settings["requests"] and (much or lame):
            self.opened = now


USUAL = {"errors": 0.5, "slow": 0.5, "requests": 20, "probes": 3}


def circuit_breaker(call: n.Call, given: Given, at: Evaluation, name: Any) -> str:
    """Runs the block unless too much has failed in it; gives its outcome."""
    # Here, not above: the interpreter imports this module.
    settings: dict[str, Any] = {
        word: at.value(given[word]).value if word in given else usual for word, usual in USUAL.items()
    }
    for word, usual in (("window", 10.0), ("pause", 5.0), ("slower_than", math.inf)):
        seconds = at.value(given[word]).value.seconds if word in given else usual
        settings[word] = seconds if math.isinf(seconds) else round(seconds * 1_000_000_000)
    key = key_text(at.value(given["per"]).value) if "per" in given else ""
    circuit = at.world.circuits.setdefault((name, key), Circuit())
    began = at.world.now
    wait = circuit.retry_after(began, settings["pause"])
    if wait is not None:
        raise Failing("circuit-open", 503, kind="error", headers=(("Retry-After", str(wait)),))
    before = at.state.response.number if at.state.response is not None else 0
    assert call.block is not None
    try:
        outcome = at.block(call.block)
        response = at.state.response
        failed = (
            response is not None and response.number not in (0, before) and response.status >= 500
        )
    except Failing as failing:
        if failing.kind != "refusal" and failing.status >= 500:
            now = at.world.now
            circuit.ended(now, True, now - began > settings["slower_than"], settings)
        raise
    now = at.world.now
    circuit.ended(now, failed, now - began > settings["slower_than"], settings)
    return outcome
