"""An answer that is held as a whole to see how long it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.costs import holds
from policylang.lint.look import expressions, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.sdk.static_types import BODY_FIELDS
from policylang.tree.facts import RESPONSE


class ResponseHeld(Rule):
    """To know how long an answer is, the whole of it is read into memory.

    It no longer streams: the client gets its first byte when the gateway has the last. `limit_size response` bounds an
    answer as it passes, the access log has the bytes of each, and `Content-Length` says it beforehand where the
    upstream does.

        route orders
        log "sent ${response.size}"
    ==
        route orders
        log "sending ${response.header["Content-Length"] ?? "who knows how much"}"
    """

    name: ClassVar[str] = "response-held"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services:
            measured: list[p.Expr] = []
            read = False
            for visit in (*policy.visits_of(None), *policy.visits_of(service)):
                if holds(visit.statement) & RESPONSE:
                    own = list(_measured(visit.statement))
                    measured += own
                    read = read or not own or _reads(visit.statement) > len(own)
            if not read:
                for expr in measured:
                    yield Finding(
                        expr.span, f"the whole answer is held for `{text_of(expr)}`",
                        help="bound it with `limit_size response, …`, or ask its `Content-Length`",
                    )  # fmt: skip


def _measured(statement: p.Statement) -> Iterator[p.Expr]:
    for expr in expressions(statement):
        size = isinstance(expr, p.MessageField) and (expr.message, expr.field) == ("response", "size")
        if size or (isinstance(expr, p.FunctionCall) and expr.card.name == "length" and _body(expr.args[0])):
            yield expr


def _reads(statement: p.Statement) -> int:
    """How often it reads anything of the answer's body."""
    return sum(_body(expr) for expr in expressions(statement))


def _body(expr: p.Expr) -> bool:
    if isinstance(expr, p.MessageRef):
        return expr.message == "response"
    return isinstance(expr, p.MessageField) and expr.message == "response" and expr.field in BODY_FIELDS
