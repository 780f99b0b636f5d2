"""A statement that was made a comment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.edits import fix
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse

_LINE = re.compile(r"#[ \t]*(?P<text>(?P<word>[a-z_][a-z0-9_.]*) [^#]*[^#\s.])\s*")
_WORDS = frozenset({"set", "remove", "require", "let"})


class CommentedOut(Rule):
    """A check that was switched off by making it a comment is still off when nobody remembers why.

    What is gone is in the history. To try a limit without enforcing it, there is `log_only: true`.

        # rate_limit 10/s, per: client.ip
        route orders
    ==
        rate_limit 10/s, per: client.ip
        route orders
    """

    name: ClassVar[str] = "commented-out"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        known = _WORDS | policy.catalog.assertions.keys()
        for file in policy.files:
            for comment in file.comments:
                found = _LINE.fullmatch(comment.text) if comment.own_line else None
                if found is not None and found["word"] in known and _is_code(found["text"]):
                    yield Finding(
                        comment.span, f"this comment is a `{found['word']}` that was switched off",
                        help="take it out, or switch it on again",
                        fix=fix("take it out", _without(comment)),
                    )  # fmt: skip


def _is_code(text: str) -> bool:
    """Whether it can only be a statement: prose may begin with a word such as `store` or `set`."""
    file, wrong = parse(Source("comment", f"assertion a {{\n{text}\n}}\n"))
    owner = file.declarations[0] if len(file.declarations) == 1 and not wrong else None
    if not isinstance(owner, n.AssertionDeclaration) or len(owner.body.statements) != 1:
        return False
    statement = owner.body.statements[0]
    if isinstance(statement, n.Remove):
        return not isinstance(statement.target, n.Name)
    if isinstance(statement, n.Call):
        return any(arg.name is not None or not isinstance(arg.value, (n.Name, n.Text)) for arg in statement.args)
    return isinstance(statement, (n.Set, n.Let)) or (
        isinstance(statement, n.Require) and not isinstance(statement.condition, n.Name)
    )


def _without(comment: n.Comment) -> Edit:
    text, span = comment.span.source.text, comment.span
    first = text.rfind("\n", 0, span.start) + 1
    return Edit(Span(span.source, first, min(span.end + 1, len(text))), "")
