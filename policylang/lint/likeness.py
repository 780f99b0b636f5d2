"""When two expressions, or two pieces of text, say the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from policylang.check import program as p
from policylang.sdk.card import Card, FunctionCard, ParamCard
from policylang.sdk.networks import Networks
from policylang.syntax import nodes as n

_LARGE = 64
_LEFT_OUT = frozenset({"span", "type", "private", "dynamic", "text", "counter", "name"})


def shape(value: Any, named: Callable[[int], Hashable] | None = None) -> Hashable:
    """Equal for expressions that have one value for one message at one time, and for statements that do the same.

    What differs each time it is asked, such as `now` or `uuid()`, is like nothing. `named`: what stands for a variable,
    by its slot; else it is like itself only.
    """
    if isinstance(value, p.FunctionCall):
        if value.card.group == "argument":
            return shape(value.args[0], named)
        return (value.card.name, shape(value.args, named)) if value.card.pure else object()
    if isinstance(value, p.SlotRef) and named is not None:
        return named(value.slot)
    if isinstance(value, p.ContextValue):
        return object() if value.root == "now" else (value.root, value.field)
    if isinstance(value, p.Named) and value.kind == "header" and isinstance(value.key, p.Const):
        return (value.message, "header", str(value.key.value).lower(), value.all)
    if isinstance(value, p.Bound):
        return (value.param.name, shape(value.value, named))
    if isinstance(value, (p.Expr, p.Statement, p.Block, p.Case)):
        fields = [name for name in value.__dataclass_fields__ if name not in _LEFT_OUT]
        return (type(value).__name__, *[shape(getattr(value, name), named) for name in fields])
    if isinstance(value, (tuple, list)):
        return tuple(shape(each, named) for each in value)
    if isinstance(value, (Card, FunctionCard, ParamCard)):
        return value.name
    if isinstance(value, dict) and len(value) > _LARGE:
        return id(value)  # the map of a file, which is read once
    return (type(value).__name__, value if isinstance(value, Networks) else repr(value))


def written(node: Any) -> Hashable:
    """Equal for what is written alike, whatever the layout and the comments."""
    if isinstance(node, n.Block):
        return tuple(written(each) for each in node.statements)
    if isinstance(node, n.Node):
        fields = [name for name in node.__dataclass_fields__ if name != "span" and not name.endswith("_span")]
        return (type(node).__name__, *[written(getattr(node, name)) for name in fields])
    if isinstance(node, tuple):
        return tuple(written(each) for each in node)
    return (type(node).__name__, node)
