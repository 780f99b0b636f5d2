"""Arguments: which parameter each is for, and if it can be given there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from policylang.check import program as p
from policylang.check.fitting import argument, choice, fit
from policylang.check.kinds import phrases
from policylang.check.program import Bound
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.diagnostics import Edit, Fix, Label
from policylang.sdk import static_types as t
from policylang.sdk.card import ParamCard
from policylang.source import Span
from policylang.syntax import nodes as n
from policylang.syntax.words import KEPT_PARAMETERS


@dataclass(frozen=True, slots=True)
class Signature:
    """What can be called, under the word that messages use for it: `` `rate_limit` ``."""

    word: str
    params: tuple[ParamCard, ...]
    positional: tuple[ParamCard, ...]
    by_name: dict[str, ParamCard]


def signature_of(word: str, params: Sequence[ParamCard]) -> Signature:
    return Signature(
        f"`{word}`", tuple(params), tuple(q for q in params if q.positional), {q.name: q for q in params}
    )


Given = dict[str, list[n.Argument]]
"""The arguments by their parameter's name; several only where it takes many."""


def assign(walk: Walk, signature: Signature, args: Sequence[n.Argument], span: Span) -> tuple[Given, bool]:
    """Find each argument's parameter. False when something was reported."""
    given: Given = {}
    place = 0
    named_before: n.Argument | None = None
    good = True
    crowded = False
    for arg in args:
        if arg.name is None:
            if named_before is not None:
                walk.error(
                    "misplaced-parameter", arg.span, "values without a name come before those with one",
                    labels=[Label(named_before.span, "named here")], help="move it to the front, or name it",
                )  # fmt: skip
            elif place >= len(signature.positional):
                if not crowded:
                    _too_many(walk, signature, arg, given)
                crowded = True
            else:
                param = signature.positional[place]
                given.setdefault(param.name, []).append(arg)
                if not param.many:
                    place += 1
                continue
            _look_at(walk, arg)
            good = False
            continue
        named_before = named_before or arg
        found = signature.by_name.get(arg.name)
        if found is None:
            _unknown(walk, signature, arg)
        elif found.name in given:
            walk.error(
                "duplicate-parameter", arg.name_span or arg.span, f"`{arg.name}` is given twice",
                labels=[Label(given[found.name][0].span, "first here")], help="keep one of them",
            )  # fmt: skip
        else:
            given[found.name] = [arg]
            continue
        _look_at(walk, arg)
        good = False
    for param in signature.params:
        if param.required and param.name not in given:
            good = False
            walk.error("missing-parameter", span, f"{signature.word} needs `{param.name}`", help=_missing(param))
    return given, good


def _look_at(walk: Walk, arg: n.Argument) -> None:
    """Report mistakes inside of an argument that has no parameter; a bare word may have been a symbol."""
    if type(arg.value) is not n.Name:
        walk.expr(arg.value)


def _missing(param: ParamCard) -> str:
    kinds = (param.types[0].of or t.JSON,) if param.many else param.types
    takes = phrases(kinds) if kinds[0].name != "symbol" else choice(param)
    what = f"`{param.name}` is {takes}" if param.positional else f"write `{param.name}: …`, {takes}"
    doc = param.doc.rstrip(".")
    return f"{what}: {doc[:1].lower()}{doc[1:]}" if doc else what


def _too_many(walk: Walk, signature: Signature, arg: n.Argument, given: Given) -> None:
    free = [q.name for q in signature.params if q.name not in given and not q.positional]
    count = len(signature.positional)
    takes = "no value without a name" if not count else "one value" if count == 1 else f"{count} values"
    extra = " without a name" if count else ""
    cure = f"name the parameter, as in `{free[0]}: {arg.value.span.text}`" if free else "leave it out"
    walk.error("misplaced-parameter", arg.span, f"{signature.word} takes {takes}{extra}", help=cure)


def _unknown(walk: Walk, signature: Signature, arg: n.Argument) -> None:
    name, span = arg.name or "", arg.name_span or arg.span
    known = list(signature.by_name)
    close = walk.unit.nearest(name, known)
    fix = None
    if name in KEPT_PARAMETERS:
        cure = f"`{name}:` is kept for a later version"
    elif close is not None:
        cure = f"did you mean `{close}`?"
        fix = Fix(f"write `{close}`", (Edit(span, span.text.replace(name, close, 1)),))
    elif known:
        cure = "it has " + ", ".join(f"`{each}`" for each in known)
    else:
        cure = "it has no parameters"
    walk.error("unknown-parameter", span, f"{signature.word} has no parameter `{name}`", help=cure, fix=fix)


def many(walk: Walk, param: ParamCard, args: Sequence[n.Argument]) -> p.Expr:
    """All further positional arguments: a tuple where they are known, elements of constant lists among them."""
    element = param.types[0].of or t.JSON
    one = ParamCard(
        name=param.name, doc=param.doc, types=(element, *param.types), lazy=param.lazy, required=param.required,
        accepts_none=param.accepts_none,
    )  # fmt: skip
    found = [fit(walk, one, walk.expr(arg.value), arg.value) for arg in args]
    span = args[0].span.to(args[-1].span)
    if any(is_unknown(each) for each in found):
        return unknown(span)
    private = any(each.private for each in found)
    values: list[Any] = []
    for each in found:
        if not isinstance(each, p.Const):
            return p.ListOf(span, param.types[0], private, tuple(found))
        if isinstance(each.value, (list, tuple)):
            values.extend(each.value)
        else:
            values.append(each.value)
    return p.Const(span, param.types[0], private, tuple(values))


def default_of(walk: Walk, param: ParamCard, span: Span) -> p.Expr:
    """The value of a parameter that is left out."""
    if param.default is None:
        return p.Const(span, t.NONE, False, None)
    node = walk.unit.defaults.expression(param.default)
    expr = argument(walk, param, node)
    return expr


def bind(
    walk: Walk, signature: Signature, args: Sequence[n.Argument], span: Span
) -> tuple[tuple[Bound, ...], bool]:
    """Every parameter with its value, in the order of the card. False when something was reported for sure."""
    given, good = assign(walk, signature, args, span)
    bound: list[Bound] = []
    for param in signature.params:
        found = given.get(param.name)
        if found is None:
            if param.required:
                continue
            value = default_of(walk, param, span)
            text = param.default or ""
        elif param.many:
            value, text = many(walk, param, found), ", ".join(arg.value.span.text for arg in found)
        else:
            node = found[0].value
            value, text = argument(walk, param, node), node.span.text
        if value.type.name == "unknown":
            good = False
        bound.append(Bound(param, value, text))
    return tuple(bound), good
