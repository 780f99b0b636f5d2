"""A case or branch whose values an earlier one takes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import expressions, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import agreed
from policylang.lint.wider import Form, extent, form, shadows, subjects, takes
from policylang.source import Span

_LOOKED_AT = 64
"""Conditions about one thing that a later one is held against, the first of a chain."""


class ShadowedCase(Rule):
    """A case of a `match`, or a branch of an `if`, that an earlier one always takes.

    It looks as if it did something, and never does. The narrow one stands first.

        route orders
        if response.status >= 400 {
            log "refused"
        } else if response.status >= 500 {
            log "broken", level: error
        }
    ==
        route orders
        if response.status >= 500 {
            log "broken", level: error
        } else if response.status >= 400 {
            log "refused"
        }
    """

    name: ClassVar[str] = "shadowed-case"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_found(policy))


def _found(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    inner: set[int] = set()
    for visit in policy.visits:
        statement = visit.statement
        chains = [list(_chain(statement, inner))] if isinstance(statement, p.If) and id(statement) not in inner else []
        if isinstance(statement, p.Match) and not isinstance(statement, p.Split):
            patterns = [each for case in statement.cases for each in case.patterns]
            firsts = {id(each): first for each, first in _taken(patterns)}
            for pattern in patterns:
                yield pattern.span, _finding(pattern, firsts.get(id(pattern)), "this case")
        for expr in expressions(statement):
            if isinstance(expr, p.IfExpr) and id(expr) not in inner:
                chains.append([])
                each: p.Expr = expr
                while isinstance(each, p.IfExpr):
                    inner.add(id(each))
                    chains[-1].append(each.condition)
                    each = each.orelse
        for chain in chains:
            above: dict[Hashable, list[tuple[Form, p.Expr]]] = {}
            for condition in chain:
                narrow = form(condition)
                alike = [each for about in subjects(narrow) for each in above.get(about, ())[:_LOOKED_AT]]
                first = min((one for wide, one in alike if shadows(wide, narrow)), key=_start, default=None)
                yield condition.span, _finding(condition, first, "this branch")
                for about in subjects(narrow):
                    above.setdefault(about, []).append((narrow, condition))


def _start(expr: p.Expr) -> int:
    return expr.span.start


def _chain(statement: p.If, inner: set[int]) -> Iterator[p.Expr]:
    """The conditions of an `if`, also of one that is all of its `else`; these are noted in `inner`."""
    inner.add(id(statement))
    yield from (condition for condition, _ in statement.arms)
    rest = () if statement.orelse is None else statement.orelse.statements
    if len(rest) == 1 and isinstance(rest[0], p.If):
        yield from _chain(rest[0], inner)


def _taken(patterns: list[p.Const]) -> Iterator[tuple[p.Const, p.Const]]:
    """The patterns that an earlier one takes, with that one. Texts are looked up: there may be thousands of them."""
    texts: dict[str, p.Const] = {}
    others: list[tuple[p.Const, tuple[float, float] | None]] = []
    for each in patterns:
        value = each.value
        if isinstance(value, str):
            first = texts.setdefault(value, each)
        else:
            reach = extent(value)
            first = next(
                (one for one, wide in others
                 if (wide is None or reach is None or wide[0] <= reach[0] <= wide[1]) and takes(one.value, value)),
                each,
            )  # fmt: skip
            others.append((each, reach))
        if first is not each:
            yield each, first


def _finding(expr: p.Expr, first: p.Expr | None, what: str) -> Finding | None:
    return None if first is None else Finding(
        expr.span, f"{what} is never taken", label=f"`{text_of(first)}` takes it", labels=[Label(first.span, "here")],
        help="put the narrower one first, or leave it out",
    )  # fmt: skip
