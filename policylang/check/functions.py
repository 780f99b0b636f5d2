"""Calls inside of expressions: functions of the catalog, and the forms that the checker resolves itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from policylang.check import program as p
from policylang.check.arguments import Signature, assign, bind, signature_of
from policylang.check.fitting import fit
from policylang.check.kinds import type_of
from policylang.check.literals import place_of
from policylang.check.special import ALL, ENV, FILE, MAP, REVEAL, SECRET, SPECIAL
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.diagnostics import Edit, Fix
from policylang.sdk import static_types as t
from policylang.sdk.card import FunctionCard
from policylang.sdk.outcome import Failed
from policylang.sdk.shared_map import SharedMap
from policylang.sdk.static_types import Type
from policylang.syntax import nodes as n

_SIGNATURES = {card.name: signature_of(card.name, card.params) for card in SPECIAL.values()}


def check_call(walk: Walk, node: n.CallExpr) -> p.Expr:
    form = _FORMS.get(node.name)
    if form is not None:
        return form(walk, node)
    card = walk.unit.catalog.functions.get(node.name)
    if card is None:
        _unknown_function(walk, node)
        for arg in node.args:
            if type(arg.value) is not n.Name:
                walk.expr(arg.value)
        return unknown(node.span)
    return _function(walk, node, card)


def _unknown_function(walk: Walk, node: n.CallExpr) -> None:
    name = node.name
    unit = walk.unit
    if name in unit.catalog.assertions or name in unit.definitions:
        walk.error(
            "assertion-in-expression", node.name_span, f"`{name}` is an assertion, not a function",
            help="write it as a statement of its own, without parentheses, and take its output with `-> name`",
        )  # fmt: skip
        return
    close = unit.nearest(name, [*unit.catalog.functions, *SPECIAL])
    fix = None
    if close is not None:
        cure = f"did you mean `{close}`?"
        fix = Fix(f"write `{close}`", (Edit(node.name_span, close),))
    else:
        cure = "`pol docs` lists the functions there are"
    walk.error("unknown-function", node.name_span, f"there is no function `{name}`", help=cure, fix=fix)


def _function(walk: Walk, node: n.CallExpr, card: FunctionCard) -> p.Expr:
    bound, good = bind(walk, walk.unit.signature(card), node.args, node.span)
    kind = returned(card.returns)
    if not good:
        return unknown(node.span)
    args = tuple([each.value for each in bound])
    private = any(arg.private for arg in args)
    constants: dict[str, Any] = {}
    known = 0
    for each in bound:
        value = each.value
        if isinstance(value, p.Const):
            known += 1
            if each.text:
                constants[each.param.name] = value.value
    call = card.call
    if constants:
        try:
            if card.prepare is not None:
                call = card.prepare(constants)
            if card.returns_for is not None:
                kind = returned(card.returns_for(constants))
        except ValueError as error:
            _bad_literal(walk, node, card, str(error))
            return unknown(node.span)
    if card.pure and known == len(args):
        return _folded(walk, node, call, args, kind, private)
    return p.FunctionCall(node.span, kind, private, card, args)


def returned(kind: Type) -> Type:
    return t.JSON if kind.name == "any" else kind


def _folded(walk: Walk, node: n.CallExpr, call: Any, args: tuple[p.Expr, ...], kind: Type, private: bool) -> p.Expr:
    values = [arg.value for arg in args if isinstance(arg, p.Const)]
    try:
        value = call(*values)
    except Failed as error:
        _always_fails(walk, node, error.failure.detail or error.failure.name)
        return unknown(node.span)
    except (TypeError, ValueError, ArithmeticError, LookupError):
        _always_fails(walk, node, "the function has no result for these values")
        return unknown(node.span)
    return p.Const(node.span, type_of(value) if value is None or kind.name == "json" else kind.sure(), private, value)


def _always_fails(walk: Walk, node: n.CallExpr, why: str) -> None:
    walk.error("bad-literal", node.span, f"this always fails: {why}",
               help=f"`pol explain {node.name}` says what it takes")  # fmt: skip


def _bad_literal(walk: Walk, node: n.CallExpr, card: FunctionCard, message: str) -> None:
    walk.error(
        "bad-literal", place_of(node.args, message) or node.span, f"`{card.name}` cannot take this: {message}",
        help=f"`pol explain {card.name}` says what it takes",
    )  # fmt: skip


# --- special forms -------------------------------------------------------------------------------


def _text_of(walk: Walk, node: n.CallExpr, card: FunctionCard) -> tuple[str, n.Expr] | None:
    """The literal that `env`, `secret`, `file` and `map` take."""
    signature: Signature = _SIGNATURES[card.name]
    given, good = assign(walk, signature, node.args, node.span)
    first = card.params[0]
    found = given.get(first.name)
    if not good or found is None:
        return None
    value = found[0].value
    if isinstance(value, n.Text) and value.literal is not None:
        return value.literal, value
    if not isinstance(value, n.BadExpr):
        walk.error(
            "not-constant", value.span,
            f"`{card.name}` takes a literal, since it is resolved when the policy is loaded",
            help=f'write the {first.name} in quotes: `{card.name}("…")`',
        )  # fmt: skip
    return None


def _env(walk: Walk, node: n.CallExpr) -> p.Expr:
    found = _text_of(walk, node, ENV)
    if found is None:
        return unknown(node.span)
    name, place = found
    value = walk.unit.surroundings.variable(name)
    if value is None:
        for arg in node.args:
            if arg.name == "default":
                given = fit(walk, ENV.params[1], walk.expr(arg.value), arg.value)
                if isinstance(given, p.Const):
                    return replace(given, span=node.span)
                walk.error("not-constant", given.span, "`default` must be known when the policy is loaded",
                           help="write it as a literal or a constant")  # fmt: skip
                return unknown(node.span)
        walk.error("missing-environment", place.span, f"the environment variable `{name}` is not set",
                   help='set it, or give a default: `env("…", default: "…")`')  # fmt: skip
        return unknown(node.span)
    return p.Const(node.span, t.STRING, False, value)


def _secret(walk: Walk, node: n.CallExpr) -> p.Expr:
    found = _text_of(walk, node, SECRET)
    if found is None:
        return unknown(node.span)
    name, place = found
    value = walk.unit.surroundings.secret(name)
    if value is None:
        walk.error(
            "missing-secret", place.span, f"there is no secret `{name}`",
            help=f"set the environment variable `{name}`, or put a file of that name into `$CREDENTIALS_DIRECTORY`",
        )  # fmt: skip
        return unknown(node.span)
    return p.Const(node.span, t.STRING, True, value)


def _file(walk: Walk, node: n.CallExpr) -> p.Expr:
    found = _text_of(walk, node, FILE)
    if found is None:
        return unknown(node.span)
    text = walk.unit.surroundings.text(walk.report, found[0], found[1].span)
    return unknown(node.span) if text is None else p.Const(node.span, t.STRING, False, text)


def _map(walk: Walk, node: n.CallExpr) -> p.Expr:
    if len(node.args) == 1 and isinstance(node.args[0].value, n.Name) and node.args[0].value.name in walk.unit.maps:
        name = node.args[0].value.name
        walk.error("not-constant", node.args[0].span, "`map` takes the map's name in quotes",
                   help=f'write `map("{name}")`',
                   fix=Fix(f'write `"{name}"`', (Edit(node.args[0].span, f'"{name}"'),), True))  # fmt: skip
        return unknown(node.span)
    found = _text_of(walk, node, MAP)
    if found is None:
        return unknown(node.span)
    name, place = found
    declared = walk.unit.maps.get(name)
    if declared is None:
        if walk.unit.perhaps_declared(name):
            return unknown(node.span)
        close = walk.unit.nearest(name, list(walk.unit.maps))
        cure = f"did you mean `{close}`?" if close is not None else f'declare it: `map {name}, file: "{name}.json"`'
        walk.error("unknown-map", place.span, f"there is no map `{name}`", help=cure)
        return unknown(node.span)
    value = declared.value
    if isinstance(value, SharedMap):
        return p.Const(node.span, t.SHARED_MAP, value.private, value)
    return unknown(node.span) if value is None else p.Const(node.span, t.MAP, False, value)


def _all(walk: Walk, node: n.CallExpr) -> p.Expr:
    given, good = assign(walk, _SIGNATURES["all"], node.args, node.span)
    if not good:
        return unknown(node.span)
    value = given["of"][0].value
    expr = walk.expr(value)
    if isinstance(expr, p.Named):
        return replace(expr, span=node.span, type=ALL.returns, all=True)
    if not is_unknown(expr):
        walk.error("wrong-type", value.span, "`all` takes a header field, a query parameter or a cookie",
                   help="write it as in `all(request.query.tag)`")  # fmt: skip
    return unknown(node.span)


def _reveal(walk: Walk, node: n.CallExpr) -> p.Expr:
    given, good = assign(walk, _SIGNATURES["reveal"], node.args, node.span)
    if not good:
        return unknown(node.span)
    return replace(walk.value(given[REVEAL.params[0].name][0].value), span=node.span, private=False)


_FORMS = {"all": _all, "env": _env, "file": _file, "map": _map, "reveal": _reveal, "secret": _secret}
