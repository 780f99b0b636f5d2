"""Operators other than comparisons: which types go together, and what can be worked out at once."""

from __future__ import annotations

from typing import Any

from policylang.check import program as p
from policylang.check.comparisons import containment, equality, membership, ordering, text_test
from policylang.check.expressions import boolean, both, decided, either, present, under
from policylang.check.fold import NOT_FOLDED, RESULTS, arithmetic
from policylang.check.kinds import join, phrase
from policylang.check.measures import MEASURED, missing_unit
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.diagnostics import Label
from policylang.sdk import static_types as t
from policylang.sdk.static_types import Type
from policylang.sdk.values import Duration, Size
from policylang.syntax import nodes as n


def check_unary(walk: Walk, node: n.Unary) -> p.Expr:
    operand = walk.value(node.operand)
    if node.op == "not":
        boolean(walk, operand, node.operand)
        if isinstance(operand, p.Const) and isinstance(operand.value, bool):
            return p.Const(node.span, t.BOOLEAN, operand.private, not operand.value)
        return p.UnaryOp(node.span, t.BOOLEAN, operand.private, "not", operand)
    if operand.type.name not in ("number", "json", "unknown"):
        walk.error("wrong-type", operand.span, f"`-` before a value takes a number, not {phrase(operand.type)}",
                   help="write `0s - x` for a duration, or take a number of text with `float(…)`")  # fmt: skip
        return unknown(node.span)
    if is_unknown(operand):
        return unknown(node.span)
    present(walk, operand, "`-`")
    if isinstance(operand, p.Const) and isinstance(operand.value, (int, float)):
        return p.Const(node.span, t.NUMBER, operand.private, -operand.value)
    return p.UnaryOp(node.span, t.NUMBER, operand.private, "-", operand)


def check_binary(walk: Walk, node: n.Binary) -> p.Expr:
    form = _OPERATORS.get(node.op)
    if form is None:  # a sign of another language: the parser has reported it
        both(walk, node)
        return unknown(node.span)
    return form(walk, node)


def _logic(walk: Walk, node: n.Binary) -> p.Expr:
    left = walk.value(node.left)
    boolean(walk, left, node.left)
    if decided(walk, left) is (node.op == "or"):
        return p.Const(node.span, t.BOOLEAN, left.private, node.op == "or")
    right = under(walk, node.left, node.op == "and", node.right)
    boolean(walk, right, node.right)
    private = left.private or right.private
    if isinstance(left, p.Const) and isinstance(right, p.Const) and left.type.name == right.type.name == "boolean":
        value = (left.value and right.value) if node.op == "and" else (left.value or right.value)
        return p.Const(node.span, t.BOOLEAN, private, value)
    dynamic = any(side.type.name != "boolean" or side.type.optional for side in (left, right))
    return p.BinaryOp(node.span, t.BOOLEAN, private, node.op, left, right, dynamic)


def _coalesce(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = both(walk, node)
    kind = either(walk, left, right, node, "the two sides of `??`")
    if left.type.name != "none" and not right.type.optional:
        kind = kind.sure()
    if isinstance(left, p.Const) and not is_unknown(left):
        if left.value is not None:
            return p.Const(node.span, left.type, private, left.value)
        if isinstance(right, p.Const):
            return p.Const(node.span, right.type, private, right.value)
    return p.BinaryOp(node.span, kind, private, "??", left, right, False)


def _arithmetic(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = both(walk, node)
    if is_unknown(left) or is_unknown(right):
        return unknown(node.span)
    kind = _result(node.op, left, right)
    if kind is None:
        _no_arithmetic(walk, node, left, right)
        return unknown(node.span)
    for side in (left, right):
        present(walk, side, f"`{node.op}`")
    if isinstance(left, p.Const) and isinstance(right, p.Const):
        if node.op in ("/", "%") and right.value in (0, Duration(0), Size(0)):
            walk.error("division-by-zero", node.span, f"`{node.span.text}` divides by zero",
                       help="divide by something else")  # fmt: skip
            return unknown(node.span)
        value = arithmetic(node.op, left.value, right.value)
        if value is not NOT_FOLDED:
            return p.Const(node.span, kind, private, value)
    dynamic = left.type.name == "json" or right.type.name == "json" or left.type.optional or right.type.optional
    return p.BinaryOp(node.span, kind, private, node.op, left, right, dynamic)


_KINDS = {kind.name: kind for kind in (t.NUMBER, t.STRING, t.LIST, t.DURATION, t.SIZE, t.TIME)}


def _result(op: str, left: p.Expr, right: p.Expr) -> Type | None:
    """The type of the result; None where the operator does not take these two."""
    a, b = left.type.name, right.type.name
    table = RESULTS[op]
    if a == "json" or b == "json":
        if a == b:
            return t.JSON.sure()
        known = b if a == "json" else a
        return _KINDS[known] if known in ("number", "string", "list") and (known, known) in table else None
    found = table.get((a, b))
    if found == "list":
        return join(left.type.sure(), right.type.sure())
    return _KINDS[found] if found is not None else None


def _no_arithmetic(walk: Walk, node: n.Binary, left: p.Expr, right: p.Expr) -> None:
    names = (left.type.name, right.type.name)
    for measured, number in ((names[0], right), (names[1], left)):
        if measured in MEASURED and node.op in "+-" and isinstance(number, p.Const) and number.type.name == "number":
            missing_unit(walk, number, measured, f"it stands beside a {measured}")
            return
    if node.op == "+" and "string" in names:
        cure = 'put the values into a string: `"${a}${b}"`'
    elif "string" in names:
        cure = "read a number from text with `int(…)` or `float(…)`"
    elif node.op == "+" and "map" in names:
        cure = "put maps together with `merge(…)`"
    elif "none" in names:
        cure = "give another value for `none`, with `??`"
    else:
        cure = "convert one of them, for example with `float(…)`"
    walk.error(
        "wrong-type", node.span, f"`{node.op}` does not go between {phrase(left.type)} and {phrase(right.type)}",
        labels=[Label(left.span, phrase(left.type)), Label(right.span, phrase(right.type))], help=cure,
    )  # fmt: skip


def _range(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = both(walk, node)
    for side in (left, right):
        if side.type.name not in ("number", "json", "unknown"):
            walk.error("wrong-type", side.span, f"a range goes from number to number, not {phrase(side.type)}",
                       help="write one such as `200..299`")  # fmt: skip
            return unknown(node.span)
        present(walk, side, "a range")
    if is_unknown(left) or is_unknown(right):
        return unknown(node.span)
    if isinstance(left, p.Const) and isinstance(right, p.Const):
        if left.value is None or right.value is None or left.value > right.value:
            walk.error("empty-range", node.span, f"nothing lies in `{node.span.text}`",
                       help="write the lower end first")  # fmt: skip
            return unknown(node.span)
        return p.Const(node.span, t.RANGE, private, span_value(left.value, right.value))
    return p.BinaryOp(node.span, t.RANGE, private, "..", left, right, True)


def span_value(low: Any, high: Any) -> Any:
    """Both ends are included: a python range of whole numbers, else a pair."""
    if isinstance(low, int) and isinstance(high, int):
        return range(low, high + 1)
    return (float(low), float(high))


_OPERATORS = {
    "and": _logic, "or": _logic, "??": _coalesce, "..": _range, "in": membership, "contains": containment,
    "==": equality, "!=": equality, "<": ordering, "<=": ordering, ">": ordering, ">=": ordering,
    "+": _arithmetic, "-": _arithmetic, "*": _arithmetic, "/": _arithmetic, "%": _arithmetic,
    "starts_with": text_test, "ends_with": text_test, "matches": text_test,
}  # fmt: skip
