"""All nodes of a syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from policylang.syntax import nodes as n


def walk(value: Any) -> Iterator[Any]:
    """A node, or several, and all that stand in them."""
    if isinstance(value, tuple):
        for each in value:
            yield from walk(each)
    elif isinstance(value, n.Node):
        yield value
        yield from walk(children(value))


def children(node: n.Node) -> tuple[Any, ...]:
    return tuple(v for f in fields(node) if isinstance(v := getattr(node, f.name), (tuple, n.Node)))
