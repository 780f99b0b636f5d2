"""`skipped-check`: who somebody is is asked where it may not be asked at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from policylang.check import program as p
from policylang.check.walk import Walk
from policylang.diagnostics import Label
from policylang.syntax import nodes as n

_IDENTITY = "identity"
"""The group of assertions that say who somebody is, or where from."""


def skipped(walk: Walk, node: n.Call, block: p.Block) -> None:
    """Report what a block must not hold that is not run for every request that its assertion lets pass."""
    for inner in _invoked(block):
        if inner.card.group == _IDENTITY or "user" in inner.card.effects:
            walk.error(
                "skipped-check", inner.span, f"`{inner.card.name}` is not asked for what `{node.name}` answers itself",
                labels=[Label(node.name_span, "an answer from here passes without its block")],
                help=f"put it before `{node.name}`",
            )  # fmt: skip


def _invoked(found: object) -> Iterator[p.Invoke]:
    """Every call of the catalog's assertions in checked statements, in the order of the text."""
    if isinstance(found, tuple):
        for each in found:
            yield from _invoked(each)
    elif isinstance(found, (p.Statement, p.Block, p.Case)):
        if isinstance(found, p.Invoke):
            yield found
        for field in fields(found):
            if field.name not in ("args", "card", "span"):
                yield from _invoked(getattr(found, field.name))
