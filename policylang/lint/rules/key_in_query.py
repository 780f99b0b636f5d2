"""A key in the address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, compared, constant, expressions
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.rules.secret_by_equals import SECRET_MEMBERS

_KNOWN = {("secret", ""), ("constant", "")}


class KeyInQuery(Rule):
    """A caller's key is read from the query.

    Addresses are written into logs, histories, bookmarks and the `Referer` of what is asked next: who reads one of
    them has the key. Take it from a header field.

        api_key request.query.key, in: map("clients") -> caller
        remove request.query.key
        rate_limit 10/s, per: caller.id
        route orders
    ==
        api_key request.header["X-API-Key"], in: map("clients") -> caller
        remove request.header["X-API-Key"]
        rate_limit 10/s, per: caller.id
        route orders
    """

    name: ClassVar[str] = "key-in-query"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            way = policy.origins.of(visit.service)
            key = argument(visit.statement, "key") if calls(visit.statement, "api_key") else None
            for found in [key] if key is not None else _proofs(way, visit.statement):
                if any(kind == "query" for kind, _ in way.flows(found)):
                    yield Finding(
                        found.span, "addresses are written into logs and histories, and this key with them",
                        help='take it from a header field, such as `request.header["X-API-Key"]`',
                    )  # fmt: skip


def _proofs(way: Way, statement: p.Statement) -> Iterator[p.Expr]:
    """What is held against a secret or a password; a signature is for one address only, and may stand in it."""
    for expr in expressions(statement):
        sides = compared(expr)
        for side, other in (sides, sides[::-1]) if sides else ():
            # other constants are no secrets
            proof = side.private or isinstance(expr, p.FunctionCall) or (
                isinstance(side, p.MemberOf) and constant(side.key) in SECRET_MEMBERS
            )
            if proof and way.flows(side) <= _KNOWN and not isinstance(side, p.FunctionCall):
                yield other
