"""Edits that leave a tidy text: what is taken out takes its line with it, and no comment is lost."""

from __future__ import annotations

import re

from policylang.check import program as p
from policylang.diagnostics import Edit, Fix
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse


def fix(title: str, *edits: Edit | None, safe: bool = False) -> Fix | None:
    """A fix of edits that can all be made; None where one cannot."""
    made = tuple(each for each in edits if each is not None)
    return Fix(title, made, safe) if made and len(made) == len(edits) else None


def commented(file: n.File, span: Span) -> bool:
    """Whether a comment begins inside of a span."""
    return "#" in span.text and any(span.start <= each.span.start < span.end for each in file.comments)


def in_key(statement: p.Statement, span: Span) -> bool:
    """Whether a place belongs to a key, whose text says which counter, entry or arm is meant: a fix there is not
    safe."""
    if isinstance(statement, p.Split):
        keys = [statement.subject]
    elif isinstance(statement, p.Invoke):
        keys = [each.value for each in statement.args if each.param.types[0].name == "key"]
    else:
        return False
    return any(each.span.start <= span.start < each.span.end for each in keys)


def loose(expr: p.Expr) -> bool:
    """Whether it is written with an operator, so that it may need parentheses in another place; what is folded has only
    its text to say so."""
    file, _ = parse(Source("part", f"let part = ({expr.span.text})"))
    declared = file.declarations[0] if file.declarations else None
    return not isinstance(declared, n.Constant) or isinstance(declared.value, (n.Unary, n.Binary, n.Conditional))


def without_statement(file: n.File, block: n.Block, statement: n.Statement) -> Edit | None:
    """Take out a statement with its lines. None where it is all that its block holds, where it shares a line, or a
    comment stands in its midst."""
    if len(block.statements) < 2 or commented(file, statement.span):
        return None
    return _without_lines(statement.span, statement.span.start)


def without_declaration(declaration: n.Declaration) -> Edit | None:
    """Take out a declaration, with the comments that document it and the one at its end."""
    text = declaration.span.source.text
    start = text.rfind("\n", 0, declaration.span.start) + 1
    while declaration.doc and start and _line_before(text, start).lstrip().startswith("#"):
        start -= len(_line_before(text, start))
    return _without_lines(declaration.span, start, True)


def _without_lines(span: Span, start: int, with_end: bool = False) -> Edit | None:
    """`start`: where its first line begins, which may be a comment above it. `with_end`: the last line goes whole."""
    text = span.source.text
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", span.end)
    last = len(text) if last < 0 else last
    behind = text[span.end : last]
    if text[first:start].strip():
        return None
    if behind.strip() and not (with_end and behind.lstrip().startswith("#")):
        # A comment at the end of the line stays, on a line of its own.
        kept = span.end + len(behind) - len(behind.lstrip())
        return Edit(Span(span.source, start, kept), "") if text[kept] == "#" else None
    last = min(last + 1, len(text))
    above = _line_before(text, first)
    below = text[last : text.find("\n", last) + 1]
    if below and not below.strip() and (not above.strip() or above.rstrip().endswith("{")):
        last += len(below)
    elif above and not above.strip() and (text[last:].lstrip(" \t")[:1] in ("}", "")):
        first -= len(above)
    return Edit(Span(span.source, first, last), "")


def _line_before(text: str, start: int) -> str:
    return text[text.rfind("\n", 0, max(start - 1, 0)) + 1 : start] if start else ""


def without_argument(args: tuple[n.Argument, ...], index: int, head: Span) -> Edit | None:
    """Take out one argument of a call with its comma; `head` is what stands before the first. None where more than
    commas stands between it and its neighbours."""
    source, gone = head.source, args[index].span
    before = args[index - 1].span.end if index else head.end
    if source.text[before : gone.start].strip() != ("," if index else ""):
        return None
    if index or len(args) == 1:
        return Edit(Span(source, before, gone.end), "")
    following = args[1].span.start
    return Edit(Span(source, gone.start, following), "") if source.text[gone.end : following].strip() == "," else None


def unwrapped(file: n.File, whole: Span, block: n.Block) -> Edit | None:
    """Put what a block holds in the place of the statement around it. None where text would move that must not, or a
    comment would come before or behind other text of its line."""
    source = whole.source
    inner = source.text[block.span.start + 1 : block.span.end - 1]
    outside = (Span(source, whole.start, block.span.start), Span(source, block.span.end, whole.end))
    if '"""' in inner or any(commented(file, each) for each in outside) or not block.statements:
        return None
    if "\n" not in inner:
        return Edit(whole, inner.strip())
    line = source.line(whole.line)
    ends_in_comment = "#" in source.text[block.statements[-1].span.end : block.span.end]
    if inner.lstrip().startswith("#") and line[: whole.column - 1].strip():
        return None
    if ends_in_comment and source.text[whole.end :].partition("\n")[0].strip():
        return None
    deeper = block.statements[0].span.column - whole.column
    return Edit(whole, outdented(inner.strip(), deeper))


def outdented(text: str, columns: int) -> str:
    """Every line but the first further to the left."""
    return re.sub(rf"\n {{0,{max(columns, 0)}}}", "\n", text)


__all__ = [
    "commented", "fix", "in_key", "loose", "outdented", "unwrapped", "without_argument", "without_declaration",
    "without_statement",
]  # fmt: skip
