"""Upstreams of a test: what they answer, and what they received."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from policylang.record import record
from policylang.sdk.bench import VirtualClock, make_response
from policylang.sdk.exchange import Exchange, Response, UpstreamCall
from policylang.sdk.outcome import Failed, Failure, Kind
from policylang.testing.told import Call

FAILURES = {
    "unreachable": ("upstream-unreachable", 502, "no server can be reached"),
    "broken": ("upstream-broken", 502, "the connection was lost"),
    "timeout": ("upstream-timeout", 504, "no answer in time"),
}
"""What `fails:` may be, and what comes of it."""


@record
class Planned:
    """One answer of a stub. `fails`: one of FAILURES, or nothing. `delay`: seconds that it takes."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0
    fails: str = ""

    def response(self) -> Response:
        return make_response(self.status, self.body, self.headers, streams=True)


def planned(given: Mapping[str, Any]) -> Planned:
    """From what stands behind `stub`, or in one answer of its `sequence`."""
    fields = pairs(given.get("header"))
    body = b""
    named = {name.lower() for name, _ in fields}
    if "json" in given:
        body = orjson.dumps(given["json"], option=orjson.OPT_NON_STR_KEYS)
        if "content-type" not in named:
            fields.append(("Content-Type", "application/json"))
    elif given.get("body") is not None:
        text = given["body"]
        body = text if isinstance(text, bytes) else str(text).encode()
        if "content-type" not in named:
            fields.append(("Content-Type", "text/plain; charset=utf-8"))
    delay = given.get("delay")
    status = given.get("status")
    return Planned(
        200 if status is None else int(status), tuple(fields), body,
        0.0 if delay is None else delay.seconds, given.get("fails") or "",
    )  # fmt: skip


def pairs(header: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The fields of a map: a list is a field for each of its texts, `none` is no field."""
    found: list[tuple[str, str]] = []
    for name, value in (header or {}).items():
        if value is None:
            continue
        for each in value if isinstance(value, (list, tuple)) else (value,):
            found.append((name, each if isinstance(each, str) else str(each)))
    return found


class StubbedUpstream:
    """Gives its answers in turn, the last one for ever. One that was given none calls `unasked`, which gives what to
    raise. `timeout`: seconds that an answer may take where the policy says nothing.

    It stands for the whole upstream: balancing, retries and health are none of it.
    """

    def __init__(self, clock: VirtualClock, timeout: float, unasked: Callable[[Exchange], Failed]) -> None:
        self.calls: list[Call] = []
        self.mirrored: list[Call] = []
        self._answers: list[Planned] = []
        self._clock = clock
        self._timeout = timeout
        self._unasked = unasked

    def plan(self, answers: Sequence[Planned]) -> None:
        self._answers = list(answers)

    async def send(self, exchange: Exchange, call: UpstreamCall) -> Response:
        request = exchange.request
        body = request.body
        if body is None:
            source = request.source
            assert source is not None
            body = await source.collect(request.limit if request.limit is not None else 1 << 62)
        self.calls.append(Call(exchange, call, body))
        if not self._answers:
            raise self._unasked(exchange)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        most = self._timeout if call.timeout is None else call.timeout
        if answer.fails == "timeout" or answer.delay > most:
            await self._clock.sleep(most)
            raise _failed("timeout")
        if answer.delay:
            await self._clock.sleep(answer.delay)
        if answer.fails:
            raise _failed(answer.fails)
        return answer.response()

    def mirror(self, exchange: Exchange, call: UpstreamCall) -> None:
        body = exchange.request.body
        if body is None:
            raise RuntimeError("a copy is sent of a request whose body is not held")
        self.mirrored.append(Call(exchange, call, body))


def _failed(how: str) -> Failed:
    name, status, detail = FAILURES[how]
    return Failed(Failure(name, status, detail, kind=Kind.ERROR))

