"""Assertions that a policy defines, each checked by itself with the types that it declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policylang.check import program as p
from policylang.check.arguments import Signature, signature_of
from policylang.check.binding import usable
from policylang.check.blocks import check_block
from policylang.check.fitting import fit
from policylang.check.kinds import UNKNOWN
from policylang.check.order import calls_in, in_order
from policylang.check.scope import Slots, Var
from policylang.check.swallowing import observes
from policylang.check.walk import Frame, Walk
from policylang.diagnostics import Label
from policylang.sdk import static_types as t
from policylang.sdk.card import ParamCard
from policylang.sdk.static_types import Type
from policylang.source import Span
from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from policylang.check.unit import Unit


class Definition:
    """One `assertion` of a policy. `circle`: the way from it back to itself, where there is one."""

    __slots__ = (
        "alive", "broken", "checked", "circle", "name", "node", "observes", "outputs", "private_outputs", "responds",
        "signature", "types", "user",
    )  # fmt: skip

    def __init__(self, node: n.AssertionDeclaration) -> None:
        self.node = node
        self.name = node.name
        self.checked = False
        self.circle: list[str] = []
        self.broken = False
        self.responds: Span | None = None
        self.alive = True
        self.user = False
        self.observes = False
        self.types: dict[str, Type] = {}
        self.signature: Signature = signature_of(node.name, ())
        self.outputs: dict[str, Type] = {output.name: UNKNOWN for output in node.outputs}
        self.private_outputs = frozenset(output.name for output in node.outputs if output.private)


# --- the definition itself -----------------------------------------------------------------------


def define_all(unit: Unit) -> None:
    """Check every definition by itself, each after those that it calls."""
    definitions = unit.definitions
    for definition in definitions.values():
        declare(unit, definition)
    order, circles = in_order(
        definitions, lambda name: [each for each in calls_in(definitions[name].node.body) if each in definitions]
    )
    for name, circle in circles.items():
        definitions[name].circle = circle
    for name in order:
        define(unit, definitions[name])


def declare(unit: Unit, definition: Definition) -> None:
    """Read the parameters: what calls are checked against."""
    params: list[ParamCard] = []
    seen: dict[str, Span] = {}
    for node in definition.node.parameters:
        if node.name in seen:
            unit.report.error("duplicate-name", node.name_span, f"two parameters are called `{node.name}`",
                              labels=[Label(seen[node.name], "first here")], help="rename one of them")  # fmt: skip
            continue
        seen[node.name] = node.name_span
        kind = t.WORDS.get(node.type)
        if kind is None:
            close = unit.nearest(node.type, t.WORDS)
            words = ", ".join(f"`{word}`" for word in t.WORDS)
            cure = f"did you mean `{close}`?" if close is not None else f"write one of {words}"
            unit.report.error("unknown-type", node.type_span, f"there is no type `{node.type}`", help=cure)
            kind = UNKNOWN
        definition.types[node.name] = kind.maybe() if node.optional or kind is UNKNOWN else kind.sure()
        taken = t.ANY if kind.name == "unknown" else kind
        params.append(
            ParamCard(
                name=node.name, doc="", types=(taken,), lazy=True, positional=True,
                required=node.default is None and not node.optional,
                accepts_none=node.optional or kind is UNKNOWN, attribute=node.name,
            )
        )  # fmt: skip
    definition.signature = signature_of(definition.name, params)


def define(unit: Unit, definition: Definition) -> None:
    """Check one body, with the types that the parameters are declared to have."""
    before = len(unit.report.diagnostics)
    node = definition.node
    walk = Walk(unit, Frame(definition.name, Slots()), "assertion", definition=definition)
    walk.state.response = "set"  # that is the caller's affair, and judged for each call
    for parameter in node.parameters:
        if parameter.name in walk.state.names:
            continue
        kind = definition.types[parameter.name]
        usable(walk, parameter.name, parameter.name_span, "parameter")
        walk.state.names[parameter.name] = Var(
            parameter.name, walk.slot(parameter.name), kind, parameter.name_span, "parameter", parameter.private,
            parametric=True,
        )  # fmt: skip
        if parameter.default is not None:
            default_value(unit, definition, parameter.name, parameter.default)
    check_block(walk, node.body)
    definition.alive = walk.state.alive
    definition.user = walk.state.user and not walk.state.lost
    definition.responds = walk.responds
    definition.observes = observes(walk, node.body.statements)
    _check_outputs(walk, definition)
    definition.broken = len(unit.report.diagnostics) > before
    definition.checked = True


def default_value(unit: Unit, definition: Definition, name: str, node: n.Expr) -> p.Expr:
    param = definition.signature.by_name[name]
    walk = Walk(unit, Frame(definition.name, Slots()), "default", definition=definition)
    walk.state.response = "set"
    return fit(walk, param, walk.value(node), node)


def _check_outputs(walk: Walk, definition: Definition) -> None:
    state = walk.state
    seen: dict[str, Span] = {}
    for output in definition.node.outputs:
        if output.name in seen:
            walk.error("duplicate-name", output.span, f"two outputs are called `{output.name}`",
                       labels=[Label(seen[output.name], "first here")], help="rename one of them")  # fmt: skip
            continue
        seen[output.name] = output.span
        var = state.names.get(output.name)
        if var is not None:
            if var.kind == "parameter":
                walk.error("duplicate-name", output.span, f"`{output.name}` is a parameter too",
                           labels=[Label(var.span, "declared here")], help="rename the output")  # fmt: skip
            definition.outputs[output.name] = var.type
        elif state.alive and not state.lost:
            ended = state.ended.get(output.name)
            labels = [Label(ended.var.span, f"set here, {ended.where}")] if ended is not None else []
            close = walk.unit.nearest(output.name, state.names)
            if labels or close is None:
                cure = f"bind `{output.name}` on every way through `{definition.name}`"
            else:
                cure = f"did you mean `{close}`?"
            walk.error(
                "unset-output", output.span, f"`{definition.name}` can succeed without setting `{output.name}`",
                labels=labels, help=cure,
            )  # fmt: skip
