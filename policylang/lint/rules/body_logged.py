"""A whole body in the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit, argument, calls
from policylang.lint.origins import children
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import meaning


class BodyLogged(Rule):
    """The whole body of a request is written into the log.

    Bodies hold passwords, card numbers and what people say of themselves; logs are kept, copied and read by many. Log
    the part that is of use.

        log "refused: ${request.text}", level: warning
    ==
        log "refused: an order of ${request.size}", level: warning
    """

    name: ClassVar[str] = "body-logged"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            text = argument(visit.statement, "text") if calls(visit.statement, "log") else None
            whole = None if text is None or text.private else _whole(policy, visit, text)
            if whole is not None:
                yield Finding(
                    whole.span, "whatever somebody sends is kept in the log",
                    help="log the part that is of use, such as `request.json.id`",
                )  # fmt: skip


def _whole(policy: Policy, visit: Visit, text: p.Expr) -> p.Expr | None:
    """Where all of a body is made text of; a member of it is a part, and so is what a function finds in it."""
    waiting: list[tuple[p.Expr, p.Expr | None]] = [(text, None)]
    seen: set[int] = set()
    while waiting:
        expr, name = waiting.pop()
        meant = meaning(policy, visit.service, expr)
        if meant is not expr:
            name = name or expr
        if id(meant) in seen or (isinstance(meant, p.FunctionCall) and meant.card.name != "json"):
            continue
        seen.add(id(meant))
        if isinstance(meant, p.MessageField) and meant.message == "request" and meant.field in ("text", "body", "json"):
            return name or meant
        waiting += [(each, name) for each in children(meant)]
    return None
