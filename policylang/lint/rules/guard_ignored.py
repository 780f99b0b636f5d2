"""A guard whose refusal changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import LIMITS
from policylang.lint.look import calls, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.tree.facts import binds, writes

_GUARDS = (*LIMITS, "lockout", "not_replayed", "allow_ip", "deny_ip")


class GuardIgnored(Rule):
    """A limit or a check refuses, and the request goes on as if nothing had been.

    `ignore` swallows the refusal. To see what a limit would do write `log_only: true`, which is counted in the metrics;
    to go on when the store is away write what shall happen then: `when_down`.

        rate_limit 10/s, per: client.ip else ignore
        route orders
    ==
        rate_limit 10/s, per: client.ip
        route orders
    """

    name: ClassVar[str] = "guard-ignored"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        tried: list[tuple[p.Statement, ...]]
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Else):
                tried = [(statement.left,)]
                handler = statement.right
            elif isinstance(statement, p.Try):
                tried, handler = [statement.body.statements], statement.handler
            elif isinstance(statement, p.Group) and statement.kind == "any":
                tried = [(each,) for each in statement.body.statements[:-1]]
                handler = p.Block(statement.span, statement.body.statements[-1:])
            else:
                continue
            for guard in map(_last, tried):
                told = isinstance(guard, p.Require) and len(handler.statements) > 1  # what is not so may be noted
                if guard is not None and not told and _swallows(handler):
                    yield Finding(
                        guard.span, "what this refuses goes on all the same",
                        labels=[Label(handler.statements[-1].span, "swallowed here")],
                        help="leave the `ignore` out, or try the limit with `log_only: true`",
                    )  # fmt: skip


def _last(tried: tuple[p.Statement, ...]) -> p.Statement | None:
    """A guard behind which nothing is tried: else it may guard that alone, such as a copy of one request in ten."""
    if len(tried) == 1 and isinstance(tried[0], p.Require):
        return tried[0]
    found = [each for outer in tried for each in within(outer)]
    guards = [each for each in found if calls(each, *_GUARDS)]
    idle = all(isinstance(each, (p.Require, p.Expand, p.Group)) or calls(each, "log", *_GUARDS) for each in found)
    return guards[0] if guards and idle and writes(*tried).nothing and not binds(*tried) else None


def _swallows(handler: p.Block) -> bool:
    """Whether it ends with `ignore`, and leaves nothing behind that could be asked about later."""
    if not handler.statements or not isinstance(handler.statements[-1], p.Ignore):
        return False
    return writes(*handler.statements).nothing and not binds(*handler.statements) and not any(
        isinstance(each, (p.Fail, p.Respond)) or (isinstance(each, p.Invoke) and not each.card.observes)
        for outer in handler.statements for each in within(outer)
    )  # fmt: skip
