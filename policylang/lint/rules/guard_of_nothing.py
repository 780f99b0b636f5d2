"""A block that cannot do what is counted of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import calls, constant, given, parts, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.source import Span
from policylang.tree.facts import answers, blocks


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
            place = Span(statement.span.source, statement.span.start, statement.span.start + len(statement.card.name))
            if calls(statement, "lockout") and not _refused(statement.block, given(statement, "answers") is None):
                yield Finding(
                    place, "nothing in this block is ever refused, so nobody is locked out",
                    help="put the check whose failures count into the block",
                )  # fmt: skip
            elif calls(statement, "circuit_breaker") and not any(
                _may_be_away(each) for each in within(statement) if each is not statement
            ):
                yield Finding(
                    place, "nothing in this block can be away, so the circuit never opens",
                    help="put the `route` into the block",
                )  # fmt: skip


def _refused(block: p.Block, usual: bool) -> bool:
    """Whether a refusal comes out of it; `usual`: what answers below 400 is none."""
    return any(_refuses(each, usual) for each in block.statements)


def _refuses(statement: p.Statement, usual: bool) -> bool:
    if isinstance(statement, p.Respond):
        status = constant(statement.status)
        return not (usual and isinstance(status, int) and status < 400)
    if answers(statement):
        return True
    if isinstance(statement, p.Else):
        return _refused(statement.right, usual)  # a refusal on the left leads there
    if isinstance(statement, p.Try):
        return _refused(statement.handler, usual)
    if isinstance(statement, p.Group) and statement.kind in ("any", "none"):
        return statement.kind == "none" or all(_refuses(each, usual) for each in statement.body.statements)
    if isinstance(statement, p.Invoke) and statement.card.failures:
        return True
    if isinstance(statement, p.Match) and statement.orelse is None and not isinstance(statement, p.Split):
        return True
    if isinstance(statement, p.Let):
        return not statement.optional and any(part.type.optional for part in parts(statement.value))
    if isinstance(statement, (p.Require, p.Fail)):
        return True
    return any(_refused(block, usual) for block in blocks(statement))


def _may_be_away(statement: p.Statement) -> bool:
    if isinstance(statement, p.Invoke):
        return statement.card.answers or (statement.card.waits and not calls(statement, "compress"))
    return isinstance(statement, p.Fail)
