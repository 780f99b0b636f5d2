"""What stands in what, by the text alone: a journal names only the statements that ran."""

from __future__ import annotations

from typing import Any

from policylang.check.order import walk_nodes
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse

Place = tuple[int, int, int, int]


def inner_lines(source: Source, part: dict[str, Any]) -> dict[Place, frozenset[int]]:
    """The lines of what stands in each statement of a service, a global block or an assertion: by its line, column,
    last line and last column. Empty where the text is not what it was.
    """
    before = part["line"] - 1
    last = min(part["end_line"], source.line_count)
    text = "\n".join(source.line(number) for number in range(part["line"], last + 1))
    file, wrong = parse(Source(source.name, " " * (part["column"] - 1) + text[part["column"] - 1 :]))
    if wrong:
        return {}
    found = {}
    for node in walk_nodes(file.declarations):
        if isinstance(node, n.Statement):
            line, column, end_line, end_column = _place(node.span)
            inner: set[int] = set()
            for each in walk_nodes(node):
                if isinstance(each, n.Statement) and each is not node:
                    first, _, last, _ = _place(each.span)
                    inner.update(range(before + first, before + last + 1))
            found[before + line, column, before + end_line, end_column] = frozenset(inner)
    return found


def _place(span: Span) -> Place:
    return *span.source.position(span.start), *span.source.position(span.end)
