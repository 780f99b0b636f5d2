"""Which of two conditions, or of two patterns, is true wherever the other one is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from policylang.check import program as p
from policylang.check.fold import same
from policylang.lint.likeness import shape
from policylang.record import record
from policylang.sdk.networks import Networks

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_ORDERS: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_CUT = ("starts_with", "ends_with", "contains")


@record
class Test:
    """What is compared, how, and with which constant; a condition that is no comparison has no operator."""

    subject: Hashable
    op: str = ""
    value: Any = None


@record
class Joined:
    """Conditions with `and` or `or` between them."""

    op: str
    parts: tuple[Form, ...]


Form: TypeAlias = Test | Joined


def form(condition: p.Expr) -> Form:
    if isinstance(condition, p.BinaryOp):
        left, op, right = condition.left, condition.op, condition.right
        if op in ("and", "or"):
            return Joined(op, (form(left), form(right)))
        if isinstance(left, p.Const) and op in _TURNED:
            left, op, right = right, _TURNED[op], left
        if isinstance(right, p.Const) and not isinstance(left, p.Const):
            of_a_list = op == "contains" and left.type.name != "string"
            return Test(shape(left), "has" if of_a_list else op, right.value)
    return Test(shape(condition))


def shadows(wide: Form, narrow: Form) -> bool:
    """Whether the first is true wherever the second is; a condition that is repeated is another rule's."""
    return wide != narrow and _follows(narrow, wide)


def subjects(form: Form) -> set[Hashable]:
    """What its tests are about. Of two forms that share none neither follows from the other."""
    return set().union(*map(subjects, form.parts)) if isinstance(form, Joined) else {form.subject}


def _follows(narrow: Form, wide: Form) -> bool:
    if isinstance(narrow, Joined) and narrow.op == "or":
        return all(_follows(each, wide) for each in narrow.parts)
    if isinstance(wide, Joined) and wide.op == "and":
        return all(_follows(narrow, each) for each in wide.parts)
    if isinstance(narrow, Joined):
        return any(_follows(each, wide) for each in narrow.parts)
    if isinstance(wide, Joined):
        return any(_follows(narrow, each) for each in wide.parts)
    if wide.subject != narrow.subject:
        return False
    alike = wide.op == narrow.op and same(wide.value, narrow.value)
    return alike or _implied(wide.op, wide.value, narrow.op, narrow.value)


def _implied(op: str, bound: Any, other: str, value: Any) -> bool:
    """Whether `x op bound` is true where `x other value` is."""
    values = [value] if other == "==" else value if other == "in" and isinstance(value, list) else None
    if values is not None:  # one of these it is
        return all(_true(op, bound, each) for each in values)
    if op == "in" and other == "in":
        return takes(bound, value)
    if op in _CUT and other in _CUT and isinstance(bound, str) and isinstance(value, str):
        return op in (other, "contains") and _cut(op, value, bound)
    if other == "in":
        reach = extent(value)
        return op in _ORDERS and reach is not None and all(_true(op, bound, each) for each in reach)
    if op not in _ORDERS or op[0] != other[:1] or not is_number(bound) or not is_number(value):
        return False
    return _true(op[0], bound, value) or (value == bound and other == op[0])


def _true(op: str, bound: Any, value: Any) -> bool:
    """Whether the comparison is true of this value."""
    if op == "!=":
        return not same(value, bound)
    if op == "in":
        return any(same(each, value) for each in bound) if isinstance(bound, list) else takes(bound, value)
    if op in _CUT:
        return isinstance(value, str) and isinstance(bound, str) and _cut(op, value, bound)
    return op in _ORDERS and is_number(value) and is_number(bound) and _ORDERS[op](value, bound)


def _cut(op: str, text: str, piece: str) -> bool:
    if op == "contains":
        return piece in text
    return text.startswith(piece) if op == "starts_with" else text.endswith(piece)


# --- patterns ------------------------------------------------------------------------------------


def takes(wide: Any, narrow: Any) -> bool:
    """Whether the first pattern takes every value of the second; addresses stand in networks."""
    if isinstance(wide, Networks):
        return isinstance(narrow, Networks) and wide.covers(narrow)
    bounds = _bounds(wide)
    if bounds is None:
        return _bounds(narrow) is None and type(wide) is type(narrow) and same(wide, narrow)
    inner = extent(narrow)
    if inner is None or not bounds[0] <= inner[0] <= inner[1] <= bounds[1]:
        return False
    return not isinstance(wide, range) or not isinstance(narrow, tuple)


def extent(value: Any) -> tuple[float, float] | None:
    """The least and the greatest number that a pattern takes."""
    return (value, value) if is_number(value) else _bounds(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _bounds(pattern: Any) -> tuple[float, float] | None:
    if isinstance(pattern, range):
        return (pattern[0], pattern[-1]) if pattern else None
    return pattern if isinstance(pattern, tuple) and len(pattern) == 2 else None
