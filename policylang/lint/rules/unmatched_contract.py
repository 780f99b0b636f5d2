"""Callers for whom no case stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from policylang.check import program as p
from policylang.check.fold import same
from policylang.lint.entries import members_of
from policylang.lint.look import constant, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import agreed, meaning
from policylang.source import Span


class UnmatchedContract(Rule):
    """The map of clients has values that no case of a `match` takes, and there is no `else`.

    These clients have a key, and are refused with 403 at every request. The linter reads the map's file; of maps in the
    store it says nothing. A new contract is a new case, or has what the others have.

        api_key request.header["X-API-Key"], in: map("clients") -> caller
        match caller.contract {
            "platinum" -> rate_limit 1000/s, per: caller.id
            "silver"   -> rate_limit 100/s,  per: caller.id
        }
        remove request.header["X-API-Key"]
        route orders
    ==
        api_key request.header["X-API-Key"], in: map("clients") -> caller
        match caller.contract {
            "platinum" -> rate_limit 1000/s, per: caller.id
            else       -> rate_limit 100/s,  per: caller.id
        }
        remove request.header["X-API-Key"]
        route orders
    """

    name: ClassVar[str] = "unmatched-contract"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_found(policy))


def _found(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    for visit in policy.visits:
        statement = visit.statement
        if isinstance(statement, p.Match) and not isinstance(statement, p.Split) and statement.orelse is None:
            yield statement.subject.span, _left_out(policy, visit.service, statement)


def _left_out(policy: Policy, service: p.Service | None, match: p.Match) -> Finding | None:
    subject = meaning(policy, service, match.subject)
    if not isinstance(subject, p.MemberOf) or not isinstance(constant(subject.key), str):
        return None
    members = members_of(policy, service, subject.base)
    values = [] if members is None else members.of(constant(subject.key))
    patterns = [pattern.value for case in match.cases for pattern in case.patterns]
    left = [each for each in values if not any(_takes(pattern, each[0]) for pattern in patterns)]
    if not left:
        return None
    what, number = "`none`" if left[0][0] is None else f"`{left[0][0]}`", sum(count for _, count in left)
    clients = "one client is" if number == 1 else f"{number} clients are"
    return Finding(
        match.subject.span, f"`{text_of(match.subject)}` may be {what}, which no case takes: {clients} always refused",
        help="add a case for it, or `else`",
    )  # fmt: skip


def _takes(pattern: Any, value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(pattern, range):
        return number and value in pattern
    if isinstance(pattern, tuple):
        return number and bool(pattern[0] <= value <= pattern[1])
    return same(pattern, value) if type(pattern) is type(value) or number else False
