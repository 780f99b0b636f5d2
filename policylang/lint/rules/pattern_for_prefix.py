"""A pattern where text is compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix, in_key
from policylang.lint.look import expressions
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.syntax.phrase import quoted

_SIGNS = frozenset(".*+?()[]{}|^$")


class PatternForPrefix(Rule):
    """A pattern without a wildcard says with signs what `starts_with`, `ends_with` and `==` say in words, for less.

        require path.id matches r"^EU-"
    ==
        require path.id starts_with "EU-"
    """

    name: ClassVar[str] = "pattern-for-prefix"
    category: ClassVar[Category] = "performance"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr in expressions(visit.statement):
                if not (isinstance(expr, p.BinaryOp) and expr.op == "matches" and isinstance(expr.right, p.Const)):
                    continue
                better = _better(str(expr.right.value))
                if better is None:
                    continue
                source = expr.span.source
                at = source.text.find("matches", expr.left.span.end, expr.right.span.start)
                left = source.text[expr.span.start : at].rstrip()
                named = not expr.right.span.text.startswith(('"', 'r"'))  # a constant has its name for a reason
                text = f"{left} {better[0]} {quoted(better[1])}"
                known = expr.left.type.name == "string" and not expr.left.type.optional
                yield Finding(
                    expr.span, f"this pattern is what `{better[0]}` says", help=f"write `{better[0]}`",
                    fix=fix(
                        f"write `{better[0]}`", None if named or "\n" in text else Edit(expr.span, text),
                        safe=(known or better[0] != "==") and not in_key(visit.statement, expr.span),
                    ),
                )  # fmt: skip


def _better(pattern: str) -> tuple[str, str] | None:
    """The operator and the text; a pattern that is held nowhere is left to those who ask what it was meant to be."""
    start, end = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    if start and not end:
        pattern = pattern.removesuffix(".*")
    elif end and not start:
        pattern = pattern.removeprefix(".*")
    text = _literal(pattern[1 if start else 0 : -1 if end else None])
    if not text or not (start or end):
        return None
    return ("==" if start and end else "starts_with" if start else "ends_with"), text


def _literal(pattern: str) -> str | None:
    """The one text that it matches; None where there are others."""
    found, rest = "", iter(pattern)
    for char in rest:
        if char == "\\":
            char = next(rest, "")
            if not char or char.isalnum() or not char.isascii():
                return None
        elif char in _SIGNS:
            return None
        found += char
    return found
