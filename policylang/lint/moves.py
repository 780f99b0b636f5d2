"""Fixes of statements that stand in the wrong place, or have nothing to say there."""

from __future__ import annotations

from policylang.check import program as p
from policylang.diagnostics import Edit, Fix
from policylang.lint.edits import commented, fix, without_argument, without_statement
from policylang.lint.look import nodes
from policylang.lint.policy import Policy
from policylang.lint.written import Written, place_of
from policylang.source import Span
from policylang.syntax import nodes as n

_FURTHEST = 64
"""How many statements one may be moved across: who has more of them moves it by hand."""


def moved(policy: Policy, statement: p.Statement, beside: p.Statement, above: bool) -> Fix | None:
    """Put a statement above or below another of its block. None where comments or other text would be torn apart, and
    where one of those that it passes gives a name to the other."""
    one, other = _written(policy, statement), _written(policy, beside)
    if one is None or other is None or one.block is not other.block or not one.in_turn:
        return None
    passed = one.block.statements[other.index : one.index] or one.block.statements[one.index + 1 : other.index + 1]
    if len(passed) > _FURTHEST or _bound((one.statement,)) & _read(passed) or _bound(passed) & _read((one.statement,)):
        return None
    if commented(one.file, one.statement.span) or _comment_above(one.statement.span):
        return None
    span, text = other.statement.span, one.statement.span.text
    source = span.source
    line = source.line(span.line)
    indent = line[: span.column - 1]
    end = source.position(span.end)
    if indent.strip() or source.line(end[0])[end[1] - 1 :].strip():
        return None
    if above:
        there = Edit(Span(source, span.start, span.start), f"{text}\n{indent}")
    else:
        there = Edit(Span(source, span.end, span.end), f"\n{indent}{text}")
    way = "above" if above else "below"
    return fix(f"move it {way} line {span.line}", there, without_statement(one.file, one.block, one.statement))


def dropped(policy: Policy, statement: p.Statement, title: str) -> Fix | None:
    """Take out a statement that does nothing there. Not safe: what it was to do may be missing."""
    found = _written(policy, statement)
    if found is None or not found.in_turn or _comment_above(found.statement.span):
        return None
    return fix(title, without_statement(found.file, found.block, found.statement))


def without_option(policy: Policy, statement: p.Statement, name: str) -> Fix | None:
    """Take out an argument of a call."""
    found = _written(policy, statement)
    call = found.statement if found is not None else None
    return without_named(call.args, name, call.name_span) if isinstance(call, n.Call) else None


def without_named(args: tuple[n.Argument, ...], name: str, head: Span) -> Fix | None:
    index = next((index for index, each in enumerate(args) if each.name == name), None)
    return fix(f"leave `{name}:` out", without_argument(args, index, head)) if index is not None else None


def _written(policy: Policy, statement: p.Statement) -> Written | None:
    return policy.by_place.get(place_of(statement.span))


def _read(statements: tuple[n.Statement, ...]) -> set[str]:
    return {node.name for node in nodes(statements) if isinstance(node, n.Name)}


def _bound(statements: tuple[n.Statement, ...]) -> set[str]:
    """The names that they give, or change."""
    found = set()
    for node in nodes(statements):
        if isinstance(node, (n.Let, n.Output)):
            found.add(node.name)
        elif isinstance(node, n.Set) and isinstance(node.target, n.Name):
            found.add(node.target.name)
    return found


def _comment_above(span: Span) -> bool:
    """Whether a comment may be about it, which would stay behind."""
    return span.source.line(span.line - 1).lstrip().startswith("#")
