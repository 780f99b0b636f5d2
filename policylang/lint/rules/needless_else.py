"""An `else` behind a block that nothing leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.edits import commented, fix, outdented
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Label, Rule, Severity
from policylang.lint.written import Written, ends
from policylang.source import Span
from policylang.syntax import nodes as n


class NeedlessElse(Rule):
    """After a block that answers or fails, what follows needs no `else` around it.

    The way that most requests take then stands at the margin. An `else` of one statement is left as it is, where both
    ways are short; one with nothing in it, or with `ignore` alone, says what is so without it.

        if path.id == "0" {
            fail 404
        } else {
            set request.header["X-Id"] = path.id
            route orders
        }
    ==
        if path.id == "0" {
            fail 404
        }
        set request.header["X-Id"] = path.id
        route orders
    """

    name: ClassVar[str] = "needless-else"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for each in policy.written:
            node = each.statement
            if not isinstance(node, n.If) or node.orelse is None:
                continue
            inner = node.orelse.statements
            word = _word(node, node.orelse)
            if not inner or (len(inner) == 1 and isinstance(inner[0], n.Ignore)):
                gone = Span(word.source, node.arms[-1].body.span.end, node.span.end)
                edit = None if commented(each.file, gone) else Edit(gone, "")
                yield Finding(
                    word, "this `else` says what is so without it", help="take it out",
                    fix=fix("take out the `else`", edit, safe=True),
                )  # fmt: skip
            elif each.in_turn and each.block.braced and len(inner) > 1 and all(ends(arm.body) for arm in node.arms):
                yield Finding(
                    word, "nothing leads from the block above to what follows", help="write it without `else`",
                    labels=[Label(node.arms[-1].body.statements[-1].span, "it ends here")], fix=_fix(each, node),
                )  # fmt: skip


def _word(node: n.If, orelse: n.Block) -> Span:
    source = node.span.source
    start = source.text.rfind("else", node.arms[-1].body.span.end, orelse.span.start)
    return Span(source, start, start + len("else"))


def _fix(each: Written, node: n.If) -> Fix | None:
    orelse = node.orelse
    assert orelse is not None
    source = node.span.source
    last = node.arms[-1].body.span
    inner = source.text[orelse.span.start + 1 : orelse.span.end - 1]
    between = Span(source, last.end, orelse.span.start)
    if "\n" not in inner or '"""' in inner or commented(each.file, between) or not inner.startswith("\n"):
        return None
    margin = " " * (node.span.column - 1)
    deeper = orelse.statements[0].span.column - node.span.column
    gone = Span(source, last.end, node.span.end)
    return fix("write it without `else`", Edit(gone, f"\n{margin}{outdented(inner.strip(), deeper)}"), safe=True)
