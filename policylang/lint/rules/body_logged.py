"""A whole body in the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule

_WHOLE = ("text", "body", "json")


class BodyLogged(Rule):
    """A body that is written to the log is held in memory for it, and what is in it lies there for all who read logs.

    A line is cut after 4 KiB, so that of a large body the beginning is left. Log what tells requests apart: an id, a
    size, one member.

        log "ordered: ${request.text}"
        route orders
    ==
        log "ordered by ${request.header["X-Client"] ?? "nobody"}"
        route orders
    """

    name: ClassVar[str] = "body-logged"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            text = argument(visit.statement, "text") if calls(visit.statement, "log") else None
            if text is not None:
                for part in text.parts if isinstance(text, p.Template) else (text,):
                    if isinstance(part, p.Expr) and _whole(part):
                        yield Finding(
                            part.span, f"`{text_of(part)}` is all of a body", help="log a part of it that is known",
                        )  # fmt: skip


def _whole(expr: p.Expr) -> bool:
    if isinstance(expr, p.FunctionCall) and expr.card.name in ("json", "string"):
        return _whole(expr.args[0])
    return isinstance(expr, p.MessageField) and expr.field in _WHOLE
