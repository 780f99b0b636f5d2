"""A statement that was made a comment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
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
_BLOCKS = (n.If, n.Match, n.For, n.Try, n.Group)


class CommentedOut(Rule):
    """A check that was switched off by making it a comment is still off when nobody remembers why.

    What is gone is in the history. To try a limit without enforcing it, there is `log_only: true`. An example below a
    line that ends with a colon is left alone.

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
            for lines in _runs(file):
                if len(lines) > 1 and _is_code("\n".join(each.text[1:] for each in lines)):
                    yield _finding(lines, "these comments are statements that were switched off")
                    continue
                for comment in lines:
                    found = _LINE.fullmatch(comment.text)
                    if found is not None and found["word"] in known and _is_code(found["text"]):
                        yield _finding([comment], f"this comment is a `{found['word']}` that was switched off")


def _runs(file: n.File) -> Iterator[list[n.Comment]]:
    """Comments on lines of their own, those together that stand below one another. What follows a colon explains."""
    run: list[n.Comment] = []
    for each in file.comments:
        if each.own_line:
            if run and each.span.line != run[-1].span.line + 1:
                yield _unexplained(run)
                run = []
            run.append(each)
    yield _unexplained(run)


def _unexplained(run: list[n.Comment]) -> list[n.Comment]:
    return list(takewhile(lambda each: not each.text.rstrip().endswith(":"), run))


def _finding(lines: list[n.Comment], message: str) -> Finding:
    first, last = lines[0].span, lines[-1].span
    text = first.source.text
    start = text.rfind("\n", 0, first.start) + 1
    gone = Edit(Span(first.source, start, min(last.end + 1, len(text))), "")
    return Finding(
        Span(first.source, first.start, last.end), message, help="take it out, or switch it on again",
        fix=fix("take it out", gone),
    )  # fmt: skip


def _is_code(text: str) -> bool:
    """Whether it can only be statements: prose may begin with a word such as `store` or `set`."""
    file, wrong = parse(Source("comment", f"assertion a {{\n{text}\n}}\n"))
    owner = file.declarations[0] if len(file.declarations) == 1 and not wrong else None
    return isinstance(owner, n.AssertionDeclaration) and any(map(_no_prose, owner.body.statements))


def _no_prose(statement: n.Statement) -> bool:
    if isinstance(statement, n.Remove):
        return not isinstance(statement.target, n.Name)
    if isinstance(statement, n.Call):
        return any(arg.name is not None or not isinstance(arg.value, (n.Name, n.Text)) for arg in statement.args)
    if isinstance(statement, n.Require):
        return not isinstance(statement.condition, n.Name)
    return isinstance(statement, (n.Set, n.Let, *_BLOCKS))
