"""Blocks: statements one after another, and what nothing reaches."""

from __future__ import annotations

from policylang.check import program as p
from policylang.check.walk import Walk
from policylang.diagnostics import Label
from policylang.source import Span
from policylang.syntax import nodes as n

_WORDS: dict[type[n.Statement], str] = {
    n.Require: "require", n.Let: "let", n.Set: "set", n.Remove: "remove", n.If: "if", n.Match: "match", n.For: "for",
    n.Split: "split", n.Try: "try", n.Respond: "respond", n.Fail: "fail",
}  # fmt: skip


def word_of(node: n.Statement) -> str:
    """What a message calls a statement."""
    if isinstance(node, n.Call):
        return node.name
    if isinstance(node, n.Group):
        return node.kind
    if isinstance(node, n.Else):
        return word_of(node.left)
    return _WORDS.get(type(node), "")


def head(node: n.Node) -> Span:
    """A statement's first line."""
    span = node.span
    end = span.source.text.find("\n", span.start, span.end)
    return span if end < 0 else Span(span.source, span.start, end)


def check_block(walk: Walk, block: n.Block) -> p.Block:
    return p.Block(block.span, check_statements(walk, block.statements))


def check_statements(walk: Walk, nodes: tuple[n.Statement, ...]) -> tuple[p.Statement, ...]:
    made: list[p.Statement] = []
    dead = lost = False
    last: n.Statement | None = None
    for node in nodes:
        if not walk.state.alive:
            if walk.expanding:
                break  # this call never comes to it
            if last is not None and not dead:
                walk.error(
                    "unreachable", head(node), "nothing gets here",
                    labels=[Label(head(last), "every way ends here")], help="remove it, or move it before that line",
                )  # fmt: skip
            if not dead:
                lost = walk.state.lost
            dead = True
            walk.state.alive = walk.state.lost = True
            walk.state.response = walk.state.response or "set"
        found = check_statement(walk, node)
        if found is not None:
            made.append(found)
        last = node
    if dead:
        walk.state.alive = False
        walk.state.lost = lost
    return tuple(made)


def check_statement(walk: Walk, node: n.Statement) -> p.Statement | None:
    kept = walk.word
    walk.word = word_of(node)
    if walk.expanding:
        walk.unit.expansions_left -= 1
    try:
        return walk.statement(node)
    except RecursionError:
        walk.error("too-deep", head(node), "this is nested too deeply",
                   help="move a part of it into an `assertion`, or bind parts of it with `let`")  # fmt: skip
        walk.state.lost = True
        return None
    finally:
        walk.word = kept
