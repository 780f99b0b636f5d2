"""How a policy is written: statements of the syntax tree with what is around them, and the names that bodies read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from policylang.lint.look import nodes
from policylang.record import record
from policylang.source import Span
from policylang.syntax import nodes as n

Place: TypeAlias = tuple[str, int, int]
"""A span, as what is meant and what is written share it."""


def place_of(span: Span) -> Place:
    return (span.source.name, span.start, span.end)


@record
class Written:
    """A statement in its block, at `index`. `parents`: the statements around it, the outermost first. `in_turn`: what
    stands in the block runs from top to bottom; in `any`, `none` and `parallel` each statement is a branch."""

    statement: n.Statement
    block: n.Block
    index: int
    parents: tuple[n.Statement, ...]
    in_turn: bool
    file: n.File


@record
class Scope:
    """A body with names of its own. `blocks` is its own block, of a test its title and rows too."""

    file: n.File
    declaration: n.Declaration
    blocks: tuple[n.Node, ...]

    def reads(self) -> set[str]:
        """The names that stand in it, but as what `set` and `remove` write; an assertion's outputs are read by those
        who call it."""
        found: set[str] = set()
        written: set[int] = set()
        for node in nodes(self.blocks):
            if isinstance(node, (n.Set, n.Remove)) and isinstance(node.target, n.Name):
                written.add(id(node.target))
            elif isinstance(node, n.Name) and id(node) not in written:
                found.add(node.name)
        if isinstance(self.declaration, n.AssertionDeclaration):
            found.update(output.name for output in self.declaration.outputs)
        return found


def scopes(files: tuple[n.File, ...]) -> Iterator[Scope]:
    for file in files:
        for each in file.declarations:
            if isinstance(each, n.Service):
                yield Scope(file, each, (each.body,))
                if each.on_failure is not None:
                    yield Scope(file, each, (each.on_failure,))
            elif isinstance(each, (n.AssertionDeclaration, n.Global)):
                yield Scope(file, each, (each.body,))
            elif isinstance(each, n.Test):
                yield Scope(file, each, (each.title, each.body))


def written(scope: Scope) -> Iterator[Written]:
    """Every statement of a body, outer before inner."""
    for each in scope.blocks:
        if isinstance(each, n.Block):
            yield from _in_block(each, (), True, scope.file)


def _in_block(block: n.Block, parents: tuple[n.Statement, ...], in_turn: bool, file: n.File) -> Iterator[Written]:
    for index, statement in enumerate(block.statements):
        yield Written(statement, block, index, parents, in_turn, file)
        inner_in_turn = not (isinstance(statement, n.Group) and statement.kind != "all")
        for inner in held(statement):
            yield from _in_block(inner, (*parents, statement), inner_in_turn, file)


def held(statement: n.Statement) -> Iterator[n.Block]:
    """The blocks of a statement, in the order of the text."""
    if isinstance(statement, n.If):
        yield from (arm.body for arm in statement.arms)
        if statement.orelse is not None:
            yield statement.orelse
    elif isinstance(statement, (n.Match, n.Split)):
        yield from (case.body for case in statement.cases)
    elif isinstance(statement, (n.Group, n.For)):
        yield statement.body
    elif isinstance(statement, n.Try):
        yield statement.body
        yield statement.handler
    elif isinstance(statement, n.Else):
        yield n.Block(statement.left.span, (statement.left,), False)
        yield statement.right
    elif isinstance(statement, n.Call) and statement.block is not None:
        yield statement.block


def names_in(found: Iterable[n.Node]) -> set[tuple[str, str]]:
    """What these nodes name: `name` for a bare word, `call` for an assertion, `map` for `map("…")`."""
    named = set()
    for node in found:
        if isinstance(node, n.Name):
            named.add(("name", node.name))
        elif isinstance(node, n.Call):
            named.add(("call", node.name))
        elif isinstance(node, n.CallExpr) and node.name == "map" and node.args:
            value = node.args[0].value
            named.add(("map", (value.literal or "") if isinstance(value, n.Text) else ""))
    return named


def ends(block: n.Block) -> bool:
    """Whether its last statement answers or fails, so that nothing behind the block is reached from it."""
    return bool(block.statements) and isinstance(block.statements[-1], (n.Respond, n.Fail))


__all__ = ["Place", "Scope", "Written", "ends", "held", "names_in", "place_of", "scopes", "written"]
