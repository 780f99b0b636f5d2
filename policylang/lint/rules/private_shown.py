"""A private value in an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import LIMITS, fields_written
from policylang.lint.look import text_of
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule

_COUNTED = frozenset({("constant", ""), *(("made", name) for name in (*LIMITS, "rate_limit_status", "quota_status"))})


class PrivateShown(Rule):
    """A private value is written into the answer.

    Messages may carry what is private, so that an upstream can be given its token; in an answer the client gets it. A
    secret of the gateway is nobody else's, and a cookie or token that is sent back in a field or body can be read by
    every script of the page. A token that was just made for this client is not meant, nor is Set-Cookie.

        route orders
        set response.header["X-Session"] = request.cookie.sid
    ==
        route orders
        set response.header["X-Session"] = substring(sha256(reveal(request.cookie.sid)), 0, 8)
    """

    name: ClassVar[str] = "private-shown"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            way = policy.origins.of(visit.service)
            for value in _answered(visit.statement):
                if value.private and not _fresh(way, value) and not _harmless(way, value):
                    yield Finding(
                        value.span, f"the client is shown `{text_of(value)}`, which is private",
                        help="leave it out, or say that it may be shown: `reveal(…)`",
                    )  # fmt: skip


def _answered(statement: p.Statement) -> Iterator[p.Expr]:
    for field in fields_written(statement):
        if field.message == "response" and field.name != "set-cookie":
            yield field.value
    place = statement.place if isinstance(statement, p.SetPlace) else None
    if isinstance(statement, p.SetPlace) and isinstance(place, p.FieldPlace) and place.message == "response":
        yield statement.value


def _harmless(way: Way, value: p.Expr) -> bool:
    """Whether it is what a limit tells, a number that is private for the key it was counted by alone, or a signature,
    which is made to be shown."""
    sources = way.flows(value)
    return sources <= _COUNTED or ("signature", "") in sources


def _fresh(way: Way, value: p.Expr) -> bool:
    """Whether nothing but what was drawn by lot makes it private."""
    sources = way.flows(value)
    return any(kind == "random" for kind, _ in sources) and not any(
        kind in ("secret", "cookie", "stored", "identity", "header") for kind, _ in sources
    )
