"""`expect`: what has to be true, and what to say where it is not."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from policylang.diagnostics import Diagnostic
from policylang.sdk.assertion import Assertion, Outcome, param
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failed, Failure
from policylang.sdk.values import Expr
from policylang.source import Span
from policylang.testing.difference import sentence
from policylang.testing.world import world_of

NAME = "not-as-expected"


class Expect(Assertion):
    """What has to be true. Where it is not, the test has failed, and both sides of a comparison are shown.

    `and` joins expectations, each of which is looked at by itself.

        expect response.status == 200, "gold is served"
    """

    name: ClassVar[str] = "expect"

    condition: Expr[bool] = param("What has to be true.", positional=True)
    why: Expr[str] | None = param("What that means, for who reads the failure.", positional=True, default=None)


class Expectation(Assertion):
    """As the checker puts it together. `place`: the condition's span; `left`, `right`: its sides where `op` is a
    comparison, `right` None for a condition that is none."""

    name: ClassVar[str] = "expect"

    condition: Expr[bool] = param("")
    why: Expr[str] | None = param("", default=None)
    left: Expr[Any] = param("")
    right: Expr[Any] = param("")
    how: Any = param("")

    def evaluate(self, exchange: Exchange) -> Outcome:
        try:
            if self.condition(exchange):
                return None
            place, op, left_text, right_text, written = self.how
            values = self.left(exchange), self.right(exchange)
            message = sentence(op, left_text, right_text, *values, written) + _too_few(exchange, left_text)
            world_of(exchange).look_at(_number(left_text, *values))
        except Failed as failed:
            place = self.how[0]
            failure = failed.failure
            message = self._not_worked_out(exchange, failure)
        if self.why is not None:
            message = f"{self.why(exchange)}: {message}"
        return not_as_expected(exchange, place, message)


    def _not_worked_out(self, exchange: Exchange, failure: Failure) -> str:
        place, op, left_text, right_text, written = self.how
        why = failure.detail or failure.title.lower()
        try:
            if op in _COMPARISONS:  # where its sides do not go together, each is known
                values = self.left(exchange), self.right(exchange)
                return f"{sentence(op, left_text, right_text, *values, written)}: {why}"
        except Failed:
            pass
        return f"`{place.text}` cannot be worked out: {why}"


_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_OF_GROUP = re.compile(r"(?:responses|statuses)\[(\d+)\]")


def _number(text: str, left: Any, right: Any) -> int | None:
    """Which answer of several an expectation is about, where it says so."""
    found = _OF_GROUP.match(text)
    if found is not None:
        return int(found[1])
    if text == "statuses" and isinstance(left, list) and isinstance(right, list):
        return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
    return None


_OF_LIST = re.compile(r"((?:(\w+)\.(?=calls|mirrored))?(calls|mirrored|responses|statuses|logs))\[(\d+)\]")
_COUNTED = {"calls": "request", "mirrored": "copy", "responses": "answer", "statuses": "answer", "logs": "line"}


def _too_few(exchange: Exchange, text: str) -> str:
    """Says so where an expectation is about one that is not there."""
    found = _OF_LIST.match(text)
    world = world_of(exchange)
    if found is None or (found[3] in ("calls", "mirrored") and found[2] not in world.upstreams):
        return ""  # something of the test's own
    whole, _, name, place = found.groups()
    count = len(world.told(whole))
    if count > int(place):
        return ""
    what = _COUNTED[name] if count == 1 else {"copy": "copies"}.get(_COUNTED[name], _COUNTED[name] + "s")
    return f": there {'is' if count == 1 else 'are'} {count or 'no'} {what}"


def not_as_expected(exchange: Exchange, place: Span, message: str) -> Failure:
    """`finding` among its members is what the author of the test is shown."""
    message = " ".join(message.split())
    finding = Diagnostic(NAME, place, message, help=world_of(exchange).story())
    return Failure(NAME, 500, message, span=place, members={"finding": finding})
