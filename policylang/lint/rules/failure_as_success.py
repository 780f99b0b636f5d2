"""A refusal that the client is told is a success."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import LIMITS
from policylang.lint.look import authenticates, calls, constant, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import sources
from policylang.tree.facts import bodies

_GUARDS = (*LIMITS, "allow_ip", "deny_ip", "lockout")


class FailureAsSuccess(Rule):
    """Who was refused gets an answer of 200: he does not know it, nor do proxies, caches, metrics and alarms.

    Clients do not slow down that were over a limit, and take what they got for what they asked for.

        rate_limit 10/s, per: client.ip else respond 200, json: { error: "too fast" }
        route orders
    ==
        rate_limit 10/s, per: client.ip else respond 429, json: { error: "too fast" }
        route orders
    """

    name: ClassVar[str] = "failure-as-success"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Else):
                yield from _found(policy, visit.service, (statement.left,), statement.right)
            elif isinstance(statement, p.Try):
                yield from _found(policy, visit.service, statement.body.statements, statement.handler)
            elif isinstance(statement, p.Group) and statement.kind == "any" and statement.body.statements:
                *tried, last = statement.body.statements
                yield from _found(policy, visit.service, tried, p.Block(last.span, (last,)))
        for service in policy.program.services:
            if service.on_failure is not None:
                before = [each for block in policy.program.before for each in block.statements]
                yield from _found(policy, service, (*before, *service.body.statements), service.on_failure)


def _found(
    policy: Policy, service: p.Service | None, tried: Iterable[p.Statement], handled: p.Block
) -> Iterator[Finding]:
    answer = _success(handled)
    if answer is None:
        return
    for guard in (each for statement in tried for each in within(statement)):
        if _guards(guard) or (authenticates(guard) and _of_the_caller(policy, service, guard)):
            yield Finding(
                answer.span, f"who is refused is told {constant(answer.status)}",
                labels=[Label(guard.span, "refused here")],
                help="answer with the failure's own status, or fail: `fail 403`",
            )  # fmt: skip
            return


def _guards(statement: p.Statement) -> bool:
    if isinstance(statement, p.Invoke) and calls(statement, "concurrency_limit") and statement.block is not None:
        return False  # what is spared while too much is under way may well have a lesser answer
    return calls(statement, *_GUARDS)


def _of_the_caller(policy: Policy, service: p.Service | None, statement: p.Statement) -> bool:
    """Not where a token in the body is asked about: that it is none is an answer as good as any (RFC 7662)."""
    assert isinstance(statement, p.Invoke)
    return not any(
        bound.param.positional and bodies(each)
        for bound in statement.args for each in sources(policy, service, bound.value) if isinstance(each, p.Expr)
    )  # fmt: skip


def _success(block: p.Block) -> p.Respond | None:
    """The answer of 2xx that the block gives whatever has failed."""
    for statement in block.statements:
        if isinstance(statement, p.Respond):
            status = constant(statement.status)
            return statement if isinstance(status, int) and 200 <= status <= 299 else None
        if isinstance(statement, (p.If, p.Match)):
            return None  # it decides by something
    return None
