"""Upstreams of a test: what they answer, and what they received."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from policylang.record import record
from policylang.sdk.bench import StreamedBody, VirtualClock
from policylang.sdk.exchange import Exchange, Response, UpstreamCall
from policylang.sdk.message import Field
from policylang.sdk.outcome import Failed, Failure, Kind
from policylang.sdk.values import Duration
from policylang.testing.fields import Unsendable, encoded, fields_of
from policylang.testing.told import Call
from policylang.tree.edits import json_bytes
from policylang.tree.values import kind_of, phrase

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
    headers: tuple[Field, ...] = ()
    body: bytes = b""
    delay: float = 0.0
    fails: str = ""

    def response(self) -> Response:
        return Response(self.status, list(self.headers), None, StreamedBody(self.body, 502))


def planned(given: Mapping[str, Any]) -> Planned:
    """From what stands behind `stub`, or in one answer of its `sequence`. Raises Unsendable."""
    for name, (kinds, what) in _KINDS.items():
        if given.get(name) is not None and not isinstance(given[name], kinds):
            raise Unsendable(f"`{name}` of a stub takes {what}, not {phrase(kind_of(given[name]))}")
    fields = fields_of(given.get("header"))
    body = given.get("body") or b""
    kind = b""
    if "json" in given:
        body, kind = json_bytes(given["json"]), b"application/json"
    elif given.get("body") is not None:
        kind = b"text/plain; charset=utf-8"
    if kind and b"content-type" not in {field[0] for field in fields}:
        fields.append((b"content-type", b"Content-Type", kind))
    delay = given.get("delay")
    return Planned(
        given.get("status") or 200, tuple(fields), body if isinstance(body, bytes) else encoded(body),
        0.0 if delay is None else delay.seconds, given.get("fails") or "",
    )  # fmt: skip


_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "body": ((str, bytes), "text"), "header": (dict, "a map"), "delay": (Duration, "a duration"),
}  # fmt: skip
"""What an answer of a `sequence` has to be made of, where that is not known before."""


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

