"""Looking through programs and syntax trees: what nearly every rule does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policylang.check import program as p
from policylang.record import record
from policylang.syntax import nodes as n
from policylang.tree.facts import blocks, parts

AUTHENTICATES = frozenset({"api_key"})
"""Assertions that find out who the caller is; those whose card has the effect `user` do too."""


@record
class Visit:
    """A statement on its way: `parents` are the statements around it, the outermost first; `block` is the one that it
    stands in, at `index`. `place`: `before`, `after`, `service`, `failure`."""

    statement: p.Statement
    parents: tuple[p.Statement, ...]
    block: p.Block
    index: int
    place: str
    service: p.Service | None
    outer: Visit | None = None
    """The statement that holds the block."""

    @property
    def before(self) -> tuple[p.Statement, ...]:
        """What stands before it in its own block."""
        return self.block.statements[: self.index]

    @property
    def after(self) -> tuple[p.Statement, ...]:
        return self.block.statements[self.index + 1 :]


def statements(
    block: p.Block, place: str, service: p.Service | None, parents: tuple[p.Statement, ...] = (),
    outer: Visit | None = None,
) -> Iterator[Visit]:  # fmt: skip
    """Every statement of a block and of what it holds, outer before inner."""
    for index, statement in enumerate(block.statements):
        visit = Visit(statement, parents, block, index, place, service, outer)
        yield visit
        for inner in blocks(statement):
            yield from statements(inner, place, service, (*parents, statement), visit)


def within(statement: p.Statement) -> Iterator[p.Statement]:
    """It and every statement inside it."""
    yield statement
    for block in blocks(statement):
        for inner in block.statements:
            yield from within(inner)


def own_expressions(statement: p.Statement) -> Iterator[p.Expr]:
    """The expressions of the statement itself, whole: conditions, arguments, values, keys of what it writes."""
    for name in statement.__dataclass_fields__:
        yield from _expressions(getattr(statement, name))


def _expressions(value: Any) -> Iterator[p.Expr]:
    if isinstance(value, p.Expr):
        yield value
    elif isinstance(value, p.Bound):
        yield value.value
    elif isinstance(value, p.NamedPlace):
        yield value.key
    elif isinstance(value, p.Case):
        yield from value.patterns
    elif isinstance(value, tuple):
        for each in value:
            yield from _expressions(each)


_KNOWN: dict[int, tuple[p.Statement, tuple[p.Expr, ...]]] = {}
"""What `expressions` has found; each statement is kept with it, so that no other one can have its id."""


def expressions(statement: p.Statement) -> tuple[p.Expr, ...]:
    """As `own_expressions`, each with all that it is made of. Nearly every rule asks for them: they are remembered."""
    known = _KNOWN.get(id(statement))
    if known is None:
        found = tuple(part for expr in own_expressions(statement) for part in parts(expr))
        known = _KNOWN[id(statement)] = (statement, found)
    return known[1]


def forget() -> None:
    """Another policy is looked at."""
    _KNOWN.clear()


def argument(statement: p.Statement, name: str) -> p.Expr | None:
    """The value of a parameter of a catalog's assertion; a default counts as given. None where it has none."""
    if isinstance(statement, p.Invoke):
        for bound in statement.args:
            if bound.param.name == name:
                return bound.value
    return None


def given(statement: p.Statement, name: str) -> p.Expr | None:
    """As `argument`, but None where the policy does not say it."""
    if isinstance(statement, p.Invoke):
        for bound in statement.args:
            if bound.param.name == name:
                written = bound.text and bound.value.span.source is statement.span.source
                return bound.value if written else None
    return None


def constant(expr: p.Expr | None) -> Any:
    """The value that is known when the policy is loaded, else None."""
    return expr.value if isinstance(expr, p.Const) else None


def bound(statement: p.Statement) -> Iterator[tuple[int, p.Expr | p.Invoke | int]]:
    """The slots that the statement itself gives a value, and what that is: an expression, an output, another slot."""
    if isinstance(statement, p.Let):
        yield statement.slot, statement.value
    elif isinstance(statement, p.For):
        yield statement.slot, statement.iterable
    elif isinstance(statement, p.SetPlace) and isinstance(statement.place, p.SlotPlace):
        yield statement.place.slot, statement.value
    elif isinstance(statement, p.Invoke):
        for slot in statement.outputs:
            if slot is not None:
                yield slot, statement
    elif isinstance(statement, p.Expand):
        yield from statement.arguments
        # what a body only passes on keeps its slot
        yield from ((outer, inner) for inner, outer in statement.outputs if outer != inner)


def calls(statement: p.Statement, *names: str) -> bool:
    """Whether it is a call of one of these assertions of the catalog."""
    return isinstance(statement, p.Invoke) and statement.card.name in names


def compared(expr: p.Expr) -> tuple[p.Expr, ...]:
    """The two sides of a question whether they are the same, by `same_secret`, `==` or `!=`; none of another."""
    if isinstance(expr, p.FunctionCall) and expr.card.name == "same_secret":
        return (expr.args[0], expr.args[1])
    return (expr.left, expr.right) if isinstance(expr, p.BinaryOp) and expr.op in ("==", "!=") else ()


def authenticates(statement: p.Statement) -> bool:
    return isinstance(statement, p.Invoke) and (
        "user" in statement.card.effects or statement.card.name in AUTHENTICATES
    )


def text_of(expr: p.Expr) -> str:
    """An expression as it is written, on one line."""
    return " ".join(expr.span.text.split())


def nodes(node: Any) -> Iterator[n.Node]:
    """A node of the syntax tree and all below it, outer before inner."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, tuple):
            waiting.extend(reversed(each))
        elif isinstance(each, n.Node):
            yield each
            waiting.extend(
                getattr(each, name) for name in reversed(each.__dataclass_fields__) if name != "span"
            )


__all__ = [
    "AUTHENTICATES", "Visit", "argument", "authenticates", "bound", "calls", "compared", "constant", "expressions",
    "forget", "given", "nodes", "own_expressions", "parts", "statements", "text_of", "within",
]  # fmt: skip
