"""A call's arguments as its assertion wants them: constants as they are, the rest as functions of the exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policylang.check import program as p
from policylang.sdk.card import ParamCard
from policylang.sdk.exchange import Exchange
from policylang.sdk.shared_map import SharedMap
from policylang.sdk.values import Known, UpstreamName
from policylang.tree.emit import Function, Source, taken
from policylang.tree.facts import callers
from policylang.tree.keys import key_function
from policylang.tree.query import query_function
from policylang.tree.target import target_function
from policylang.tree.values import PRIVATE


def evaluation(statement: p.Invoke) -> Callable[..., Any]:
    """Make the assertion of a call and give its `evaluate`."""
    arguments = {
        bound.param.attribute or bound.param.name: _argument(bound, statement) for bound in statement.args
    }
    assertion = statement.card.make(**arguments)
    taken = any(slot is not None for slot in statement.outputs)
    evaluate: Callable[..., Any] = assertion.giving if taken and statement.card.gives_apart else assertion.evaluate
    return evaluate


def _argument(bound: p.Bound, statement: p.Invoke) -> Any:
    param, expr = bound.param, bound.value
    if not param.lazy:
        return _constant(param, expr, statement.card.name)
    if isinstance(expr, p.Const) and expr.value is None and not param.required and param.default is None:
        return None  # left out
    kinds = {kind.name for kind in param.types}
    if param.shown and expr.private:
        return masked(_function(param, expr, statement.card.name))
    if "key" in kinds:
        key = key_function(expr, statement.counter, param.accepts_none, _hides(statement, expr))
        if not isinstance(key, Known):
            key.reads = callers(expr)  # type: ignore[attr-defined]  # see `policylang.sdk.values.reads`
        return key
    if "target" in kinds:
        return target_function(expr)
    if "query" in kinds:
        return query_function(expr)
    return _function(param, expr, statement.card.name)


def _hides(statement: p.Invoke, expr: p.Expr) -> bool:
    """Whether a key is hashed: a private one, but in a map as the map says, or none would find what another stored."""
    for bound in statement.args:
        if isinstance(bound.value, p.Const) and isinstance(bound.value.value, SharedMap):
            return bound.value.value.private
    return expr.private


def masked(function: Function) -> Function:
    """Worked out, since that may fail, and not shown."""

    def shown(exchange: Exchange) -> str:
        function(exchange)
        return PRIVATE

    return shown


def _function(param: ParamCard, expr: p.Expr, card: str) -> Function:
    if isinstance(expr, p.Const):
        return Known(_constant(param, expr, card))
    source = Source(expr, empty=True)
    source.text = taken(source, expr, param, f"`{param.name}` of `{card}`", 0)
    if param.many:
        source.text = f"({source.text},)" if expr.type.name != "list" else f"tuple({source.text})"
    return source.function()


def _constant(param: ParamCard, expr: p.Expr, card: str) -> Any:
    if not isinstance(expr, p.Const):
        raise ValueError(f"`{param.name}` of `{card}` must be known when the policy is loaded")
    value = expr.value
    if param.many and not isinstance(value, tuple):
        return tuple(value) if isinstance(value, list) else () if value is None else (value,)
    if isinstance(value, str) and any(kind.name == "upstream" for kind in param.types):
        return UpstreamName(value)
    return value
