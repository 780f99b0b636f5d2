"""What an upstream said when it failed, shown to callers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import constant, parts
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.sdk.static_types import BODY_FIELDS


class UpstreamErrorShown(Rule):
    """The text of an upstream's failure is put into the answer.

    Such texts are for those who run the upstream: they name files, hosts, versions and queries. Say in words of your
    own what is wrong, and log the rest.

        route orders
        if response.status >= 500 { fail 502, "orders said: ${response.text}" }
    ==
        route orders
        if response.status >= 500 {
            log "orders said: ${response.text}", level: warning
            fail 502, "orders cannot be asked now"
        }
    """

    name: ClassVar[str] = "upstream-error-shown"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for value in _said(visit.statement):
                if any(name in BODY_FIELDS for _, name in policy.origins.of(visit.service).texts(value, "response")):
                    read = next((part for part in parts(value) if _body(part)), value)
                    yield Finding(
                        read.span, "callers are shown what the upstream said of its failure",
                        help="log it, and say what is wrong in words of your own",
                    )  # fmt: skip


def _said(statement: p.Statement) -> Iterator[p.Expr]:
    if isinstance(statement, p.Fail):
        status = constant(statement.status)
        if isinstance(status, int) and status < 500:
            return  # what is wrong with a request is said to who has sent it
        yield from (each for each in (statement.detail, statement.title) if each is not None)
    elif isinstance(statement, p.Respond):
        status = constant(statement.status)
        if isinstance(status, int) and status >= 500:
            yield from (each for each in (statement.body, statement.json) if each is not None)


def _body(part: p.Expr) -> bool:
    return isinstance(part, p.MessageField) and part.message == "response" and part.field in BODY_FIELDS
