"""A block without a statement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.edits import commented, fix, without_declaration
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.written import held
from policylang.source import Span
from policylang.syntax import nodes as n


class EmptyBlock(Rule):
    """A block without a statement does nothing, and does not say that nothing is meant.

    Where nothing is to be done, `ignore` says so.

        match request.header["X-Kind"] ?? "" {
            "a"  -> route orders
            "b"  -> {}
            else -> fail 400
        }
    ==
        match request.header["X-Kind"] ?? "" {
            "a"  -> route orders
            "b"  -> ignore
            else -> fail 400
        }
    """

    name: ClassVar[str] = "empty-block"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for file in policy.files:
            for each in file.declarations:
                if isinstance(each, n.Global) and not each.body.statements:
                    gone = None if commented(file, each.span) else without_declaration(each)
                    yield _finding(each.body, fix("take it out", gone, safe=True))
                elif isinstance(each, n.AssertionDeclaration) and not each.body.statements:
                    yield _finding(each.body, None)
                elif isinstance(each, n.Service) and each.on_failure is not None and not each.on_failure.statements:
                    yield _finding(each.on_failure, None)
        for found in policy.written:
            node = found.statement
            for block in held(node):
                # An empty `else` is `needless-else`'s.
                if not block.statements and not (isinstance(node, n.If) and block is node.orelse):
                    yield _finding(block, _ignoring(found.file, node, block))


def _finding(block: n.Block, cure: Fix | None) -> Finding:
    source, start = block.span.source, block.span.start
    end = source.text.find("\n", start, block.span.end)
    return Finding(
        Span(source, start, block.span.end if end < 0 else end), "nothing stands in this block",
        help="take it out, or write `ignore` if nothing is meant", fix=cure,
    )  # fmt: skip


def _ignoring(file: n.File, node: n.Statement, block: n.Block) -> Fix | None:
    if commented(file, block.span) or not isinstance(node, (n.If, n.Match, n.Split)):
        return None
    text = "{ ignore }" if isinstance(node, n.If) else "ignore"
    return fix(f"write `{text}`", Edit(block.span, text), safe=True)
