"""Blocks that are not run for every request that their assertion lets pass: what must not stand in them.

`skipped-check`: who somebody is is asked where it may not be asked at all. `unkeyed-input`: the answer is chosen by
something that its key does not tell apart, so that others would get it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TypeAlias

from policylang.check import program as p
from policylang.check.walk import Walk
from policylang.diagnostics import Label
from policylang.syntax import nodes as n

_IDENTITY = "identity"
"""The group of assertions that say who somebody is, or where from."""

Input: TypeAlias = tuple[str, str]
"""`header` or `cookie` and the name, or `client` and the field."""


def check_skipped(walk: Walk, node: n.Call, bound: Sequence[p.Bound], block: p.Block) -> None:
    told: set[Input] = set()
    for each in bound:
        if each.param.name == "vary" and isinstance(each.value, p.Const):
            told |= {("header", str(name).lower()) for name in each.value.value or ()}
        elif each.param.types[0].name == "key":
            told |= {found for part in _parts(each.value) if (found := _input(part)) is not None}
    for inner in _parts(block):
        if isinstance(inner, p.Invoke) and (inner.card.group == _IDENTITY or "user" in inner.card.effects):
            walk.error(
                "skipped-check", inner.span, f"`{inner.card.name}` is not asked for what `{node.name}` answers itself",
                labels=[Label(node.name_span, "an answer from here passes without its block")],
                help=f"put it before `{node.name}`",
            )  # fmt: skip
        for expr in _deciding(inner):
            for part in _parts(expr):
                found = _input(part)
                if found is not None and found not in told and isinstance(part, p.Expr):
                    told.add(found)
                    _unkeyed(walk, node, part)


def _unkeyed(walk: Walk, node: n.Call, part: p.Expr) -> None:
    text = part.span.text
    cure = f"`key: {text}`"
    if isinstance(part, p.Named) and part.kind == "header" and isinstance(part.key, p.Const):
        cure = f'`vary: ["{part.key.value}"]`'
    walk.error(
        "unkeyed-input", part.span, f"the answer is chosen by `{text}`, which its key does not tell apart",
        labels=[Label(node.name_span, "what is kept here is for all who ask with one key")],
        help=f"give `{node.name}` {cure}, or choose before it",
    )  # fmt: skip


def _deciding(statement: object) -> Iterator[p.Expr]:
    """By what a statement chooses an answer."""
    if isinstance(statement, p.Invoke) and statement.card.answers:
        for each in statement.args:
            yield each.value
    elif isinstance(statement, p.If):
        for condition, _ in statement.arms:
            yield condition
    elif isinstance(statement, p.Match) and isinstance(statement.subject, p.Expr):
        yield statement.subject


def _input(part: object) -> Input | None:
    """What of a request is neither in every key nor its body."""
    if isinstance(part, p.Named) and part.message == "request" and part.kind in ("header", "cookie"):
        return (part.kind, str(part.key.value).lower()) if isinstance(part.key, p.Const) else None
    if isinstance(part, p.ContextValue) and part.root == "client":
        return ("client", part.field)
    return None


def _parts(found: object) -> Iterator[object]:
    """Every statement and expression in what was checked, in the order of the text."""
    if isinstance(found, tuple):
        for each in found:
            yield from _parts(each)
    elif isinstance(found, (p.Statement, p.Expr, p.Block, p.Case, p.Bound)):
        yield found
        for field in fields(found):
            if field.name not in ("card", "param", "span", "type"):
                yield from _parts(getattr(found, field.name))
