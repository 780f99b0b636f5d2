"""Fields that the gateway writes better itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import fields_written
from policylang.lint.look import constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.rules.forwarded_read import REMOVED

_ITS_OWN = REMOVED | {"host", "via", "x-request-id", "expect"}


class HandMadeFields(Rule):
    """A field is set by hand that the gateway writes itself.

    `RateLimit`, `RateLimit-Policy` and the `Retry-After` of a limit's refusal come from what was counted; a number that
    is written by hand is wrong for nearly everybody. And `Host`, `Via`, `X-Request-ID`, `Forwarded` and the
    `X-Forwarded-` fields of a request are written anew when it is sent: what a policy sets is never sent.

        rate_limit 10/min, per: client.ip else respond 429, header: { "Retry-After": "60" }
        route orders
    ==
        rate_limit 10/min, per: client.ip
        route orders
    """

    name: ClassVar[str] = "hand-made-fields"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for field in fields_written(visit.statement):
                if field.message == "request" and field.name in _ITS_OWN:
                    cure = "give `route` the host: `host: \"…\"`" if field.name == "host" else "leave it out"
                    yield Finding(
                        visit.statement.span, "this is never sent: the gateway writes the field itself", help=cure
                    )
                elif field.message == "response" and (
                    field.name in ("ratelimit", "ratelimit-policy")
                    or (field.name == "retry-after" and _refuses(visit.statement))
                ):  # fmt: skip
                    yield Finding(
                        field.value.span, "this number is made up: the limit's own answer has the right one",
                        help="let the limit refuse, or answer `failure` in `on failure` without a `respond`",
                    )  # fmt: skip


def _refuses(statement: p.Statement) -> bool:
    """Whether it answers in the place of a limit; other answers have times of their own."""
    return isinstance(statement, p.Respond) and constant(statement.status) == 429
