"""`parallel`: what each branch may write, and if two may write one thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from policylang.check import program as p
from policylang.check.walk import Walk
from policylang.diagnostics import Label
from policylang.source import Span

Thing: TypeAlias = tuple[str, str, str]
"""`("name", slot, "")`, `("user", "", "")`, or a message's part, `("request", "header", "x-a")`; "" is every one."""


def conflicts(walk: Walk, branches: Sequence[p.Statement]) -> None:
    """Report a `route` in a branch, and things that two branches may write."""
    written: list[list[tuple[Thing, Span]]] = []
    for branch in branches:
        found: list[tuple[Thing, Span]] = []
        for thing, span in _writes(branch):
            if thing[0] == "route":
                walk.error("parallel-conflict", span, "`parallel` cannot hold a `route`",
                           help="route before it or after it")  # fmt: skip
            else:
                found.append((thing, span))
        written.append(found)
    for place, later in enumerate(written):
        for thing, span in later:
            first = next(
                (at for earlier in written[:place] for other, at in earlier if _overlap(thing, other)), None
            )
            if first is not None:
                walk.error(
                    "parallel-conflict", span, f"two branches of this `parallel` may write {_words(walk, thing)}",
                    labels=[Label(first, "written here too")], help="write it in one branch, or after the `parallel`",
                )  # fmt: skip


def _overlap(a: Thing, b: Thing) -> bool:
    return a[0] == b[0] and (not a[1] or not b[1] or a[1] == b[1]) and (not a[2] or not b[2] or a[2] == b[2])


def _words(walk: Walk, thing: Thing) -> str:
    owner, kind, name = thing
    if owner == "name":
        return f"`{walk.frame.slots.names[int(kind)]}`"
    if not kind:
        return f"`{owner}`"
    return f'`{owner}.{kind}["{name}"]`' if name else f"`{owner}.{kind}`"


def _writes(node: p.Statement | p.Block) -> Iterator[tuple[Thing, Span]]:
    """Everything that a statement may write, its own names too."""
    if isinstance(node, p.Block):
        for each in node.statements:
            yield from _writes(each)
    elif isinstance(node, p.Let):
        yield ("name", str(node.slot), ""), node.span
    elif isinstance(node, (p.SetPlace, p.RemovePlace)):
        yield _thing(node.place), node.span
    elif isinstance(node, p.Invoke):
        yield from _invoked(node)
    elif isinstance(node, p.Expand):
        # the names inside of a user's assertion are its own; its outputs are slots of the caller
        for thing, _ in _writes(node.body):
            if thing[0] != "name":
                yield thing, node.span
        for _, slot in node.outputs:
            yield ("name", str(slot), ""), node.span
    elif isinstance(node, p.Group):
        yield from _writes(node.body)
    elif isinstance(node, p.If):
        for _, body in node.arms:
            yield from _writes(body)
        if node.orelse is not None:
            yield from _writes(node.orelse)
    elif isinstance(node, p.Match):
        for case in node.cases:
            yield from _writes(case.body)
        if node.orelse is not None:
            yield from _writes(node.orelse)
    elif isinstance(node, p.For):
        yield from _writes(node.body)
    elif isinstance(node, p.Try):
        yield from _writes(node.body)
        yield from _writes(node.handler)
    elif isinstance(node, p.Else):
        yield from _writes(node.left)
        yield from _writes(node.right)


def _invoked(node: p.Invoke) -> Iterator[tuple[Thing, Span]]:
    if node.card.answers:
        yield ("route", "", ""), node.span
        return
    for effect in node.card.effects:
        yield (effect, "", ""), node.span
    for slot in node.outputs:
        if slot is not None:
            yield ("name", str(slot), ""), node.span
    if node.block is not None:
        yield from _writes(node.block)


def _thing(place: p.Place) -> Thing:
    if isinstance(place, p.SlotPlace):
        return ("name", str(place.slot), "")
    if isinstance(place, p.FieldPlace):
        kind = {"text": "body", "json": "body", "query_string": "query"}.get(place.field, place.field)
        return (place.message, kind, "")
    key = place.key
    name = key.value if isinstance(key, p.Const) and isinstance(key.value, str) else ""
    return (place.message, place.kind, name.lower() if place.kind == "header" else name)
