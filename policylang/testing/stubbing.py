"""`stub`: what an upstream answers in a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from policylang.sdk.assertion import Assertion, Outcome, param
from policylang.sdk.exchange import Exchange
from policylang.sdk.values import Duration, Expr, Json, UpstreamName
from policylang.testing.fields import Unsendable
from policylang.testing.stubs import FAILURES, planned
from policylang.testing.world import Broken, world_of

ANSWER = ("status", "json", "body", "header", "delay", "fails")
"""What one answer is made of, in `sequence` too."""
_NOTHING = dict.fromkeys(ANSWER)


class Stub(Assertion):
    """What an upstream answers from here on. One that is asked without is a mistake of the test.

    `sequence` has several answers, one for each request, of which the last one stays. `upstream.calls` is what it has
    received, the first one first, and `upstream.mirrored` the copies that `mirror` has sent. It stands for the upstream
    as a whole: balancing, retries and health are none of it. An answer that takes longer than the policy waits is 504.

        stub orders, status: 200, json: { ok: true }
        stub prices, sequence: [{ fails: unreachable }, { status: 200, body: "7.50", delay: 200ms }]
    """

    name: ClassVar[str] = "stub"

    upstream: UpstreamName = param("The upstream.", positional=True)
    status: Expr[int | None] | None = param("The answer's status; left out: 200.", default=None)
    json: Expr[Json] | None = param("The answer's body, as JSON.", default=None)
    body: Expr[str | bytes | None] | None = param("The answer's body, as text.", default=None)
    header: Expr[dict[str, Any] | None] | None = param(
        "Header fields; a list is one field for each of its texts, and `none` is no field.", default=None
    )
    delay: Expr[Duration | None] | None = param("How long the answer takes.", default=None)
    fails: Expr[Literal["unreachable", "timeout", "broken"] | None] | None = param(
        "How it fails, instead of an answer; a row of a table has it as text.", default=None
    )
    sequence: Expr[list[Any]] | None = param(
        "Several answers, one after the other: `[{ status: 503 }, { status: 200 }]`.", default=None
    )

    def evaluate(self, exchange: Exchange) -> Outcome:
        given: dict[str, Any] = {}
        for name in ANSWER:
            expr = getattr(self, name)
            if expr is not None and ((value := expr(exchange)) is not None or name == "json"):
                given[name] = value
        answers = [given] if self.sequence is None else self.sequence(exchange)
        for each in answers:
            wrong = wrong_answer({**_NOTHING, **each})
            if wrong is not None:
                raise Broken(wrong)
        try:
            plan = [planned(each) for each in answers]
        except Unsendable as why:
            raise Broken(str(why)) from None
        world_of(exchange).upstreams[self.upstream.name].plan(plan)
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        wrong = wrong_answer(constants)
        if wrong is None and constants.get("sequence", ...) is not None:
            given = [name for name in ANSWER if constants.get(name, ...) is not None]
            if given:
                return f"`sequence` holds whole answers: put `{given[0]}` into them"
        return wrong


def wrong_answer(given: Mapping[str, Any]) -> str | None:
    """What is wrong with one answer, as far as it is known: what is not among them is given, and not known yet."""
    present = {name: given.get(name, ...) for name in ANSWER if given.get(name, ...) is not None}
    status = present.get("status", ...)
    if status is not ... and (not isinstance(status, int) or not 200 <= status <= 599):
        return "`status` is a whole number from 200 to 599"
    if {"json", "body"} <= present.keys():
        return "an answer has `json` or `body`, not both"
    fails = present.get("fails", ...)
    if fails is not ...:
        if fails not in FAILURES:
            return f"`fails` takes `unreachable`, `timeout` or `broken`, not `{fails}`"
        if present.keys() & {"status", "json", "body", "header"}:
            return "what `fails` gives no answer: leave the rest of it out"
    return None
