"""`else if` after `else if`, each comparing the same value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.source import Span

_FEWEST = 3


class ChainOfIfs(Rule):
    """Three conditions and more that compare one value with constants are a `match`.

    A `match` works the value out once, shows that one case is taken, and refuses with 403 what has none, unless `else`
    says otherwise. Limits in its arms share a counter, so that a client who changes its tier keeps its count.

        let kind = request.header["X-Kind"] ?? ""
        if kind == "a" {
            log "a"
        } else if kind == "b" {
            log "b"
        } else if kind in ["c", "d"] {
            log "c or d"
        }
    ==
        match request.header["X-Kind"] ?? "" {
            "a"      -> log "a"
            "b"      -> log "b"
            "c", "d" -> log "c or d"
            else     -> ignore
        }
    """

    name: ClassVar[str] = "chain-of-ifs"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            node = visit.statement
            if isinstance(node, p.If) and len(node.arms) >= _FEWEST:
                subjects = {_subject(condition) for condition, _ in node.arms}
                if len(subjects) == 1 and None not in subjects:
                    text = subjects.pop()
                    first = node.arms[0][0].span
                    yield Finding(
                        Span(first.source, node.span.start, first.end),
                        f"{len(node.arms)} conditions compare `{text}`",
                        help=f"write `match {text} {{ … }}`, with `else -> ignore` where none of them may be",
                    )  # fmt: skip


def _subject(condition: p.Expr) -> str | None:
    """The text of what is compared with a constant."""
    if isinstance(condition, p.BinaryOp):
        if condition.op in ("==", "in") and isinstance(condition.right, p.Const) and _matched(condition.right):
            return text_of(condition.left)
        if condition.op == "==" and isinstance(condition.left, p.Const):
            return text_of(condition.right)
        if condition.op == "or":
            left, right = _subject(condition.left), _subject(condition.right)
            return left if left == right else None
    return None


def _matched(const: p.Const) -> bool:
    """Whether it can be a pattern, or several written out."""
    return const.type.name != "map" and (const.type.name != "list" or const.span.text.startswith("["))
