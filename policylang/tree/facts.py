"""What is known of expressions and statements before anything runs: what they read, hold, send and write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from policylang.check import program as p
from policylang.sdk.static_types import BODY_FIELDS

REQUEST = 1
RESPONSE = 2
_MESSAGES = {"request": REQUEST, "response": RESPONSE}


def parts(expr: p.Expr) -> Iterator[p.Expr]:
    """An expression and all that it is made of."""
    waiting = [expr]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += children(each)


def children(expr: p.Expr) -> tuple[p.Expr, ...]:
    """What an expression is made of itself, in the order of the text."""
    if isinstance(expr, p.BinaryOp):
        return (expr.left, expr.right)
    if isinstance(expr, p.MemberOf):
        return (expr.base, expr.key)
    if isinstance(expr, p.Named):
        return (expr.key,)
    if isinstance(expr, p.UnaryOp):
        return (expr.operand,)
    if isinstance(expr, p.IfExpr):
        return (expr.condition, expr.then, expr.orelse)
    if isinstance(expr, p.ListOf):
        return expr.items
    if isinstance(expr, p.MapOf):
        return tuple(value for _, value in expr.entries)
    if isinstance(expr, p.Template):
        return tuple(part for part in expr.parts if not isinstance(part, str))
    return expr.args if isinstance(expr, p.FunctionCall) else ()


def touches(expr: p.Expr) -> int:
    """Which messages it reads anything of."""
    found = 0
    for part in parts(expr):
        if isinstance(part, (p.MessageRef, p.MessageField, p.Named)):
            found |= _MESSAGES[part.message]
    return found


def callers(expr: p.Expr) -> frozenset[str]:
    """What it reads that may tell callers apart: `user`, `authorization` (the bearer token in it), other fields."""
    found = set()
    for part in parts(expr):
        if isinstance(part, p.ContextValue) and part.root == "user":
            found.add("user")
        elif isinstance(part, p.MessageField) and part.field == "bearer":
            found.add("authorization")
        elif isinstance(part, p.Named) and part.kind == "header" and isinstance(part.key, p.Const):
            found.add(str(part.key.value).lower())
    return frozenset(found)


def bodies(expr: p.Expr | None) -> int:
    """Whose body must be held before it can be worked out."""
    if expr is None:
        return 0
    found = 0
    for part in parts(expr):
        if isinstance(part, p.MessageRef) or (isinstance(part, p.MessageField) and part.field in BODY_FIELDS):
            found |= _MESSAGES[part.message]
    return found


def needs(statement: p.Statement) -> int:
    """Whose body must be held before the statement itself runs; what stands in its blocks asks for itself."""
    if isinstance(statement, p.Invoke):
        found = REQUEST if statement.card.sends else 0
        for bound in statement.args:
            if statement.card.reads_bodies or not isinstance(bound.value, p.MessageRef):
                found |= bodies(bound.value)
        return found
    if isinstance(statement, p.Expand):
        return _all(*[value for _, value in statement.arguments])
    if isinstance(statement, p.Require):
        return bodies(statement.condition)
    if isinstance(statement, p.Let):
        return bodies(statement.value)
    if isinstance(statement, p.SetPlace):
        return bodies(statement.value) | _of_place(statement.place)
    if isinstance(statement, p.RemovePlace):
        return _of_place(statement.place)
    if isinstance(statement, p.If):
        return bodies(statement.arms[0][0])
    if isinstance(statement, p.Match):
        return bodies(statement.subject)
    if isinstance(statement, p.For):
        return bodies(statement.iterable)
    if isinstance(statement, p.Respond):
        return _all(statement.status, statement.body, statement.json, statement.content_type,
                    *[value for _, value in statement.headers])  # fmt: skip
    if isinstance(statement, p.Fail):
        return _all(statement.status, statement.detail, statement.title)
    return 0


def _all(*exprs: p.Expr | None) -> int:
    found = 0
    for expr in exprs:
        found |= bodies(expr)
    return found


def _of_place(place: p.Place) -> int:
    return bodies(place.key) if isinstance(place, p.NamedPlace) else 0


def blocks(statement: p.Statement) -> tuple[p.Block, ...]:
    """The blocks that a statement holds, in the order of the text."""
    if isinstance(statement, p.Invoke):
        return () if statement.block is None else (statement.block,)
    if isinstance(statement, (p.Expand, p.Group, p.For)):
        return (statement.body,)
    if isinstance(statement, p.If):
        found = tuple(block for _, block in statement.arms)
        return found if statement.orelse is None else (*found, statement.orelse)
    if isinstance(statement, p.Match):
        found = tuple(case.body for case in statement.cases)
        return found if statement.orelse is None else (*found, statement.orelse)
    if isinstance(statement, p.Try):
        return (statement.body, statement.handler)
    if isinstance(statement, p.Else):
        return (p.Block(statement.left.span, (statement.left,)), statement.right)
    return ()


def only_looks(statement: p.Statement) -> bool:
    """Whether it changes nothing that there was before it: where it passes, it has read, and bound names perhaps."""
    if not isinstance(statement, (p.Require, p.Let, p.If, p.Match, p.Fail, p.Ignore)):
        return False
    return all(only_looks(inner) for block in blocks(statement) for inner in block.statements)


def all_needs(statement: p.Statement) -> int:
    """As `needs`, of a statement with everything inside it."""
    found = needs(statement)
    if isinstance(statement, p.If):
        for condition, _ in statement.arms:
            found |= bodies(condition)
    for block in blocks(statement):
        for inner in block.statements:
            found |= all_needs(inner)
    return found


def answers(statement: p.Statement) -> bool:
    """Whether it may send the request: `route` and its like."""
    if isinstance(statement, p.Invoke) and statement.card.answers:
        return True
    return any(answers(inner) for block in blocks(statement) for inner in block.statements)


def wants_request(statement: p.Statement) -> bool:
    """Whether the request's body must still be there when the statement runs: it reads or sends it."""
    return bool(all_needs(statement) & REQUEST) or answers(statement)


class Writes(NamedTuple):
    """What a branch may write and would have to take back; `slots` are variables written with `set`."""

    request: bool = False
    response: bool = False
    user: bool = False
    slots: frozenset[int] = frozenset()

    def __or__(self, other: Writes) -> Writes:
        return Writes(
            self.request or other.request, self.response or other.response, self.user or other.user,
            self.slots | other.slots,
        )  # fmt: skip

    @property
    def nothing(self) -> bool:
        return not (self.request or self.response or self.user or self.slots)


def writes(*statements: p.Statement) -> Writes:
    found = Writes()
    for statement in statements:
        if isinstance(statement, (p.SetPlace, p.RemovePlace)):
            place = statement.place
            if isinstance(place, p.SlotPlace):
                found |= Writes(slots=frozenset((place.slot,)))
            else:
                found |= Writes(request=place.message == "request", response=place.message == "response")
        elif isinstance(statement, p.Invoke):
            effects = statement.card.effects
            found |= Writes("request" in effects, "response" in effects or statement.card.answers, "user" in effects)
            if not statement.card.reads_bodies:
                # Given a message that it does not read, it can only set a limit to it.
                for bound in statement.args:
                    if isinstance(bound.value, p.MessageRef):
                        of_request = bound.value.message == "request"
                        found |= Writes(request=of_request, response=not of_request)
        for block in blocks(statement):
            found |= writes(*block.statements)
    return found


def binds(*statements: p.Statement) -> frozenset[int]:
    """Every slot that something inside may bind or write."""
    found: set[int] = set()
    for statement in statements:
        if isinstance(statement, (p.Let, p.For)):
            found.add(statement.slot)
        elif isinstance(statement, p.Invoke):
            found.update(slot for slot in statement.outputs if slot is not None)
        elif isinstance(statement, p.Expand):
            found.update(slot for slot, _ in statement.arguments)
            found.update(slot for _, slot in statement.outputs)
        elif isinstance(statement, p.Try) and statement.slot is not None:
            found.add(statement.slot)
        elif isinstance(statement, (p.SetPlace, p.RemovePlace)) and isinstance(statement.place, p.SlotPlace):
            found.add(statement.place.slot)
        for block in blocks(statement):
            found |= binds(*block.statements)
    return frozenset(found)
