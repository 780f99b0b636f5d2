"""A caller that is found out, and never asked about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import sends
from policylang.lint.look import Visit, authenticates, bound, expressions
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.lint.rules.key_forwarded import key_sent


class IdentityUnread(Rule):
    """Who calls is found out, and nothing depends on it.

    No limit counts for that caller, no field tells the upstream, no line of the policy looks at a role or contract:
    whoever has any key may do everything, as often as everybody else. The same holds for certificates that clients may
    show (`client_cert: optional`) and that no statement reads.

        api_key request.header["X-API-Key"], in: map("clients")
        remove request.header["X-API-Key"]
        route orders
    ==
        api_key request.header["X-API-Key"], in: map("clients")
        remove request.header["X-API-Key"]
        rate_limit 10/s, per: user.id
        route orders
    """

    name: ClassVar[str] = "identity-unread"
    category: ClassVar[Category] = "security"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        shared = _reads_user(policy)
        for service in policy.program.services:
            way = policy.origins.of(service)
            last = max((place for place, each in enumerate(way.visits) if sends(each.statement)), default=-1)
            found_out = [
                visit for visit in way.path
                if authenticates(visit.statement) and not shared and way.places[id(visit.statement)] < last
                and not _one_of_several(visit) and not key_sent(policy, way, visit)
            ]  # fmt: skip
            for statement in _unread(way, [visit.statement for visit in found_out]):
                yield Finding(
                    statement.span, "nothing depends on who is found out here",
                    help="count by `user.id`, or tell the upstream: `set request.header[\"X-Client\"] = user.id`",
                )  # fmt: skip
        offered = [
            each for each in policy.listens
            if each.values["client_ca"] is not None and each.values["client_cert"] == "optional"
        ]  # fmt: skip
        if offered and not any(_certificate(expr) for visit in policy.visits for expr in expressions(visit.statement)):
            for listen in offered:
                yield Finding(
                    listen.span, "clients may show a certificate here, and nothing looks at it",
                    help="read `client.cert` in the policy, or demand one: `client_cert: required`",
                )  # fmt: skip


def _one_of_several(visit: Visit) -> bool:
    """Whether the request may go on without it, so that nothing can count on who is found out."""
    return any(isinstance(each, (p.Else, p.Try)) or (isinstance(each, p.Group) and each.kind == "any")
               for each in visit.parents)  # fmt: skip


def _reads_user(policy: Policy) -> bool:
    """Whether what runs for every service, or a balance, reads it."""
    for visit in policy.visits:
        if visit.service is None and any(_user(expr) for expr in expressions(visit.statement)):
            return True
    return any(each.on is not None and "user" in each.on.span.text for each in policy.program.upstreams)


def _unread(way: Way, found_out: list[p.Statement]) -> Iterator[p.Statement]:
    """Those that no other statement reads `user` beside, nor what they give out."""
    if not found_out:
        return
    readers: dict[int | None, list[p.Statement]] = {}
    handed: dict[int, list[int]] = {}  # what an assertion gives out has another name outside
    for visit in way.visits:
        if isinstance(visit.statement, p.Expand):
            for inner, outer in visit.statement.outputs:
                handed.setdefault(inner, []).append(outer)
        for expr in expressions(visit.statement):
            if isinstance(expr, p.SlotRef):
                readers.setdefault(expr.slot, []).append(visit.statement)
            elif _user(expr):
                readers.setdefault(None, []).append(visit.statement)
    for statement in found_out:
        names = [slot for slot, _ in bound(statement)]
        for name in names:  # which grows
            names += [each for each in handed.get(name, ()) if each not in names]
        if not any(each is not statement for name in (None, *names) for each in readers.get(name, ())):
            yield statement


def _user(expr: p.Expr) -> bool:
    return isinstance(expr, p.ContextValue) and expr.root == "user"


def _certificate(expr: p.Expr) -> bool:
    return isinstance(expr, p.ContextValue) and (expr.root, expr.field) == ("client", "cert")
