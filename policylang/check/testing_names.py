"""Names in a test: what was answered and what stubs received, and nothing of the policy's own messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from policylang.check import expressions, functions, members, names
from policylang.check import program as p
from policylang.check.members import CONTEXT, NAMED
from policylang.check.testing_unit import common, of_policy, unit_of
from policylang.check.walk import Walk, unknown
from policylang.diagnostics import Label
from policylang.sdk import static_types as t
from policylang.sdk.card import FunctionCard, ParamCard
from policylang.source import Span
from policylang.syntax import nodes as n
from policylang.testing.told import FIELDS, MEMBERS, NAMES, OF_LOGS, OF_UPSTREAM, plain

_KEPT = ("response", "now")
"""The context variables that a test has too."""
_CURES = {
    "request": "a test reads `response`; what an upstream received is `orders.calls[0]`",
    "client": "a test says it with each request: `get \"/\", from: \"192.0.2.7\"`",
    "user": "read what the policy made of it: `response`, or what a stub received",
    "path": "a test reads `response`; what an upstream received is `orders.calls[0].path`",
    "service": "read what the policy made of it: `response`, or what a stub received",
    "gateway": "a test names its gateways with `given gateways([…])`, and asks one with `at:`",
}


def check_name(walk: Walk, node: n.Name) -> p.Expr:
    word = node.name
    if word in walk.state.names or word in walk.state.ended:
        return names.check_name(walk, node)
    if word == "failure":
        return p.ContextValue(node.span, NAMES[word], False, word, "")
    if word in NAMES:
        return p.ContextValue(node.span, NAMES[word], False, "test", word)
    if word in _CURES:
        of_policy(walk, node.span, word, _CURES[word])
        return unknown(node.span)
    if word == "response" and not walk.state.response:
        _no_response(walk, node.span)
        return unknown(node.span)
    unit = unit_of(walk)
    if word not in CONTEXT and unit.constant(word) is None and not unit.perhaps_declared(word):
        if word in unit.upstreams:
            walk.error("not-a-value", node.span, f"`{word}` is an upstream, and no value",
                       help=f"what it received is `{word}.calls`")  # fmt: skip
            return unknown(node.span)
        close = unit.nearest(word, [*NAMES, *walk.state.names, *unit.constant_names, *_KEPT, *unit.upstreams])
        if close is not None and len(word) > 2:
            var = walk.state.names.get(close)
            labels = [Label(var.span, f"`{close}` is set here")] if var is not None else []
            walk.error("unknown-name", node.span, f"nothing here is called `{word}`",
                       help=f"did you mean `{close}`?", labels=labels)  # fmt: skip
            return unknown(node.span)
    return names.check_name(walk, node)


def _no_response(walk: Walk, span: Span) -> None:
    state = walk.state
    if state.lost:
        return
    if unit_of(walk).together:
        walk.error("unset-response", span, "nothing is answered before the end of `together`",
                   help="read `response`, `responses` or `statuses` after the block")  # fmt: skip
        return
    labels = [state.response_label] if state.response_label is not None else []
    walk.error("unset-response", span, "no request was sent yet" if not labels else "there may be no `response` here",
               labels=labels, help="`response` is known after a request, such as `get \"/\"`")  # fmt: skip


def check_member(walk: Walk, node: n.Member) -> p.Expr:
    return _member(walk, node, node.base, p.Const(node.name_span, t.STRING, False, node.name))


def check_index(walk: Walk, node: n.Index) -> p.Expr:
    base = node.base
    key: n.Expr | p.Const = node.key
    if isinstance(key, n.Text) and key.literal is not None:
        key = p.Const(key.span, t.STRING, False, key.literal)
    return _member(walk, node, base, key)


def _member(walk: Walk, node: n.Member | n.Index, base: n.Expr, key: n.Expr | p.Const) -> p.Expr:
    name = key.value if isinstance(key, p.Const) else None
    root = base.name if isinstance(base, n.Name) and base.name not in walk.state.names else ""
    if root == "failure":
        members_of = t.RECORDS["failure"]
        if isinstance(name, str) and name in members_of:
            return p.ContextValue(node.span, members_of[name].maybe(), False, "failure", name)
    elif root in unit_of(walk).upstreams and isinstance(name, str):
        return _of_upstream(walk, node.span, root, name, key.span)
    elif root in _KEPT:
        if root == "response" and not walk.state.response:
            _no_response(walk, base.span)
            return unknown(node.span)
        return _plain(walk, node)
    elif isinstance(base, (n.Member, n.Index)) and _names_field(walk, base):
        if not walk.state.response:
            _no_response(walk, base.span)
            return unknown(node.span)
        return _plain(walk, node)
    found = walk.expr(base)
    at = key if isinstance(key, p.Const) else walk.value(key)
    return _of(walk, node.span, base, found, at)


def _plain(walk: Walk, node: n.Member | n.Index) -> p.Expr:
    return members.check_member(walk, node) if isinstance(node, n.Member) else members.check_index(walk, node)


def _names_field(walk: Walk, base: n.Expr) -> bool:
    """`response.header`, which needs the name of the one that is meant."""
    if not isinstance(base, n.Member) or not isinstance(base.base, n.Name):
        return False
    root = base.base.name
    return root == "response" and root not in walk.state.names and base.name in NAMED[root]


def _of_upstream(walk: Walk, span: Span, upstream: str, name: str, name_span: Span) -> p.Expr:
    kind = OF_UPSTREAM.get(name)
    if kind is not None:
        return p.ContextValue(span, kind, False, "test", f"{upstream}.{name}")
    _unknown(walk, name_span, f"`{upstream}`", name, list(OF_UPSTREAM))
    return unknown(span)


def _of(walk: Walk, span: Span, node: n.Expr, base: p.Expr, key: p.Expr) -> p.Expr:
    kind = base.type.name
    name = key.value if isinstance(key, p.Const) else None
    told = MEMBERS.get(kind)
    if told is not None:
        found = told.get(name) if isinstance(name, str) else None
        if found is None:
            _unknown(walk, key.span, f"an {kind}" if kind == "answer" else f"a {kind}", str(name), list(told))
            return unknown(span)
        return p.MemberOf(span, found.maybe(), False, base, key)
    if base.type.name == "map" and base.type.of is FIELDS.of:
        return p.MemberOf(span, t.STRING.maybe(), False, base, _lower(key))
    if _of_logs(base) and isinstance(name, str) and name not in OF_LOGS:
        _unknown(walk, key.span, "a line of `logs`", name, list(OF_LOGS))
        return unknown(span)
    rows = unit_of(walk).rows.get(node.name) if isinstance(node, n.Name) else None
    if rows is not None and isinstance(name, str) and all(isinstance(row, dict) for row in rows):
        return _of_row(walk, span, base, key, rows, name)
    return members.member_of(walk, span, base, key)


def _of_logs(base: p.Expr) -> bool:
    """Whether it is `logs[0]` or the like."""
    return isinstance(base, p.MemberOf) and isinstance(base.base, p.ContextValue) and base.base.field == "logs"


def _of_row(walk: Walk, span: Span, base: p.Expr, key: p.Expr, rows: object, name: str) -> p.Expr:
    """A member of a table's row, with the type that it has in all of them."""
    assert isinstance(rows, (list, tuple))
    if rows and not any(name in row for row in rows):
        _unknown(walk, key.span, "a row of the table", name, list(dict.fromkeys(key for row in rows for key in row)))
        return unknown(span)
    return p.MemberOf(span, common(row.get(name) for row in rows), False, base, key)


def _unknown(walk: Walk, span: Span, owner: str, name: str, known: list[str]) -> None:
    close = walk.unit.nearest(name, known)
    cure = f"did you mean `{close}`?" if close is not None else "it has " + ", ".join(f"`{each}`" for each in known)
    walk.error("unknown-member", span, f"{owner} has no member `{name}`", help=cure)


def _card(name: str, kind: t.Type, call: Callable[[Any], Any]) -> FunctionCard:
    taken = ParamCard(name, "", (kind,), True, positional=True, accepts_none=True, attribute=name)
    return FunctionCard(
        name=name, group="test", summary="", doc="", example="", params=(taken,), returns=kind, call=call, prepare=None,
        returns_for=None, pure=False,
    )  # fmt: skip


_LOWER = _card("text", t.STRING, str.lower)
_PLAIN = _card("list", t.LIST, plain)


def _lower(key: p.Expr) -> p.Expr:
    """A field's name: its case does not matter."""
    if isinstance(key, p.Const):
        return replace(key, value=key.value.lower()) if isinstance(key.value, str) else key
    return p.FunctionCall(key.span, t.STRING, False, _LOWER, (key,))


def check_list(walk: Walk, node: n.ListValue) -> p.Expr:
    found = expressions.check_list(walk, node)
    if not isinstance(found, p.ListOf) or not any(map(_holds_answers, found.items)):
        return found
    return replace(found, type=t.LIST, items=tuple(map(_as_json, found.items)))


def check_map(walk: Walk, node: n.MapValue) -> p.Expr:
    found = expressions.check_map(walk, node)
    if not isinstance(found, p.MapOf) or not any(_holds_answers(value) for _, value in found.entries):
        return found
    return replace(found, type=t.MAP, entries=tuple((key, _as_json(value)) for key, value in found.entries))


def _holds_answers(expr: p.Expr) -> bool:
    return expr.type.name == "list" and expr.type.of is not None and expr.type.of.name in MEMBERS


def _as_json(expr: p.Expr) -> p.Expr:
    """What functions, lists and maps get of answers and calls."""
    if not _holds_answers(expr):
        return expr
    return p.FunctionCall(expr.span, t.LIST, False, _PLAIN, (expr,))


# --- functions -----------------------------------------------------------------------------------

_READ_BY_POLICY = {"map": "entries: { … }", "env": 'value: "…"', "secret": 'value: "…"'}


def check_call(walk: Walk, node: n.CallExpr) -> p.Expr:
    what = _READ_BY_POLICY.get(node.name)
    if what is None:
        found = functions.check_call(walk, node)
        return replace(found, args=tuple(map(_as_json, found.args))) if isinstance(found, p.FunctionCall) else found
    of_policy(walk, node.name_span, node.name, f"a test says what the policy finds: `given {node.span.text}, {what}`")
    return unknown(node.span)
