"""Tiers as branches that are tried one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import limits, taken
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import certain, never_passes
from policylang.source import Span


class TiersInAny(Rule):
    """In `any`, and left of `else`, who is over the limit of one tier falls into the next.

    A branch that is refused is a branch that has failed, whatever refused it: a gold client with its gold limit used up
    goes on with everybody's. `match` and `if` commit to the branch that they take.

        api_key request.header["X-API-Key"], in: map("clients") -> caller
        any {
            all {
                require caller.contract == "gold"
                rate_limit 500/s, per: caller.id
            }
            rate_limit 100/s, per: caller.id
        }
        remove request.header["X-API-Key"]
        route orders
    ==
        api_key request.header["X-API-Key"], in: map("clients") -> caller
        match caller.contract {
            "gold" -> rate_limit 500/s, per: caller.id
            else   -> rate_limit 100/s, per: caller.id
        }
        remove request.header["X-API-Key"]
        route orders
    """

    name: ClassVar[str] = "tiers-in-any"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Group) and statement.kind == "any":
                branches = statement.body.statements
                for place, branch in enumerate(branches[:-1]):
                    after = [
                        each for each in branches[place + 1 :] if not never_passes(p.Block(each.span, (each,)))
                    ]
                    if after:
                        yield from _tier((branch,), after[0].span)
            elif isinstance(statement, p.Else) and not never_passes(statement.right):
                yield from _tier((statement.left,), statement.right.span)
            elif isinstance(statement, p.Try) and _limits_again(statement.handler):
                yield from _tier(statement.body.statements, statement.handler.span)


def _limits_again(handler: p.Block) -> bool:
    """Whether it has a limit for whatever has failed."""
    return any(limits(each) for statement in handler.statements for each in certain(statement))


def _tier(branch: tuple[p.Statement, ...], following: Span) -> Iterator[Finding]:
    chosen = False
    for statement in (each for outer in branch for each in certain(outer)):
        if isinstance(statement, (p.If, p.Match)):
            chosen = True
            statement = next((each for each in taken(statement) if limits(each)), statement)
        if limits(statement):
            if chosen:
                yield Finding(
                    statement.span, "who is over this limit goes on with the next branch",
                    labels=[Label(following, "here")],
                    help="choose the tier with `match`, which stays with the case that it takes",
                )  # fmt: skip
            return
        chosen = chosen or isinstance(statement, (p.Require, p.Let)) or (
            isinstance(statement, p.Invoke) and bool(statement.card.failures)
        )  # fmt: skip
