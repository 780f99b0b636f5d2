"""A quota that is spent on what is refused afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import limits, taken
from policylang.lint.look import Visit, argument, calls, constant
from policylang.lint.moves import moved
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.rules.refused_counted import LOOKED_AT, limit_behind
from policylang.lint.ways import later, of_the_caller, refusing
from policylang.tree.facts import REQUEST, answers, touches


class QuotaBeforeCheck(Rule):
    """A quota counts a request that a later statement refuses.

    Who sends what is not well formed pays for it, and sends it again.

        quota 10_000/month, per: client.ip, zone: "Europe/Berlin"
        require request.content_type == "application/json"
        route orders
    ==
        require request.content_type == "application/json"
        quota 10_000/month, per: client.ip, zone: "Europe/Berlin"
        route orders
    """

    name: ClassVar[str] = "quota-before-check"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if not (limits(statement) and calls(statement, "quota") and visit.place in ("before", "service")):
                continue
            if constant(argument(statement, "count")) == "success" or limit_behind(policy, visit) is not None:
                continue  # with a limit behind it `refused-counted` says so, and the cure is the same
            checks = _checks_behind(policy, visit)
            if checks:
                yield Finding(
                    statement.span, "what is refused behind it has been taken from this quota",
                    labels=[Label(checks[0].span, "refused here")],
                    help="put it behind the check, or count only what goes well: `count: success`",
                    fix=moved(policy, statement, checks[-1], above=False),
                )  # fmt: skip


def _checks_behind(policy: Policy, visit: Visit) -> list[p.Statement]:
    found: list[p.Statement] = []
    for statement in islice(later(policy, visit), LOOKED_AT):
        found += [each for each in taken(statement) if _checks(policy, visit.service, each)]
        if answers(statement):
            break
    return found


def _checks(policy: Policy, service: p.Service | None, statement: p.Statement) -> bool:
    """Whether it says no to some requests for what they are."""
    if isinstance(statement, p.Invoke):
        if calls(statement, "limit_size"):
            return any(isinstance(b.value, p.MessageRef) and b.value.message == "request" for b in statement.args)
        return statement.card.group == "identity" or statement.card.name == "not_replayed"
    condition = refusing(statement)
    if condition is not None:
        return of_the_caller(policy, service, condition)
    if isinstance(statement, p.Let):
        return not statement.optional and statement.value.type.optional and touches(statement.value) == REQUEST
    return False
