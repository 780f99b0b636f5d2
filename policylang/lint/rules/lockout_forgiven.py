"""A lock that a guesser opens himself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.source import Span


class LockoutForgiven(Rule):
    """Wrong attempts are counted by an address, and a right one makes an end of it.

    Who guesses at others' passwords logs in with an account of his own in between, and begins anew each time. With
    `resets: false` what is counted by an address stays.

        lockout network_of(client.ip), after: 20, within: 1h {
            require same_secret(request.header["X-Pin"], secret("DOOR_PIN"))
        }
    ==
        lockout network_of(client.ip), after: 20, within: 1h, resets: false {
            require same_secret(request.header["X-Pin"], secret("DOOR_PIN"))
        }
    """

    name: ClassVar[str] = "lockout-forgiven"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            key = argument(statement, "key") if calls(statement, "lockout") else None
            if key is None or constant(argument(statement, "resets")) is not True:
                continue
            if all(kind in ("client", "constant") for kind, _ in policy.origins.of(visit.service).flows(key)):
                yield Finding(
                    key.span, "a guesser who logs in as himself in between is never locked",
                    help="write `resets: false`", fix=_fix(statement),
                )  # fmt: skip


def _fix(statement: p.Statement) -> Fix | None:
    assert isinstance(statement, p.Invoke)
    source = statement.span.source
    ends = [bound.value.span.end for bound in statement.args if bound.text and bound.value.span.source is source]
    if any(bound.param.name == "resets" and bound.value.span.source is source for bound in statement.args):
        return None
    return Fix("write `resets: false`", (Edit(Span(source, max(ends), max(ends)), ", resets: false"),))
