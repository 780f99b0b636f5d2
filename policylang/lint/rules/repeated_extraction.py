"""One path that is looked for twice in one message."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.likeness import shape
from policylang.lint.look import own_expressions, parts, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.tree.facts import blocks, writes

_EXTRACTS = frozenset({"xpath", "jsonpath", "regex"})
_BODY = frozenset({"body", "text", "json", "xml"})
Seen = dict[Hashable, p.Expr]


class RepeatedExtraction(Rule):
    """A body is parsed once, but `xpath`, `jsonpath` and `regex` go through it each time that they are called.

    A name keeps what was found.

        require jsonpath("$.account.id", in: request) != none
        set request.header["X-Account"] = string(jsonpath("$.account.id", in: request)) ?? ""
    ==
        let account = jsonpath("$.account.id", in: request)
        set request.header["X-Account"] = string(account) ?? ""
    """

    name: ClassVar[str] = "repeated-extraction"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for block in (*policy.program.before, *policy.program.after):
            yield from _block(block, {})
        for service in policy.program.services:
            yield from _block(service.body, {})
            if service.on_failure is not None:
                yield from _block(service.on_failure, {})


def _block(block: p.Block, seen: Seen) -> Iterator[Finding]:
    """`seen`: what has been looked for on every way to here; this block adds to it."""
    for statement in block.statements:
        for expr in _first(statement):
            for part in parts(expr):
                if not _extracts(part):
                    continue
                before = seen.setdefault(shape(part), part).span
                if before != part.span:
                    yield Finding(
                        part.span, f"`{text_of(part)}` has been looked for already",
                        labels=[Label(before, "here")], help="keep it under a name: `let name = …`",
                    )  # fmt: skip
        in_turn = isinstance(statement, p.Expand) or (isinstance(statement, p.Group) and statement.kind == "all")
        for inner in blocks(statement):
            yield from _block(inner, seen if in_turn else dict(seen))
        if _changes(statement):
            seen.clear()
        elif isinstance(statement, (p.SetPlace, p.RemovePlace)):
            for key in [key for key, expr in seen.items() if _of_head(expr)]:
                del seen[key]


def _first(statement: p.Statement) -> Iterator[p.Expr]:
    """What it works out whenever it runs: of an `if`, the first condition."""
    if isinstance(statement, p.If):
        yield statement.arms[0][0]
    else:
        yield from own_expressions(statement)


def _extracts(expr: p.Expr) -> bool:
    return isinstance(expr, p.FunctionCall) and expr.card.name in _EXTRACTS


def _of_head(expr: p.Expr) -> bool:
    """Whether it is looked for in a field or another part of a message's head."""
    return any(
        isinstance(part, p.Named) or (isinstance(part, p.MessageField) and part.field not in _BODY)
        for part in parts(expr)
    )  # fmt: skip


def _changes(statement: p.Statement) -> bool:
    """Whether a message's body, or a variable, may be another behind it."""
    if isinstance(statement, (p.SetPlace, p.RemovePlace)):
        place = statement.place
        return isinstance(place, p.SlotPlace) or (isinstance(place, p.FieldPlace) and place.field in _BODY)
    if isinstance(statement, (p.Expand, p.Group)):
        return any(_changes(inner) for inner in statement.body.statements)
    return not writes(statement).nothing

