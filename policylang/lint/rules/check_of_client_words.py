"""A check of what anybody may say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.demands import demanded, granted, refuses
from policylang.lint.guards import identifies, open_to_strangers, writes_part
from policylang.lint.look import Visit, constant, parts, text_of
from policylang.lint.origins import Source, Way, named
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule

_ABOUT_ITSELF = frozenset({"user-agent", "referer"})
_HOLDS = frozenset({"==", "in", "contains", "starts_with", "ends_with", "matches"})
_RIGHT = re.compile(r"(?:^|[-_])(?:internal|admin|trusted|bypass|privileged|superuser)(?:[-_]|$)")
_CLAIM = re.compile(
    r"(?:^|[-_])(?:internal|admin|roles?|auth(?:enticated|orized)?|trusted|bypass|privileged|superuser|groups?|scopes?"
    r"|permissions?|user(?!-agent)(?:-?id|name)?)(?:[-_]|$)"
)


class CheckOfClientWords(Rule):
    """On a public service a field that everybody can send decides who may.

    `User-Agent` and `Referer` say what a client wishes to be taken for, and so does a field such as `X-Internal` or
    `X-Role` that nobody has verified. They may choose a page's form, but keep nobody out.

        gateway {
            listen "0.0.0.0:8080"
        }

        service reports "/reports/**" {
            require request.header["X-Internal"] == "yes"
            rate_limit 10/s, per: network_of(client.ip)
            route orders
        }
    ==
        gateway {
            listen "0.0.0.0:8080"
        }

        service reports "/reports/**" {
            allow_ip "10.0.0.0/8"
            rate_limit 10/s, per: network_of(client.ip)
            route orders
        }
    """

    name: ClassVar[str] = "check-of-client-words"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        if not open_to_strangers(policy):
            return
        for service in policy.program.services:
            way = policy.origins.of(service)
            visits = list(way.path)
            if any(identifies(way, visit.statement) for visit in visits):
                continue
            for visit in visits:
                for expr in _decide(visit):
                    claim = _claim(way, expr, isinstance(visit.statement, p.Require))
                    if claim and not any(writes_part(each.statement, *claim) for each in way.before(visit)):
                        yield Finding(
                            expr.span, f"everybody may send `{text_of(expr)}`",
                            help="ask for something that a client cannot make up: a key, a certificate, an address",
                        )  # fmt: skip


def _decide(visit: Visit) -> Iterator[p.Expr]:
    """The parts of messages that a statement holds against what it knows, to let somebody in; what keeps somebody out
    lets nobody in."""
    statement = visit.statement
    cases = statement.cases if isinstance(statement, p.Match) and not isinstance(statement, p.Split) else ()
    if isinstance(statement, p.Match) and not all(refuses(case.body) for case in cases):
        yield from _read(statement.subject)
    for question, answer in (*demanded(visit, either=True), *granted(visit)):
        for part in parts(question):
            if isinstance(part, p.BinaryOp) and part.op in (_HOLDS if answer else ("!=",)):
                for side, other in ((part.left, part.right), (part.right, part.left)):
                    if constant(other) not in (None, ""):
                        yield from _read(side)
            elif isinstance(part, p.FunctionCall) and part.card.name == "bool":
                yield from _read(part)
        if _there(question, answer):
            yield from (part for part in _read(question) if isinstance(part, p.Named) and _RIGHT.search(named(part)[1]))


def _there(question: p.Expr, answer: bool) -> bool:
    """Whether it is enough that something is said."""
    return isinstance(question, p.BinaryOp) and question.op == ("!=" if answer else "==") and any(
        isinstance(side, p.Const) and side.value is None for side in (question.left, question.right)
    )


def _read(expr: p.Expr) -> Iterator[p.Expr]:
    return (part for part in parts(expr) if isinstance(part, (p.Named, p.SlotRef)))


def _claim(way: Way, expr: p.Expr, required: bool) -> Source | None:
    sources = [named(expr)] if isinstance(expr, p.Named) and expr.message == "request" else sorted(way.flows(expr))
    for kind, name in sources:
        if kind == "header" and name in _ABOUT_ITSELF:
            return (kind, name) if required else None
        if (kind == "header" and _CLAIM.search(name)) or (kind == "query" and _RIGHT.search(name.lower())):
            return kind, name
    return None
