"""Expressions: what each form means, which type it has, and if it is private."""

from __future__ import annotations

from dataclasses import replace

from policylang.check import program as p
from policylang.check.fold import text_of
from policylang.check.kinds import A_PART, INTERPOLATES, JSON_KINDS, RECORD_KINDS, element_join, join, phrase
from policylang.check.narrowing import narrow, present_names
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.diagnostics import Label
from policylang.sdk import static_types as t
from policylang.sdk.static_types import Type
from policylang.sdk.values import Duration, Rate, Size
from policylang.syntax import nodes as n

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE_UNITS = {"sec": "s", "second": "s", "minute": "min", "h": "hour", "d": "day"}
_POWERS = {"B": 0, "K": 1, "M": 2, "G": 3, "T": 4}


# --- literals ------------------------------------------------------------------------------------


def check_number(walk: Walk, node: n.Number) -> p.Expr:
    return p.Const(node.span, t.NUMBER, False, node.value)


def check_bool(walk: Walk, node: n.Bool) -> p.Expr:
    return p.Const(node.span, t.BOOLEAN, False, node.value)


def check_none(walk: Walk, node: n.NoneValue) -> p.Expr:
    return p.Const(node.span, t.NONE, False, None)


def check_duration(walk: Walk, node: n.DurationValue) -> p.Expr:
    seconds = node.amount / 1000 if node.unit == "ms" else node.amount * _SECONDS[node.unit]
    return p.Const(node.span, t.DURATION, False, Duration(seconds))


def check_size(walk: Walk, node: n.SizeValue) -> p.Expr:
    unit = node.unit
    count = node.amount * (1024 if "i" in unit else 1000) ** _POWERS[unit[0]]
    if count != int(count):
        walk.error("bad-size", node.span, f"`{node.span.text}` is no whole number of bytes", help="write a whole one")
    return p.Const(node.span, t.SIZE, False, Size(int(count)))


def check_rate(walk: Walk, node: n.RateValue) -> p.Expr:
    return p.Const(node.span, t.RATE, False, Rate(node.count, _RATE_UNITS.get(node.unit, node.unit)))


def check_bad(walk: Walk, node: n.BadExpr) -> p.Expr:
    return unknown(node.span)


def check_text(walk: Walk, node: n.Text, fold: bool = True) -> p.Expr:
    """`fold`: what is constant throughout becomes one text, in which nobody sees any more what was interpolated."""
    parts = node.parts
    if not parts:
        return p.Const(node.span, t.STRING, False, "")
    if len(parts) == 1 and isinstance(parts[0], str):
        return p.Const(node.span, t.STRING, False, parts[0])
    found: list[str | p.Expr] = []
    private = False
    constant = known = True
    for part in parts:
        if isinstance(part, str):
            found.append(part)
            continue
        expr = walk.expr(part)
        interpolates(walk, expr)
        known = known and not is_unknown(expr)
        private = private or expr.private
        constant = constant and isinstance(expr, p.Const) and text_of(expr.value) is not None
        found.append(expr)
    if not known:
        return unknown(node.span)
    if constant and fold:
        text = "".join(part if isinstance(part, str) else text_of(part.value) or "" for part in found
                       if isinstance(part, (str, p.Const)))  # fmt: skip
        return p.Const(node.span, t.STRING, private, text)
    return p.Template(node.span, t.STRING, private, tuple(found))


def interpolates(walk: Walk, expr: p.Expr) -> None:
    """Report what can have no place in a string."""
    kind = expr.type.name
    if kind == "none":
        walk.error("may-be-none", expr.span, "`none` cannot stand in a string",
                   help='give a text for it, as in `${x ?? "none"}`')  # fmt: skip
    elif kind not in INTERPOLATES:
        if kind in ("list", "map"):
            cure = f"write it as JSON: `json({expr.span.text})`"
        elif kind in ("request", "response"):
            cure = f"take its text: `{kind}.text`"
        elif kind == "principal":
            cure = "take a part of it, such as `user.id`"
        elif kind == "bytes":
            cure = "encode them, for example with `base64_encode(…)`"
        elif kind == "failure":
            cure = f"take a part of it, such as `{expr.span.text}.detail`"
        else:
            cure = "take a part of it that is text"
        walk.error("cannot-interpolate", expr.span, f"{phrase(expr.type)} cannot stand in a string", help=cure)
    else:
        present(walk, expr, "a string")


def present(walk: Walk, expr: p.Expr, what: str) -> None:
    """Report a name bound with `?` that is used for `what`, which takes no `none`.

    Whoever asks about an exchange from outside asks about one that is over: a value that is not there is told then.
    """
    if walk.place == "asked":
        return
    if isinstance(expr, p.MessageField) and expr.message == "response" and walk.state.response == "maybe":
        walk.error(
            "may-be-none", expr.span, "`response` may be `none` in `on failure`", label=f"{what} takes no `none`",
            help="write `if response != none { … }` around it, or give another value with `??`",
        )  # fmt: skip
    if not isinstance(expr, p.SlotRef) or not expr.type.optional or is_unknown(expr):
        return
    var = walk.state.names.get(expr.name)
    labels = [Label(var.span, "may be `none` since here")] if var is not None else []
    walk.error(
        "may-be-none", expr.span, f"`{expr.name}` may be `none` here", label=f"{what} takes no `none`", labels=labels,
        help=f"write `require {expr.name} != none` before, or give another value: `{expr.name} ?? …`",
    )  # fmt: skip


def both(walk: Walk, node: n.Binary) -> tuple[p.Expr, p.Expr, bool]:
    """The sides of an operator, and if one is private."""
    left, right = walk.value(node.left), walk.value(node.right)
    return left, right, left.private or right.private


# --- collections ---------------------------------------------------------------------------------


def _element(walk: Walk, node: n.Expr) -> p.Expr:
    """What stands in a list or a map: all of it may be written as JSON."""
    found = walk.value(node)
    kind = found.type.name
    if kind in RECORD_KINDS:
        walk.error("not-a-value", node.span, f"no list or map can hold {phrase(found.type)}",
                   help=f"take a part of it, such as `{node.span.text}.{A_PART[kind]}`")  # fmt: skip
        return unknown(node.span)
    return found


def check_list(walk: Walk, node: n.ListValue) -> p.Expr:
    items = tuple([_element(walk, item) for item in node.items])
    kind = t.list_of(element_join([item.type for item in items]))
    private = any(item.private for item in items)
    values = [item.value for item in items if isinstance(item, p.Const) and item.type.name != "unknown"]
    if len(values) == len(items):
        return p.Const(node.span, kind, private, values)
    return p.ListOf(node.span, kind, private, items)


def check_map(walk: Walk, node: n.MapValue) -> p.Expr:
    entries: list[tuple[str, p.Expr]] = []
    seen: dict[str, n.MapEntry] = {}
    for entry in node.entries:
        first = seen.setdefault(entry.key, entry)
        if first is not entry:
            walk.error(
                "duplicate-key", entry.key_span, f"the key `{entry.key}` stands twice in this map",
                labels=[Label(first.key_span, "first here")], help="keep one of them",
            )  # fmt: skip
        entries.append((entry.key, _element(walk, entry.value)))
    values = [value for _, value in entries]
    element = element_join([value.type for value in values])
    kind = t.MAP if element.name == "json" else Type("map", element)
    private = any(value.private for value in values)
    if all(isinstance(value, p.Const) and value.type.name != "unknown" for value in values):
        folded = {key: value.value for key, value in entries if isinstance(value, p.Const)}
        return p.Const(node.span, kind, private, folded)
    return p.MapOf(node.span, kind, private, tuple(entries))


# --- conditions ----------------------------------------------------------------------------------


def condition(walk: Walk, node: n.Expr) -> p.Expr:
    """An expression that decides something: a boolean."""
    expr = walk.value(node)
    boolean(walk, expr, node)
    return expr


def boolean(walk: Walk, expr: p.Expr, node: n.Expr) -> None:
    kind = expr.type.name
    if kind not in ("boolean", "json", "unknown"):
        text = node.span.text
        if kind == "none":
            cure = "compare with it: `x == none`"
        elif expr.type.optional and "\n" not in text:
            cure = f"ask if it is there: `{text} != none`"
        elif kind == "number" and "\n" not in text:
            cure = f"compare it: `{text} != 0`"
        elif kind == "string" and "\n" not in text:
            cure = f'compare it: `{text} != ""`'
        elif kind in ("list", "map") and "\n" not in text:
            cure = f"compare its length: `length({text}) > 0`"
        else:
            cure = "compare it with a value"
        walk.error("not-boolean", expr.span, f"a condition is true or false, not {phrase(expr.type)}", help=cure)
    else:
        present(walk, expr, "a condition")


def decided(walk: Walk, test: p.Expr) -> bool | None:
    """How a condition comes out for the call of a user's assertion that is put in its place; None where it depends.

    What such a call never comes to is not looked at: it may be wrong for the arguments just because it is not meant for
    them.
    """
    if walk.expanding and isinstance(test, p.Const) and isinstance(test.value, bool):
        return test.value
    return None


def check_conditional(walk: Walk, node: n.Conditional) -> p.Expr:
    test = condition(walk, node.condition)
    way = decided(walk, test)
    if way is not None:
        taken = walk.value(node.then if way else node.orelse)
        return replace(taken, span=node.span, private=taken.private or test.private)
    then = _under(walk, node.condition, True, node.then)
    orelse = _under(walk, node.condition, False, node.orelse)
    kind = either(walk, then, orelse, node, "the branches of this `if`")
    private = test.private or then.private or orelse.private
    if isinstance(test, p.Const) and isinstance(test.value, bool):
        taken = then if test.value else orelse
        if isinstance(taken, p.Const):
            return p.Const(node.span, taken.type, private, taken.value)
    return p.IfExpr(node.span, kind, private, test, then, orelse)


def _under(walk: Walk, test: n.Expr, truth: bool, node: n.Expr) -> p.Expr:
    """An expression that is worked out only when `test` has come out as `truth`."""
    names = present_names(test, truth)
    if not names:
        return walk.value(node)
    kept = walk.state
    walk.state = kept.copy()
    narrow(walk.state, names)
    try:
        return walk.value(node)
    finally:
        walk.state = kept


def either(walk: Walk, left: p.Expr, right: p.Expr, node: n.Expr, what: str) -> Type:
    """The type of a value that is one of two."""
    kind = join(left.type, right.type)
    if kind is not None:
        return kind
    names = (left.type.name, right.type.name)
    if "json" in names and all(name in JSON_KINDS for name in names):
        return t.JSON
    walk.error(
        "mixed-types", right.span, f"{what} have different types: {phrase(left.type)} and {phrase(right.type)}",
        labels=[Label(left.span, f"this is {phrase(left.type)}")],
        help="convert one of them, for example with `string(…)`",
    )  # fmt: skip
    return unknown(node.span).type


under = _under
