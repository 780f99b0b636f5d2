"""`expect`: what has to be true, and what to say where it is not."""

from __future__ import annotations

import re
from typing import Any, ClassVar, TypeAlias

from policylang.diagnostics import Diagnostic
from policylang.sdk.assertion import Assertion, Outcome, param
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failed, Failure
from policylang.sdk.values import Expr
from policylang.source import Span
from policylang.testing.difference import VERBS, sentence
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


Side: TypeAlias = tuple[str, str, str, bool]
"""The comparison, empty for a condition that is none; the texts of its sides; whether the right one is a literal."""


class Expectation(Assertion):
    """As the checker puts it together. `left`, `right`: the sides of each alternative that `or` joins, mostly of one;
    `right` None for a condition that is no comparison. `how`: the condition's span, and a Side for each."""

    name: ClassVar[str] = "expect"

    condition: Expr[bool] = param("")
    why: Expr[str] | None = param("", default=None)
    left: Expr[list[Any]] = param("")
    right: Expr[list[Any]] = param("")
    how: Any = param("")

    def evaluate(self, exchange: Exchange) -> Outcome:
        place, sides = self.how
        try:
            if self.condition(exchange):
                return None
            message = self._said(exchange)
            world_of(exchange).look_at(_number(sides[0][1], self.left(exchange)[0], self.right(exchange)[0]))
        except Failed as failed:
            message = self._not_worked_out(exchange, failed.failure)
        if self.why is not None:
            message = f"{self.why(exchange)}: {message}"
        return not_as_expected(exchange, place, message)

    def _said(self, exchange: Exchange) -> str:
        sides: tuple[Side, ...] = self.how[1]
        said = [
            sentence(op, left_text, right_text, left, right, written) + _too_few(exchange, left_text)
            for (op, left_text, right_text, written), left, right
            in zip(sides, self.left(exchange), self.right(exchange), strict=True)
        ]  # fmt: skip
        return said[0] if len(said) == 1 else f"no side of `or` is true: {'; '.join(said)}"

    def _not_worked_out(self, exchange: Exchange, failure: Failure) -> str:
        place, sides = self.how
        why = failure.detail or failure.title.lower()
        try:
            if len(sides) == 1 and sides[0][0] in _COMPARISONS:  # where its sides do not go together, each is known
                return f"{self._said(exchange)}: {why}"
            if len(sides) == 1 and sides[0][0] in VERBS and self.left(exchange)[0] is None:
                return self._said(exchange)
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
