"""A second upstream that the first one's failures do not reach."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import calls, given, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule, Severity
from policylang.lint.ways import refusing
from policylang.tree.facts import answers


class FailoverWithoutStatus(Rule):
    """`route` passes with any status, so an answer of 503 goes to the client, and no other upstream is asked.

    Only a server that cannot be reached, breaks off or is too slow makes it fail. `fail_on` says which answers do.

        service pages "/pages/**", methods: ["GET"] {
            route orders else route orders, path: "/spare"
        }
    ==
        service pages "/pages/**", methods: ["GET"] {
            route orders, fail_on: 500..599 else route orders, path: "/spare"
        }
    """

    name: ClassVar[str] = "failover-without-status"
    category: ClassVar[Category] = "correctness"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for tried, right in _followed(visit.statement):
                left = _last(tried)
                if calls(left, "route") and given(left, "fail_on") is None and answers(right):
                    yield Finding(
                        left.span, "an answer of 500 and above does not fail here",
                        labels=[Label(right.span, "asked only when no answer came")],
                        help="say which answers fail, as in `fail_on: 500..599`",
                    )  # fmt: skip


def _followed(statement: p.Statement) -> Iterator[tuple[p.Statement, p.Statement]]:
    """What ends the first way, and what is done when it has failed."""
    if isinstance(statement, p.Else):
        yield from ((statement.left, each) for each in statement.right.statements)
    elif isinstance(statement, p.Try) and statement.body.statements:
        tried = p.Group(statement.span, "all", statement.body)
        yield from ((tried, each) for each in statement.handler.statements)
    elif isinstance(statement, p.Group) and statement.kind == "any":
        yield from pairwise(statement.body.statements)


def _last(statement: p.Statement) -> p.Statement:
    """What ends an `all`; not where something in it may refuse before, as it may be a choice between two then."""
    if not isinstance(statement, p.Group) or statement.kind != "all" or not statement.body.statements:
        return statement
    *before, last = statement.body.statements
    return statement if any(_refuses(inner) for each in before for inner in within(each)) else last


def _refuses(statement: p.Statement) -> bool:
    if isinstance(statement, p.Let):
        return not statement.optional
    return refusing(statement) is not None or (isinstance(statement, p.Invoke) and bool(statement.card.failures))
