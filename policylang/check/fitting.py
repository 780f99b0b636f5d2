"""One argument: if its parameter takes it, and as what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from policylang.check import program as p
from policylang.check.expressions import check_text, present
from policylang.check.kinds import A_PART, INTERPOLATES, UNITS, accepts, phrase, phrases, type_of
from policylang.check.literals import DOT_SEGMENT, HIDDEN, address, header_value
from policylang.check.measures import missing_unit
from policylang.check.walk import Walk, unknown
from policylang.diagnostics import Edit, Fix, Label
from policylang.sdk import static_types as t
from policylang.sdk.card import ParamCard
from policylang.sdk.values import UpstreamName
from policylang.source import Span
from policylang.syntax import nodes as n

_SPECIAL = frozenset({"symbol", "upstream"})


def choice(param: ParamCard) -> str:
    """The words that a parameter takes, as a message lists them."""
    words = [f"`{symbol}`" for symbol in param.symbols]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def argument(walk: Walk, param: ParamCard, node: n.Expr) -> p.Expr:
    """An argument's value, of a type that the parameter takes."""
    kinds = param.types
    first = kinds[0].name
    if first in _SPECIAL:
        return _symbol(walk, param, node) if first == "symbol" else _upstream(walk, node)
    if first == "target" and isinstance(node, n.Text):
        # each interpolated string is one segment, a constant too
        return fit(walk, param, check_text(walk, node, fold=False), node)
    return fit(walk, param, walk.expr(node), node)


def fit(walk: Walk, param: ParamCard, expr: p.Expr, node: n.Expr) -> p.Expr:
    """Report what the parameter does not take; gives the value as it takes it."""
    kind = expr.type.name
    if kind == "unknown":
        return expr
    kinds = param.types
    if kind == "none":
        if not param.accepts_none:
            cure = f"leave `{param.name}` out" if not param.required else f"give {phrases(kinds)}"
            walk.error("may-be-none", expr.span, f"`{param.name}` cannot be `none`", help=cure)
            return unknown(expr.span)
    else:
        for wanted in kinds:
            if accepts(wanted, expr.type):
                break
        else:
            if kind == "string" and any(wanted.name == "ip" for wanted in kinds) and isinstance(expr, p.Const):
                return address(walk, expr)
            _wrong_type(walk, param, expr, node)
            return unknown(expr.span)
        if not param.accepts_none and expr.type.optional:
            present(walk, expr, f"`{param.name}`")
        if wanted.name == "key":
            _key(walk, param, expr)
        elif wanted.name == "target":
            target(walk, expr)
        elif wanted.name == "query":
            query(walk, expr)
    if not param.lazy and not isinstance(expr, p.Const):
        _not_constant(walk, param, expr)
        return unknown(expr.span)
    return expr


def _not_constant(walk: Walk, param: ParamCard, expr: p.Expr) -> None:
    if known_at_call(walk, expr):
        return
    walk.error(
        "not-constant", expr.span, f"`{param.name}` must be known when the policy is loaded",
        help="write it as a literal or a constant; for a choice between several use `match`",
    )  # fmt: skip


def known_at_call(walk: Walk, expr: p.Expr) -> bool:
    """In the body of a user's assertion: made of constants and parameters only, so each call decides."""
    if walk.definition is None or walk.expanding:
        return False
    if isinstance(expr, p.Const):
        return True
    if isinstance(expr, p.SlotRef):
        var = walk.state.names.get(expr.name)
        return var is not None and var.parametric
    if isinstance(expr, (p.BinaryOp, p.MemberOf)):
        a, b = (expr.left, expr.right) if isinstance(expr, p.BinaryOp) else (expr.base, expr.key)
        return known_at_call(walk, a) and known_at_call(walk, b)
    if isinstance(expr, p.UnaryOp):
        return known_at_call(walk, expr.operand)
    if isinstance(expr, p.IfExpr):
        return all(known_at_call(walk, each) for each in (expr.condition, expr.then, expr.orelse))
    if isinstance(expr, p.ListOf):
        return all(known_at_call(walk, each) for each in expr.items)
    if isinstance(expr, p.MapOf):
        return all(known_at_call(walk, value) for _, value in expr.entries)
    if isinstance(expr, p.Template):
        return all(isinstance(part, str) or known_at_call(walk, part) for part in expr.parts)
    if isinstance(expr, p.FunctionCall):
        return expr.card.pure and all(known_at_call(walk, each) for each in expr.args)
    return False


def _key(walk: Walk, param: ParamCard, expr: p.Expr) -> None:
    """The elements of a key that is a list."""
    items: Sequence[p.Expr] = expr.items if isinstance(expr, p.ListOf) else ()
    if isinstance(expr, p.Const) and isinstance(expr.value, list) and not expr.value:
        walk.error("wrong-type", expr.span, f"`{param.name}` needs something to tell keys apart",
                   help="put at least one value into the list")  # fmt: skip
    for item in items:
        if item.type.name not in INTERPOLATES:
            walk.error("wrong-type", item.span, f"{phrase(item.type)} cannot be a part of `{param.name}`",
                       help="a key is made of text, numbers and the like")  # fmt: skip
        else:
            present(walk, item, f"`{param.name}`")


_QUERY = re.compile(r"(?:[!\"$->@-~][!\"$-~]*)?")


def target(walk: Walk, expr: p.Expr) -> None:
    """Report a path that is known to be none."""
    start: Any = None
    if isinstance(expr, p.Const):
        start = expr.value
    elif isinstance(expr, p.Template) and isinstance(expr.parts[0], str):
        start = expr.parts[0]
    if isinstance(start, str) and not start.startswith("/"):
        walk.error("bad-path", expr.span, "a path begins with `/`", help=f'write "/{_short(start)}…"')
        return
    if isinstance(expr, p.Const) and isinstance(start, str):
        path = start.partition("?")[0]
        if DOT_SEGMENT.search(path):
            walk.error("bad-path", expr.span, "a segment of this path is `.` or `..`", help="write where it leads")
            return
        if HIDDEN.search(path):
            walk.error("bad-path", expr.span, "an encoded `/`, `\\` or NUL cannot stand in a path",
                       help="leave it out: it is not the same to every reader")  # fmt: skip
            return
    header_value(walk, expr)


def query(walk: Walk, expr: p.Expr) -> None:
    """Report a query that is known to be none, and a map's value that has no place in one."""
    if isinstance(expr, p.Const) and isinstance(expr.value, str) and not _QUERY.fullmatch(expr.value):
        cure = "leave the `?` out" if expr.value.startswith("?") else "give a map, whose values are encoded"
        walk.error("bad-query", expr.span, "this text cannot stand in a query", help=cure)
        return
    values: list[tuple[Span, t.Type]] = []
    if isinstance(expr, p.MapOf):
        values = [(value.span, value.type) for _, value in expr.entries]
    elif isinstance(expr, p.Const) and isinstance(expr.value, dict):
        values = [(expr.span, type_of(value)) for value in expr.value.values()]
    for span, found in values:
        kind = found.of if found.name == "list" and found.of is not None else found
        if kind.name not in INTERPOLATES and kind.name != "none":
            walk.error("wrong-type", span, f"{phrase(found)} cannot stand in a query",
                       help="a query holds text, numbers and the like, and lists of these")  # fmt: skip


def _short(text: str) -> str:
    return text[:20] if text[:20].isprintable() else ""


def _wrong_type(walk: Walk, param: ParamCard, expr: p.Expr, node: n.Expr) -> None:
    kinds = param.types
    names = [kind.name for kind in kinds]
    if isinstance(expr, p.Const) and expr.type.name == "number":
        measured = next((name for name in names if name in UNITS), None)
        if measured is not None:
            missing_unit(walk, expr, measured, f"`{param.name}` takes a {measured}")
            return
    kind = expr.type.name
    wanted = phrases(kinds)
    cure = ""
    if kind == "shared map":
        walk.not_here(expr.span)
        return
    if names[0] == "shared map":
        cure = 'declare one: `map sessions, ttl: 30m`, and write `map("sessions")`'
        if kind == "map" and isinstance(node, n.CallExpr) and node.name == "map":
            cure = f"a map of a file is a value: `{node.span.text}[key]`; or declare it with `ttl:` in place of `file:`"
    elif "string" in names and kind in INTERPOLATES and "\n" not in node.span.text and '"' not in node.span.text:
        cure = f'make text of it: `"${{{node.span.text}}}"`'
    elif "number" in names and kind == "string":
        cure = "convert it with `int(…)` or `float(…)`"
    elif kind in ("string", "json", "number") and names[0] in ("duration", "size"):
        cure = f"convert it with `{names[0]}(…)`"
    elif kind in ("json", "number", "string") and names[0] == "rate":
        cure = 'write one such as `10/s`, or work it out with `rate(n, "s")`'
    elif "time" in names and kind in ("string", "json"):
        cure = "read a time from text with `parse_time(…)`"
    elif "ip" in names and kind in ("string", "json"):
        cure = "read an address from text with `ip(…)`"
    elif names[0] in ("request", "response"):
        cure = f"write {' or '.join(f'`{name}`' for name in names)}"
    elif kind in ("request", "response"):
        cure = f"take a part of it, such as `{kind}.json` or `{kind}.text`"
    elif kind in A_PART:
        cure = f"take a part of it, such as `{node.span.text}.{A_PART[kind]}`"
    elif names[0] == "list" and kind != "list" and kinds[0].of is not None and kinds[0].of.name == kind:
        cure = f"put it into a list: `[{node.span.text}]`"
    walk.error("wrong-type", expr.span, f"`{param.name}` takes {wanted}, not {phrase(expr.type)}", help=cure)


def _symbol(walk: Walk, param: ParamCard, node: n.Expr) -> p.Expr:
    word = None
    if isinstance(node, n.Name):
        word = node.name
    elif isinstance(node, n.Text) and node.literal in param.symbols:
        walk.error(
            "unknown-symbol", node.span, f"`{param.name}` takes a word without quotes",
            help=f"write `{node.literal}`",
            fix=Fix(f"write `{node.literal}`", (Edit(node.span, node.literal or ""),), safe=True),
        )  # fmt: skip
        return unknown(node.span)
    elif isinstance(node, n.BadExpr):
        return unknown(node.span)
    if word in param.symbols:
        return p.Const(node.span, t.SYMBOL, False, word)
    close = walk.unit.nearest(word, param.symbols) if word is not None else None
    cure = f"did you mean `{close}`?" if close is not None else f"write {choice(param)}"
    shown = f"`{word}`" if word is not None else "a value"
    walk.error("unknown-symbol", node.span, f"`{param.name}` takes {choice(param)}, not {shown}", help=cure)
    return unknown(node.span)


def _upstream(walk: Walk, node: n.Expr) -> p.Expr:
    if isinstance(node, n.BadExpr):
        return unknown(node.span)
    if isinstance(node, n.Name):
        if node.name in walk.unit.upstreams:
            return p.Const(node.span, t.UPSTREAM, False, UpstreamName(node.name))
        _unknown_upstream(walk, node.span, node.name)
        return unknown(node.span)
    text = node.literal if isinstance(node, n.Text) else None
    if text is not None and text in walk.unit.upstreams:
        walk.error("unknown-upstream", node.span, "an upstream is named without quotes", help=f"write `{text}`",
                   fix=Fix(f"write `{text}`", (Edit(node.span, text),), True))  # fmt: skip
    elif text is not None and "://" in text:
        walk.error("unknown-upstream", node.span, "an upstream is named here, not its address",
                   help=f'declare it: `upstream name {{ server "{text}" }}`')  # fmt: skip
    else:
        walk.error("unknown-upstream", node.span, "the name of an upstream stands here",
                   help="write the bare name of one that is declared with `upstream name { … }`")  # fmt: skip
    return unknown(node.span)


def _unknown_upstream(walk: Walk, span: Span, name: str) -> None:
    if walk.unit.perhaps_declared(name):
        return
    close = walk.unit.nearest(name, list(walk.unit.upstreams))
    if close is not None:
        cure = f"did you mean `{close}`?"
        labels = [Label(walk.unit.upstreams[close].name_span, "declared here")]
    else:
        cure, labels = f'declare it: `upstream {name} {{ server "http://…" }}`', []
    walk.error("unknown-upstream", span, f"there is no upstream `{name}`", help=cure, labels=labels)
