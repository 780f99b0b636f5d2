"""Comparisons: `==`, order, `in`, `contains`, and the tests of text."""

from __future__ import annotations

from policylang.check import program as p
from policylang.check.expressions import both, present
from policylang.check.fold import NOT_FOLDED, ordered, same
from policylang.check.kinds import COMPARABLE, JSON_KINDS, ORDERED, phrase, plural
from policylang.check.literals import address, network, networks
from policylang.check.measures import MEASURED, missing_unit
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.diagnostics import Label
from policylang.sdk import static_types as t
from policylang.sdk.patterns import compile_pattern
from policylang.syntax import nodes as n


def equality(walk: Walk, node: n.Binary) -> p.Expr:
    left, right = walk.expr(node.left), walk.expr(node.right)
    private = left.private or right.private
    if is_unknown(left) or is_unknown(right):
        return unknown(node.span)
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
                return unknown(node.span)
            left, right = (left, found) if a == "ip" else (found, right)
            a = b = "ip"
    if not _comparable(walk, node, left, right):
        return unknown(node.span)
    if isinstance(left, p.Const) and isinstance(right, p.Const):
        value = same(left.value, right.value)
        return p.Const(node.span, t.BOOLEAN, private, value if node.op == "==" else not value)
    return p.BinaryOp(node.span, t.BOOLEAN, private, node.op, left, right, a != b or a == "json")


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
        if measured in MEASURED and isinstance(number, p.Const) and number.type.name == "number":
            missing_unit(walk, number, measured, f"it stands beside a {measured}")
            return
    cure = ""
    for text, other in ((left, right), (right, left)):
        if isinstance(text, p.Const) and text.type.name == "string" and other.type.name == "number":
            digits = text.value.strip()
            cure = f"write `{digits}` without quotes" if digits.isdigit() else "convert with `string(…)` or `int(…)`"
            break
    if not cure and {a, b} == {"time", "string"}:
        cure = "read a time from text with `parse_time(…)`, or compare `string(…)` of it"
    if not cure and {a, b} == {"bytes", "string"}:
        cure = "compare the text of it, such as `response.text`"
    if not cure:
        way = next((name for name in ("ip", "duration", "size", "rate", "time") if name in (a, b)), "string")
        cure = f"convert the other one with `{way}(…)`"
    walk.error(
        "different-types", node.span, f"`{node.op}` compares {phrase(left.type)} with {phrase(right.type)}",
        labels=[Label(left.span, phrase(left.type)), Label(right.span, phrase(right.type))], help=cure,
    )  # fmt: skip


def ordering(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = both(walk, node)
    if is_unknown(left) or is_unknown(right):
        return unknown(node.span)
    a, b = left.type.name, right.type.name
    for side, kind in ((left, a), (right, b)):
        if kind not in ORDERED and kind != "json":
            walk.error("wrong-type", side.span, f"`{node.op}` does not order {phrase(side.type)}",
                       help="it takes numbers, text, durations, sizes and times")  # fmt: skip
            return unknown(node.span)
        present(walk, side, f"`{node.op}`")
    if a != b and not (a == "json" and b in ("number", "string")) and not (b == "json" and a in ("number", "string")):
        _different(walk, node, left, right)
        return unknown(node.span)
    if isinstance(left, p.Const) and isinstance(right, p.Const):
        value = ordered(node.op, left.value, right.value)
        if value is not NOT_FOLDED:
            return p.Const(node.span, t.BOOLEAN, private, value)
    dynamic = a == "json" or b == "json" or left.type.optional or right.type.optional
    return p.BinaryOp(node.span, t.BOOLEAN, private, node.op, left, right, dynamic)


def membership(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = both(walk, node)
    if is_unknown(left) or is_unknown(right):
        return unknown(node.span)
    kind = right.type.name
    if left.type.name == "ip" and (kind in ("string", "json") or (kind == "list" and _of(right) in ("string", "json"))):
        if isinstance(right, p.Const) and kind == "string":
            right = networks(walk, right) if network(walk, right.span, right.value) else unknown(right.span)
        else:
            right = _networks_at(walk, node.right, right)
        if is_unknown(right):
            return unknown(node.span)
        return p.BinaryOp(node.span, t.BOOLEAN, private, "in", left, right, left.type.optional)
    if kind not in ("list", "range", "map", "json"):
        cure = "give it a list, as in `[1, 2]`"
        if kind == "string":
            cure = 'find text in text with `contains`: `"abc" contains "b"`'
        walk.error(
            "wrong-type", right.span, f"`in` looks into a list, a range or a map's keys, not into {phrase(right.type)}",
            help=cure,
        )  # fmt: skip
        return unknown(node.span)
    wanted = {"list": _of(right), "range": "number", "map": "string", "json": "json"}[kind]
    present(walk, right, "`in`")
    present(walk, left, "`in`")
    if not _fits_element(walk, node, left, right, wanted):
        return unknown(node.span)
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
    if number is not None and wanted in MEASURED and isinstance(number, p.Const):
        missing_unit(walk, number, wanted, f"it is looked for among {plural(wanted)}")
        return False
    listed = node.right if node.op == "in" else node.left
    if name in MEASURED and wanted == "number" and isinstance(listed, n.ListValue):
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


def containment(walk: Walk, node: n.Binary) -> p.Expr:
    left, right, private = both(walk, node)
    if is_unknown(left) or is_unknown(right):
        return unknown(node.span)
    kind = left.type.name
    if kind not in ("list", "string", "json"):
        cure = "find out with `==`, or put the values into a list"
        if kind == "map":
            cure = f"ask for a key with `in`: `{right.span.text} in {left.span.text}`"
        walk.error("wrong-type", left.span, f"`contains` looks into lists and text, not into {phrase(left.type)}",
                   help=cure)  # fmt: skip
        return unknown(node.span)
    present(walk, left, "`contains`")
    present(walk, right, "`contains`")
    if kind == "string":
        if right.type.name not in ("string", "json"):
            walk.error("wrong-type", right.span, f"text contains text, not {phrase(right.type)}",
                       help="make text of it with `string(…)`")  # fmt: skip
            return unknown(node.span)
    elif not _fits_element(walk, node, right, left, _of(left) if kind == "list" else "json"):
        return unknown(node.span)
    holds = _of(left) if kind == "list" else kind
    dynamic = "json" in (holds, right.type.name) or left.type.optional or right.type.optional
    return p.BinaryOp(node.span, t.BOOLEAN, private, "contains", left, right, dynamic)


def text_test(walk: Walk, node: n.Binary) -> p.Expr:
    """`starts_with`, `ends_with`, `matches`"""
    left, right, private = both(walk, node)
    for side in (left, right):
        if side.type.name not in ("string", "json", "unknown"):
            walk.error("wrong-type", side.span, f"`{node.op}` takes text, not {phrase(side.type)}",
                       help="make text of it with `string(…)`")  # fmt: skip
            return unknown(node.span)
        present(walk, side, f"`{node.op}`")
    if is_unknown(left) or is_unknown(right):
        return unknown(node.span)
    if node.op == "matches" and isinstance(right, p.Const):
        if not isinstance(right.value, str):
            walk.error("wrong-type", right.span, "a pattern is text", help='write one such as r"^[a-z]+$"')
            return unknown(node.span)
        try:
            compile_pattern(right.value)
        except ValueError as error:
            walk.error("bad-literal", right.span, f"the pattern cannot be right: {error}",
                       help="the syntax of patterns is that of RE2")  # fmt: skip
            return unknown(node.span)
    dynamic = any(side.type.name == "json" or side.type.optional for side in (left, right))
    return p.BinaryOp(node.span, t.BOOLEAN, private, node.op, left, right, dynamic)
