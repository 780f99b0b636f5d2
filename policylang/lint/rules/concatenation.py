"""Text that is put together with `+`."""

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


class Concatenation(Rule):
    """Text with values in it is one string with `${…}`.

    The pieces of a `+` do not show what comes of them, least of all where a space belongs. A value of JSON that is no
    text fails with `+` and is written out in a string.

        set request.header["X-Caller"] = "id=" + path.id + ";kind=plain"
    ==
        set request.header["X-Caller"] = "id=${path.id};kind=plain"
    """

    name: ClassVar[str] = "concatenation"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            inner: set[int] = set()
            for expr in expressions(visit.statement):
                if not _joins(expr) or id(expr) in inner:
                    continue
                pieces = list(_pieces(expr, inner))
                if any(piece.span.text[:1] in ('"', "r") and piece.span.text[-1:] == '"' for piece in pieces):
                    text = _text(pieces)
                    # what may be `none` fails either way, but not by the same name
                    same = all(piece.type.name == "string" and not piece.type.optional for piece in pieces)
                    yield Finding(
                        expr.span, "this puts text together piece by piece",
                        help="write one string, with the values in `${…}`",
                        fix=fix(
                            "write one string", Edit(expr.span, text) if text is not None else None,
                            safe=same and not in_key(visit.statement, expr.span),
                        ),
                    )  # fmt: skip


def _joins(expr: p.Expr) -> bool:
    return isinstance(expr, p.BinaryOp) and expr.op == "+" and expr.type.name == "string"


def _pieces(expr: p.Expr, inner: set[int]) -> Iterator[p.Expr]:
    if isinstance(expr, p.BinaryOp) and _joins(expr):
        inner.add(id(expr.left))
        inner.add(id(expr.right))
        yield from _pieces(expr.left, inner)
        yield from _pieces(expr.right, inner)
    else:
        yield expr


def _text(pieces: list[p.Expr]) -> str | None:
    """The string that says the same; None where a piece cannot be copied into it."""
    found = ""
    for piece in pieces:
        written = piece.span.text
        if "\n" in written or "#" in written:
            return None
        if written.startswith('"') and isinstance(piece, (p.Const, p.Template)) and not written.startswith('"""'):
            if isinstance(piece, p.Const) and quoted(piece.value) != written:
                return None
            found += written[1:-1]
        elif isinstance(piece, p.Const) and written.startswith('r"'):
            found += quoted(piece.value)[1:-1]
        elif isinstance(piece, p.Const) and not written.isidentifier():
            return None  # folded of several pieces
        else:
            found += "${" + written + "}"
    return f'"{found}"'
