"""A text that will never be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import parts
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule


class MaskedText(Rule):
    """A line of the log or an answer reads `[private]`, as a private value is in it.

    The whole text is hidden, not the private part alone: what else it was to say is lost. Leave the private value out,
    or say of a part of it that it may be shown.

        log "no session ${request.cookie.sid} for ${client.ip}"
    ==
        log "no session for ${client.ip}"
    """

    name: ClassVar[str] = "masked-text"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for value in _shown(visit.statement):
                if value.private:
                    inner = [part for part in parts(value) if part.private and part is not value]
                    culprit = min(inner, key=lambda part: part.span.end - part.span.start, default=None)
                    labels = [] if culprit is None else [Label(culprit.span, "this is private")]
                    yield Finding(
                        value.span, "this reads `[private]`, and nothing else", labels=labels,
                        help="leave the private value out, or show a part of it: `reveal(…)`",
                    )  # fmt: skip


def _shown(statement: p.Statement) -> Iterator[p.Expr]:
    if isinstance(statement, p.Invoke):
        yield from (bound.value for bound in statement.args if bound.param.shown)
    elif isinstance(statement, p.Respond):
        yield from (each for each in (statement.body, statement.json) if each is not None)
    elif isinstance(statement, p.Fail):
        yield from (each for each in (statement.detail, statement.title) if each is not None)
