"""Operators: which types go together, and what can be worked out at once."""

from __future__ import annotations

from typing import Any

from policylang.check import program as p
from policylang.check.expressions import boolean, decided, either, present, under
from policylang.check.fold import NOT_FOLDED, RESULTS, arithmetic, ordered, same
from policylang.check.kinds import COMPARABLE, JSON_KINDS, ORDERED, UNITS, join, phrase, plural
from policylang.check.literals import address, network, networks
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.diagnostics import Edit, Fix, Label
from policylang.sdk import types as t
from policylang.sdk.patterns import compile_pattern
from policylang.sdk.types import Type
from policylang.sdk.values import Duration, Size
from policylang.syntax import nodes as n

_MEASURED = frozenset({"duration", "size", "rate"})


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
        _both(walk, node)
        return unknown(node.span)
    return form(walk, node)


def _both(walk: Walk, node: n.Binary) -> tuple[p.Expr, p.Expr, bool]:
    left, right = walk.value(node.left), walk.value(node.right)
    return left, right, left.private or right.private


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
    left, right, private = _both(walk, node)
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
    left, right, private = _both(walk, node)
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
        if measured in _MEASURED and node.op in "+-" and isinstance(number, p.Const) and number.type.name == "number":
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
    left, right, private = _both(walk, node)
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


# --- comparisons ---------------------------------------------------------------------------------


def _equal(walk: Walk, node: n.Binary) -> p.Expr:
    left, right = walk.expr(node.left), walk.expr(node.right)
    private = left.private or right.private
    if is_unknown(left) or is_unknown(right):
        return unknown_boolean(node)
    a, b = left.type.name, right.type.name
    if a == "none" or b == "none":
        if isinstance(left, p.Const) and isinstance(right, p.Const):
            value = (left.value is None) == (right.value is None)
            return p.Const(node.span, t.BOOLEAN, private, value if node.op == "==" else not value)
        return p.BinaryOp(node.span, t.BOOLEAN, private, node.op, left, right, False)
    if (a == "ip" and b == "string") or (a == "string" and b == "ip"):
        text = right if a == "ip" else left
        if isinstance(text, p.Const):
            found = address(walk, text)
            if is_unknown(found):
                return unknown_boolean(node)
            left, right = (left, found) if a == "ip" else (found, right)
            a = b = "ip"
    if not _comparable(walk, node, left, right):
        return unknown_boolean(node)
    if isinstance(left, p.Const) and isinstance(right, p.Const):
        value = same(left.value, right.value)
        return p.Const(node.span, t.BOOLEAN, private, value if node.op == "==" else not value)
    return p.BinaryOp(node.span, t.BOOLEAN, private, node.op, left, right, a != b or a == "json")


def unknown_boolean(node: n.Binary) -> p.Expr:
    """A comparison that was reported is still a condition."""
    return unknown(node.span)


def _comparable(walk: Walk, node: n.Binary, left: p.Expr, right: p.Expr) -> bool:
    a, b = left.type.name, right.type.name
    for side, kind in ((left, a), (right, b)):
        if kind not in COMPARABLE:
            cure = {
                "xml": 'compare a part of it, taken with `xpath(…)`', "principal": "compare `user.id`",
                "request": "compare a part of it, such as `request.text`",
                "response": "compare a part of it, such as `response.status`",
            }.get(kind, "compare a part of it")  # fmt: skip
            walk.error("different-types", side.span, f"{phrase(side.type)} can be compared with `none` only", help=cure)
            return False
    if a == b or (a == "json" and b in JSON_KINDS) or (b == "json" and a in JSON_KINDS):
        return True
    _different(walk, node, left, right)
    return False


def _different(walk: Walk, node: n.Binary, left: p.Expr, right: p.Expr) -> None:
    """Report two types that are never equal, or in no order."""
    a, b = left.type.name, right.type.name
    for measured, number in ((a, right), (b, left)):
        if measured in _MEASURED and isinstance(number, p.Const) and number.type.name == "number":
            missing_unit(walk, number, measured, f"it stands beside a {measured}")
            return
    cure = ""
    for text, other in ((left, right), (right, left)):
        if isinstance(text, p.Const) and text.type.name == "string" and other.type.name == "number":
            digits = text.value.strip()
            cure = f"write `{digits}` without quotes" if digits.isdigit() else "convert with `string(…)` or `int(…)`"
            break
    if not cure:
        way = next((name for name in ("ip", "duration", "size", "rate", "time") if name in (a, b)), "string")
        cure = f"convert the other one with `{way}(…)`"
    walk.error(
        "different-types", node.span, f"`{node.op}` compares {phrase(left.type)} with {phrase(right.type)}",
        labels=[Label(left.span, phrase(left.type)), Label(right.span, phrase(right.type))], help=cure,
    )  # fmt: skip


_UNIT_HELP = {
    "duration": "a duration ends in `ms`, `s`, `m`, `h` or `d`",
    "size": "a size ends in `B`, `KB`, `MB`, `KiB` or `MiB`",
    "rate": "a rate ends in `/s`, `/min`, `/hour` or `/day`",
}


def missing_unit(walk: Walk, number: p.Const, kind: str, why: str) -> None:
    """Report a bare number where a duration, size or rate is meant; `why` is a clause."""
    written = number.span.text
    meant = written + UNITS[kind]
    walk.error(
        "missing-unit", number.span, f"`{written}` has no unit: {why}", help=_UNIT_HELP[kind],
        fix=Fix(f"write `{meant}`", (Edit(number.span, meant),)),
    )  # fmt: skip


def _ordered(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = _both(walk, node)
    if is_unknown(left) or is_unknown(right):
        return unknown_boolean(node)
    a, b = left.type.name, right.type.name
    for side, kind in ((left, a), (right, b)):
        if kind not in ORDERED and kind != "json":
            walk.error("wrong-type", side.span, f"`{node.op}` does not order {phrase(side.type)}",
                       help="it takes numbers, text, durations, sizes and times")  # fmt: skip
            return unknown_boolean(node)
        present(walk, side, f"`{node.op}`")
    if a != b and not (a == "json" and b in ("number", "string")) and not (b == "json" and a in ("number", "string")):
        _different(walk, node, left, right)
        return unknown_boolean(node)
    if isinstance(left, p.Const) and isinstance(right, p.Const):
        value = ordered(node.op, left.value, right.value)
        if value is not NOT_FOLDED:
            return p.Const(node.span, t.BOOLEAN, private, value)
    dynamic = a == "json" or b == "json" or left.type.optional or right.type.optional
    return p.BinaryOp(node.span, t.BOOLEAN, private, node.op, left, right, dynamic)


def _in(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = _both(walk, node)
    if is_unknown(left) or is_unknown(right):
        return unknown_boolean(node)
    kind = right.type.name
    if left.type.name == "ip" and (kind in ("string", "json") or (kind == "list" and _of(right) in ("string", "json"))):
        if isinstance(right, p.Const) and kind == "string":
            right = networks(walk, right) if network(walk, right.span, right.value) else unknown(right.span)
        else:
            right = _networks_at(walk, node.right, right)
        if is_unknown(right):
            return unknown_boolean(node)
        return p.BinaryOp(node.span, t.BOOLEAN, private, "in", left, right, left.type.optional)
    if kind not in ("list", "range", "map", "json"):
        cure = "give it a list, as in `[1, 2]`"
        if kind == "string":
            cure = 'find text in text with `contains`: `"abc" contains "b"`'
        walk.error(
            "wrong-type", right.span, f"`in` looks into a list, a range or a map's keys, not into {phrase(right.type)}",
            help=cure,
        )  # fmt: skip
        return unknown_boolean(node)
    wanted = {"list": _of(right), "range": "number", "map": "string", "json": "json"}[kind]
    present(walk, right, "`in`")
    present(walk, left, "`in`")
    if not _fits_element(walk, node, left, right, wanted):
        return unknown_boolean(node)
    dynamic = "json" in (left.type.name, kind, wanted) or left.type.optional or right.type.optional
    return p.BinaryOp(node.span, t.BOOLEAN, private, "in", left, right, dynamic)


def _networks_at(walk: Walk, node: n.Expr, expr: p.Expr) -> p.Expr:
    """As `literals.networks`, but a literal that is wrong is reported where it stands."""
    if isinstance(node, n.ListValue) and isinstance(expr, p.Const):
        good = True
        for item in node.items:
            text = item.literal if isinstance(item, n.Text) else None
            if text is not None:
                good = network(walk, item.span, text) and good
        if not good:
            return unknown(node.span)
    return networks(walk, expr)


def _of(expr: p.Expr) -> str:
    return expr.type.of.name if expr.type.of is not None else "json"


def _fits_element(walk: Walk, node: n.Binary, element: p.Expr, holder: p.Expr, wanted: str) -> bool:
    name = element.type.name
    if name == wanted or name == "none" or "unknown" in (name, wanted):
        return True
    if name == "ip" and wanted == "string" and holder.type.name == "map":
        return True  # a key that is an address
    if (wanted == "json" and name in JSON_KINDS) or (name == "json" and wanted in JSON_KINDS):
        return True
    if wanted == "json" and holder.type.name == "list":
        return True
    number = element if name == "number" else None
    if number is not None and wanted in _MEASURED and isinstance(number, p.Const):
        missing_unit(walk, number, wanted, f"it is looked for among {plural(wanted)}")
        return False
    listed = node.right if node.op == "in" else node.left
    if name in _MEASURED and wanted == "number" and isinstance(listed, n.ListValue):
        for item in listed.items:
            if isinstance(item, n.Number):
                missing_unit(walk, p.Const(item.span, t.NUMBER, False, item.value), name, f"a {name} is looked for")
        return False
    what = {"list": f"a list of {plural(wanted)}", "range": "a range of numbers", "map": "a map, whose keys are text"}
    walk.error(
        "different-types", node.span,
        f"{phrase(element.type)} is never in {what.get(holder.type.name, phrase(holder.type))}",
        labels=[Label(element.span, phrase(element.type))], help="convert it, for example with `string(…)` or `int(…)`",
    )  # fmt: skip
    return False


def _contains(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = _both(walk, node)
    if is_unknown(left) or is_unknown(right):
        return unknown_boolean(node)
    kind = left.type.name
    if kind not in ("list", "string", "json"):
        cure = "find out with `==`, or put the values into a list"
        if kind == "map":
            cure = f"ask for a key with `in`: `{right.span.text} in {left.span.text}`"
        walk.error("wrong-type", left.span, f"`contains` looks into lists and text, not into {phrase(left.type)}",
                   help=cure)  # fmt: skip
        return unknown_boolean(node)
    present(walk, left, "`contains`")
    present(walk, right, "`contains`")
    if kind == "string":
        if right.type.name not in ("string", "json"):
            walk.error("wrong-type", right.span, f"text contains text, not {phrase(right.type)}",
                       help="make text of it with `string(…)`")  # fmt: skip
            return unknown_boolean(node)
    elif not _fits_element(walk, node, right, left, _of(left) if kind == "list" else "json"):
        return unknown_boolean(node)
    holds = _of(left) if kind == "list" else kind
    dynamic = "json" in (holds, right.type.name) or left.type.optional or right.type.optional
    return p.BinaryOp(node.span, t.BOOLEAN, private, "contains", left, right, dynamic)


def _text(walk: Walk, node: n.Binary) -> p.Expr:
    """`starts_with`, `ends_with`, `matches`"""
    left, right, private = _both(walk, node)
    for side in (left, right):
        if side.type.name not in ("string", "json", "unknown"):
            walk.error("wrong-type", side.span, f"`{node.op}` takes text, not {phrase(side.type)}",
                       help="make text of it with `string(…)`")  # fmt: skip
            return unknown_boolean(node)
        present(walk, side, f"`{node.op}`")
    if is_unknown(left) or is_unknown(right):
        return unknown_boolean(node)
    if node.op == "matches" and isinstance(right, p.Const):
        if not isinstance(right.value, str):
            walk.error("wrong-type", right.span, "a pattern is text", help='write one such as r"^[a-z]+$"')
            return unknown_boolean(node)
        try:
            compile_pattern(right.value)
        except ValueError as error:
            walk.error("bad-literal", right.span, f"the pattern cannot be right: {error}",
                       help="the syntax of patterns is that of RE2")  # fmt: skip
            return unknown_boolean(node)
    dynamic = any(side.type.name == "json" or side.type.optional for side in (left, right))
    return p.BinaryOp(node.span, t.BOOLEAN, private, node.op, left, right, dynamic)


_OPERATORS = {
    "and": _logic, "or": _logic, "??": _coalesce, "..": _range, "in": _in, "contains": _contains,
    "==": _equal, "!=": _equal, "<": _ordered, "<=": _ordered, ">": _ordered, ">=": _ordered,
    "+": _arithmetic, "-": _arithmetic, "*": _arithmetic, "/": _arithmetic, "%": _arithmetic,
    "starts_with": _text, "ends_with": _text, "matches": _text,
}  # fmt: skip
