"""The entries of a document as the tree that they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

Entry = dict[str, Any]


class Node:
    """One entry with those that stand in it. `waited`: ns that it took by itself, 0 where others stand in it.

    `counts`: whether its failure is one of the whole part, and was not taken by something around it.
    """

    __slots__ = ("children", "counts", "entry", "waited")

    def __init__(self, entry: Entry, children: list[Node], waited: int) -> None:
        self.entry = entry
        self.children = children
        self.waited = waited
        self.counts = False

    @property
    def failed(self) -> bool:
        return bool(self.entry["outcome"] == "failed")

    @property
    def innermost(self) -> bool:
        """It has failed by itself, not with what stands in it."""
        entry = self.entry
        return self.failed and not any(
            child.failed and child.entry.get("name") == entry.get("name") for child in self.children
        )

    @property
    def place(self) -> tuple[str, int, int]:
        return self.entry["file"], self.entry["line"], self.entry["column"]


def nested(entries: Iterable[Entry]) -> list[Node]:
    """A statement's entry comes after those of the statements in it, which are deeper."""
    found: list[Node] = []
    before = 0
    for entry in entries:
        first = len(found)
        while first and found[first - 1].entry["depth"] > entry["depth"]:
            first -= 1
        children = found[first:]
        del found[first:]
        at = entry.get("at", before)
        waited = 0 if children else max(entry.get("took", 0), at - before)
        before = at
        found.append(Node(entry, children, waited))
    for root in found:
        _count(root, True)
    return found


def _count(root: Node, counts: bool) -> None:
    waiting = [(root, counts)]
    while waiting:
        node, counts = waiting.pop()
        node.counts = counts and node.failed
        waiting += [(child, node.counts) for child in node.children]


def within(nodes: Iterable[Node]) -> Iterator[Node]:
    """All of them and what stands in them, without the bodies of users' assertions."""
    waiting = [*nodes][::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if "body" not in node.entry:
            waiting += node.children[::-1]
