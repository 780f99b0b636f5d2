"""A member that no entry of the map has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.diagnostics.nearest import nearest
from policylang.lint.entries import members_of
from policylang.lint.look import constant, expressions
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.ways import agreed
from policylang.source import Span


class UnknownEntryMember(Rule):
    """What is read of a caller stands in no entry of the map, and one that is nearly called so does.

    It is `none` for everybody, so that all get what `else` gives, or nobody passes. The linter reads the map's file.

        api_key request.header["X-API-Key"], in: map("clients") -> caller
        require caller.contrat == "gold"
        remove request.header["X-API-Key"]
        route orders
    ==
        api_key request.header["X-API-Key"], in: map("clients") -> caller
        require caller.contract == "gold"
        remove request.header["X-API-Key"]
        route orders
    """

    name: ClassVar[str] = "unknown-entry-member"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_found(policy))


def _found(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    for visit in policy.visits:
        for expr in expressions(visit.statement):
            if isinstance(expr, p.MemberOf) and isinstance(expr.key, p.Const):
                yield expr.span, _unknown(policy, visit.service, expr)


def _unknown(policy: Policy, service: p.Service | None, expr: p.MemberOf) -> Finding | None:
    member = constant(expr.key)
    members = members_of(policy, service, expr.base)
    if members is None or not isinstance(member, str) or member in members.values:
        return None
    close = nearest(member, sorted(members.values))
    if close is None:
        return None
    key = expr.key.span
    fix = None
    if key.text in (member, f'"{member}"'):
        fix = Fix(f"write `{close}`", (Edit(key, key.text.replace(member, close)),))
    return Finding(
        expr.span, f"no entry of the map has `{member}`", help=f"did you mean `{close}`?", fix=fix
    )
