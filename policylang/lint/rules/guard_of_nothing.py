"""A block that cannot do what is counted of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import calls, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.source import Span


class GuardOfNothing(Rule):
    """A `lockout` around nothing that could be refused, or a `circuit_breaker` around nothing that could be away.

    The one counts refusals, the other failures of upstreams and stores; where there are none it never does anything.
    The check, or the `route`, belongs into its block.

        circuit_breaker errors: 0.5, requests: 20 {
            set request.header["X-Try"] = "1"
        }
        route orders
    ==
        circuit_breaker errors: 0.5, requests: 20 {
            set request.header["X-Try"] = "1"
            route orders
        }
    """

    name: ClassVar[str] = "guard-of-nothing"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if not isinstance(statement, p.Invoke) or statement.block is None:
                continue
            inside = [each for inner in statement.block.statements for each in within(inner)]
            place = Span(statement.span.source, statement.span.start, statement.span.start + len(statement.card.name))
            if calls(statement, "lockout") and not any(_refuses(each) for each in inside):
                yield Finding(
                    place, "nothing in this block is ever refused, so nobody is locked out",
                    help="put the check whose failures count into the block",
                )  # fmt: skip
            elif calls(statement, "circuit_breaker") and not any(_may_be_away(each) for each in inside):
                yield Finding(
                    place, "nothing in this block can be away, so the circuit never opens",
                    help="put the `route` into the block",
                )  # fmt: skip


def _refuses(statement: p.Statement) -> bool:
    if isinstance(statement, p.Invoke):
        return bool(statement.card.failures) or statement.card.answers
    if isinstance(statement, p.Match):
        return statement.orelse is None and not isinstance(statement, p.Split)
    if isinstance(statement, p.Group):
        return statement.kind == "none"
    if isinstance(statement, p.Let):
        return not statement.optional
    return isinstance(statement, (p.Require, p.Fail, p.Respond))


def _may_be_away(statement: p.Statement) -> bool:
    if isinstance(statement, p.Invoke):
        return statement.card.answers or (statement.card.waits and not calls(statement, "compress"))
    return isinstance(statement, p.Fail)
