"""A case or branch whose values an earlier one takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from policylang.check import program as p
from policylang.check.fold import same
from policylang.lint.likeness import shape
from policylang.lint.look import text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule


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
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Match) and not isinstance(statement, p.Split):
                patterns = [each for case in statement.cases for each in case.patterns]
                for each, first in _taken(patterns):
                    yield _finding(each, first, "this case")
            elif isinstance(statement, p.If):
                tests = [_test(condition) for condition, _ in statement.arms]
                for place, (condition, _) in enumerate(statement.arms):
                    one = next((at for at in range(place) if _implied(tests[at], tests[place])), None)
                    if one is not None:
                        yield _finding(condition, statement.arms[one][0], "this branch")


def _taken(patterns: list[p.Const]) -> Iterator[tuple[p.Const, p.Const]]:
    """The patterns that an earlier one takes, with that one. Texts are looked up: there may be thousands of them."""
    texts: dict[str, p.Const] = {}
    others: list[tuple[p.Const, tuple[float, float] | None]] = []
    for each in patterns:
        value = each.value
        if isinstance(value, str):
            first = texts.setdefault(value, each)
        else:
            extent = _extent(value)
            first = next(
                (one for one, wide in others
                 if (wide is None or extent is None or wide[0] <= extent[0] <= wide[1]) and _takes(one.value, value)),
                each,
            )  # fmt: skip
            others.append((each, extent))
        if first is not each:
            yield each, first


def _extent(value: Any) -> tuple[float, float] | None:
    """The least and the greatest number that a pattern takes."""
    return (value, value) if _number(value) else _bounds(value)


def _finding(expr: p.Expr, first: p.Expr, what: str) -> Finding:
    return Finding(
        expr.span, f"{what} is never taken", label=f"`{text_of(first)}` takes it", labels=[Label(first.span, "here")],
        help="put the narrower one first, or leave it out",
    )  # fmt: skip


def _takes(wide: Any, narrow: Any) -> bool:
    """Whether the first pattern takes every value of the second."""
    bounds = _bounds(wide)
    if bounds is None:
        return _bounds(narrow) is None and type(wide) is type(narrow) and same(wide, narrow)
    inner = _bounds(narrow) or ((narrow, narrow) if _number(narrow) else None)
    if inner is None or not bounds[0] <= inner[0] <= inner[1] <= bounds[1]:
        return False
    return not isinstance(wide, range) or not isinstance(narrow, tuple)


def _bounds(pattern: Any) -> tuple[float, float] | None:
    if isinstance(pattern, range):
        return (pattern[0], pattern[-1])
    return pattern if isinstance(pattern, tuple) and len(pattern) == 2 else None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_Test = tuple[object, str, Any]


def _test(condition: p.Expr) -> _Test | None:
    """What is compared, how, and with which constant."""
    if not isinstance(condition, p.BinaryOp) or not isinstance(condition.right, p.Const):
        return None
    return None if isinstance(condition.left, p.Const) else (shape(condition.left), condition.op, condition.right.value)


def _implied(wide: _Test | None, narrow: _Test | None) -> bool:
    """Whether the first is true wherever the second is; a condition that is repeated is another rule's."""
    if wide is None or narrow is None or wide[0] != narrow[0] or wide == narrow:
        return False
    (_, op, bound), (_, other, value) = wide, narrow
    if op in ("starts_with", "ends_with") and isinstance(bound, str) and isinstance(value, str):
        if other not in (op, "=="):
            return False
        return value.startswith(bound) if op == "starts_with" else value.endswith(bound)
    if op == "in" and isinstance(bound, list):
        values = value if other == "in" and isinstance(value, list) else [value] if other == "==" else None
        return values is not None and all(any(same(one, each) for one in bound) for each in values)
    if not (_number(bound) and _number(value)):
        return False
    if op in (">", ">="):
        return (other in (">", ">=", "==") and value > bound) or (
            value == bound and (other == ">" or (op == ">=" and other == "=="))
        )
    if op in ("<", "<="):
        return (other in ("<", "<=", "==") and value < bound) or (
            value == bound and (other == "<" or (op == "<=" and other == "=="))
        )
    return False
