"""Calls of assertions that a policy defines: each is put in place of the call, for its arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from policylang.check import program as p
from policylang.check.arguments import bind
from policylang.check.binding import bind_name, kept_type
from policylang.check.blocks import check_block, head
from policylang.check.definitions import Definition, default_value
from policylang.check.kinds import UNKNOWN, phrase
from policylang.check.order import around
from policylang.check.scope import State, Var
from policylang.check.walk import Walk
from policylang.diagnostics import Diagnostic, Label
from policylang.sdk.card import FunctionCard, ParamCard
from policylang.sdk.outcome import missing_value, wrong_type
from policylang.sdk.static_types import Type
from policylang.source import Span
from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from policylang.check.unit import Unit

DEPTH = 32
"""How deeply calls of users' assertions may stand in each other."""


def call_definition(walk: Walk, node: n.Call, definition: Definition) -> p.Statement | None:
    owner = walk.definition
    if owner is not None and node.name in owner.circle:
        walk.error(
            "recursive-assertion", node.name_span, f"`{owner.name}` calls itself: {around(owner.circle)}",
            labels=[Label(owner.node.name_span, "declared here")],
            help="an assertion cannot lead back to itself: go through a list with `for`",
        )  # fmt: skip
    bound, good = bind(walk, definition.signature, node.args, node.name_span)
    if node.block is not None:
        walk.error("unexpected-block", node.block.span, f"`{node.name}` takes no block",
                   help="put the statements on lines of their own")  # fmt: skip
    if definition.responds is not None:
        if walk.closed:
            walk.error(
                "misplaced-respond", node.name_span, f"`{node.name}` may respond, which cannot stand in {walk.closed}",
                labels=[Label(head_of(definition.responds), "it responds here")], help="call it outside",
            )  # fmt: skip
        walk.responds = walk.responds or node.span
    inner: State | None = None
    made: p.Expand | None = None
    by_itself = walk.definition is not None and not walk.expanding
    if good and not by_itself and not definition.broken and definition.checked:
        found = _expand(walk, node, definition, bound)
        if found is not None:
            made, inner = found
    return _bind_outputs(walk, node, definition, bound, made, inner)


def head_of(span: Span) -> Span:
    return head(n.Node(span))


def _bind_outputs(
    walk: Walk, node: n.Call, definition: Definition, bound: tuple[p.Bound, ...], made: p.Expand | None,
    inner: State | None,
) -> p.Expand | None:  # fmt: skip
    names = list(definition.outputs)
    pairs: list[tuple[int, int]] = []
    private = any(each.value.private for each in bound)
    for place, output in enumerate(node.outputs):
        if place >= len(names):
            if place == len(names):
                has = "no output" if not names else "one output" if len(names) == 1 else f"{len(names)} outputs"
                walk.error("too-many-outputs", output.span, f"`{node.name}` has {has}", help="leave this name out")
            bind_name(walk, output.name, output.span, UNKNOWN, "output")
            continue
        name = names[place]
        kind, hidden = definition.outputs[name], output.private or name in definition.private_outputs
        var = inner.names.get(name) if inner is not None else None
        if var is None:
            hidden = hidden or private
        else:
            kind = var.type
            hidden = hidden or var.private or var.slot in walk.frame.tainted
        slot = bind_name(walk, output.name, output.span, kept_type(kind, kind.optional), "output", hidden,
                         kind.optional)  # fmt: skip
        if var is not None:
            pairs.append((var.slot, slot))
    state = walk.state
    if inner is not None:
        state.alive = inner.alive
        state.response, state.response_label = inner.response, inner.response_label
        state.user = inner.user
    else:
        state.alive = definition.alive
        state.user = state.user or definition.user
        if definition.broken or not definition.checked:
            state.lost = True
            state.response = state.response or "set"
        elif walk.definition is None:
            state.response = state.response or "set"  # its arguments were reported
            state.lost = True
    if made is None:
        return None
    return replace(made, outputs=tuple(pairs))


def _expand(
    walk: Walk, node: n.Call, definition: Definition, bound: tuple[p.Bound, ...]
) -> tuple[p.Expand, State] | None:
    unit = walk.unit
    if walk.depth >= DEPTH or unit.expansions_left <= 0:
        what = f"calls are nested more than {DEPTH} deep" if walk.depth >= DEPTH else "the policy grows too large"
        walk.error(
            "expansion-too-large", node.name_span, f"`{node.name}` is put in its place here, and {what}",
            help="call assertions from fewer places, or let them call fewer others",
        )  # fmt: skip
        return None
    frame = walk.frame
    inner = Walk(
        unit, frame, "assertion", closed=walk.closed, definition=definition, expanding=True,
        prefix=f"{len(frame.slots.names)}.", depth=walk.depth + 1,
    )  # fmt: skip
    state = inner.state
    state.response, state.response_label = walk.state.response, walk.state.response_label
    state.user = walk.state.user
    given = {each.param.name: each.value for each in bound}
    arguments: list[tuple[int, p.Expr]] = []
    kept = unit.report.capture()
    found: list[Diagnostic] = []
    try:
        body = _body(unit, inner, node, definition, given, arguments)
    finally:
        found = unit.report.release(kept)
    if found:
        _report_expansion(walk, node, definition, found)
    made = p.Expand(node.span, node.name, tuple(arguments), body, ())
    return made, inner.state


def _body(
    unit: Unit, inner: Walk, node: n.Call, definition: Definition, given: dict[str, p.Expr],
    arguments: list[tuple[int, p.Expr]],
) -> p.Block:  # fmt: skip
    """The body of one call: parameters whose arguments are known are these, the others get slots."""
    for parameter in definition.node.parameters:
        value = given[parameter.name]
        if parameter.default is not None and _left_out(node, definition, parameter.name):
            value = default_value(unit, definition, parameter.name, parameter.default)
        kind = definition.types[parameter.name]
        private = parameter.private or value.private
        if isinstance(value, p.Const):
            const = replace(value, type=kind.sure()) if value.type.name != "none" and kind.name != "json" else value
            var = Var(parameter.name, -1, kind, parameter.name_span, "parameter", private, const=const)
        else:
            slot = inner.slot(parameter.name)
            if private:
                inner.frame.hidden.add(slot)
            arguments.append((slot, _typed(value, kind, parameter.name, definition.name)))
            var = Var(parameter.name, slot, kind, parameter.name_span, "parameter", private)
        inner.state.names[parameter.name] = var
    return check_block(inner, definition.node.body)


def _left_out(node: n.Call, definition: Definition, name: str) -> bool:
    if any(arg.name == name for arg in node.args):
        return False
    place = next(i for i, param in enumerate(definition.signature.positional) if param.name == name)
    return sum(arg.name is None for arg in node.args) <= place


def _report_expansion(walk: Walk, node: n.Call, definition: Definition, found: list[Diagnostic]) -> None:
    """What is wrong with the body for these arguments only is said at the call."""
    first = found[0]
    place = node.name_span
    for arg in node.args:
        # the argument is shown where the finding is about a parameter it was given for
        word = arg.name
        if word is None:
            at = node.args.index(arg)
            positional = definition.signature.positional
            word = positional[at].name if at < len(positional) else None
        if word is not None and first.span.text == word:
            place = arg.value.span
    walk.error(
        first.name, place, first.message, label=first.label,
        labels=[Label(first.span, f"in `{definition.name}`, as it is called here"), *first.labels], help=first.help,
    )  # fmt: skip


# --- values that are known for each message only -------------------------------------------------

_PYTHON: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "number": (int, float), "boolean": (bool,), "list": (list, tuple), "map": (dict,),
}  # fmt: skip


def _typed(value: p.Expr, kind: Type, parameter: str, assertion: str) -> p.Expr:
    """The argument, held to the parameter's type where only the message can tell."""
    got = value.type
    # an element of a JSON list is as good as there, and may be `none`
    sure = kind.optional or not (got.optional or got.name == "json")
    if kind.name == "unknown" or (sure and kind.name in ("json", got.name)):
        return value
    if kind.name not in _PYTHON and got.name != kind.name and sure:
        return value
    card = _check_card(kind, parameter, assertion)
    return p.FunctionCall(value.span, kind, value.private, card, (value,))


@lru_cache(maxsize=1024)
def _check_card(kind: Type, parameter: str, assertion: str) -> FunctionCard:
    """It bears the names of both, as what it finds is told with them."""
    python = _PYTHON.get(kind.name)
    word = f"`{parameter}` of `{assertion}`"

    def check(value: Any) -> Any:
        if value is None:
            if kind.optional:
                return None
            raise missing_value(f"{word} is `none`")
        if python is not None and not isinstance(value, python):
            raise wrong_type(f"{word} is not {phrase(kind)}")
        if kind.name == "number" and isinstance(value, bool):
            raise wrong_type(f"{word} is not a number")
        return value

    param = ParamCard(
        parameter, "", (kind.sure(),), True, positional=True, accepts_none=kind.optional, attribute=parameter
    )
    return FunctionCard(
        name=assertion, group="argument", summary="An argument of a user's assertion.", doc="", example="",
        params=(param,), returns=kind, call=check, prepare=None, returns_for=None, pure=False,
    )  # fmt: skip
