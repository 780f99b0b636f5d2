"""What a journal of values reads where a statement has ended: what its own expressions read, and what it has bound.

A plan is made once for a place and kept there. It reads everything with one compiled function, and refers to nothing
but constants, as the tree does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from policylang.check import program as p
from policylang.record import record
from policylang.sdk import static_types as t
from policylang.sdk.exchange import Exchange
from policylang.sdk.static_types import BODY_FIELDS
from policylang.tree.emit import compiled
from policylang.tree.facts import binds, blocks, children, parts
from policylang.tree.outcome import Place

MOST_VALUES = 16
"""Values noted of one statement."""
MOST_NAME = 80
"""Characters of an expression that names a value."""


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What could not be read: the statement did not come to it, or failed by it."""

Written = frozenset[tuple[str, ...]]


@record
class Item:
    """One value of a statement. `name` is the expression's text, "" for a slot that the program names.

    `bound`: it is what the statement has bound, or written. `slot`: of a variable, else None. `private`: known to be so
    without the program; such a value is never read. `credential`: it was given to an assertion that authenticates.
    """

    name: str
    bound: bool
    private: bool
    slot: int | None = None
    credential: bool = False


Read = Callable[[Exchange], Any]


class Plan:
    """`read` gives the values of all `items` that are not private, in their order; None where there are none.

    `reads`: the same, behind those of so many statements before its own: no two places share a plan.
    """

    __slots__ = ("_each", "exprs", "items", "read", "reads")

    def __init__(self, items: tuple[Item, ...], exprs: tuple[p.Expr, ...]) -> None:
        self.items = items
        self.exprs = exprs
        self._each: tuple[Read, ...] | None = None
        self.read = _read(exprs)
        self.reads: dict[int, Read] = {}

    def one_by_one(self, exchange: Exchange) -> list[Any]:
        """As `read`, where one of them raises: it is MISSING."""
        if self._each is None:
            self._each = tuple(map(compiled, self.exprs))
        return [_tried(each, exchange) for each in self._each]


def _read(exprs: tuple[p.Expr, ...]) -> Read | None:
    return compiled(p.ListOf(exprs[0].span, t.LIST, False, exprs)) if exprs else None


def together(plans: Iterable[Plan]) -> Read:
    """What reads for all of them at once."""
    return _read(tuple(expr for plan in plans for expr in plan.exprs)) or _no_values


def _no_values(exchange: Exchange) -> None:
    return None


def _tried(function: Callable[[Exchange], Any], exchange: Exchange) -> Any:
    try:
        return function(exchange)
    except Exception:  # of whatever kind: it is only looked at
        return MISSING


def plan_of(place: Place) -> Plan:
    """The plan of a place, which keeps it."""
    found: Plan | None = place.plan
    if found is None:
        found = place.plan = Plan((), ()) if place.statement is None else _planned(place.statement)
    return found


def _planned(statement: p.Statement) -> Plan:
    items: list[Item] = []
    exprs: list[p.Expr] = []
    written = frozenset(_written(statement))
    slots = binds(statement)
    credential = isinstance(statement, p.Invoke) and "user" in statement.card.effects

    def add(expr: p.Expr, name: str, bound: bool, private: bool, slot: int | None) -> None:
        if len(items) < MOST_VALUES and not any(each.name == name and name for each in items):
            items.append(Item(name, bound, private, slot, credential and not bound))
            if not private:
                exprs.append(expr)

    for own in own_expressions(statement):
        for path in paths(own):
            if not _changed(path, written, slots):
                add(path, name_of(path), False, path.private, path.slot if isinstance(path, p.SlotRef) else None)
    for expr, name, private, slot in _bound(statement):
        add(expr, name, True, private, slot)
    return Plan(tuple(items), tuple(exprs))


# --- what it reads ---


def own_expressions(statement: p.Statement) -> Iterator[p.Expr]:
    """The expressions of a statement itself, without those in its blocks."""
    found: list[p.Expr | None] = []
    if isinstance(statement, p.Invoke):
        found += [bound.value for bound in statement.args]
    elif isinstance(statement, p.Expand):
        found += [value for _, value in statement.arguments]
    elif isinstance(statement, p.Require):
        found.append(statement.condition)
    elif isinstance(statement, (p.Let, p.SetPlace)):
        found.append(statement.value)
    elif isinstance(statement, p.If):
        found += [condition for condition, _ in statement.arms]
    elif isinstance(statement, p.Match):
        found.append(statement.subject)
    elif isinstance(statement, p.For):
        found.append(statement.iterable)
    elif isinstance(statement, p.Respond):
        found += [statement.status, statement.body, statement.json, statement.content_type]
        found += [value for _, value in statement.headers]
    elif isinstance(statement, p.Fail):
        found += [statement.status, statement.detail, statement.title]
    if isinstance(statement, (p.SetPlace, p.RemovePlace)) and isinstance(statement.place, p.NamedPlace):
        found.append(statement.place.key)
    return (each for each in found if each is not None)


def paths(expr: p.Expr) -> Iterator[p.Expr]:
    """The longest paths that an expression reads: `caller.contract`, not `caller` too."""
    if isinstance(expr, (p.SlotRef, p.MessageField, p.ContextValue)):
        yield expr
    elif isinstance(expr, p.Named):
        yield expr
        yield from paths(expr.key)
    elif isinstance(expr, p.MemberOf):
        if isinstance(expr.base, (p.FunctionCall, p.IfExpr, p.BinaryOp, p.ListOf, p.MapOf)):
            yield from paths(expr.base)
        else:
            yield expr
        yield from paths(expr.key)
    else:
        for inner in children(expr):
            yield from paths(inner)


def name_of(expr: p.Expr) -> str:
    """An expression as it is written, on one line."""
    text = " ".join(expr.span.text.split())
    return text if len(text) <= MOST_NAME else text[: MOST_NAME - 1] + "…"


# --- what it binds ---


def _bound(statement: p.Statement) -> Iterator[tuple[p.Expr, str, bool, int | None]]:
    """What there is when it has passed: an expression that reads it, its name, if it is private, its slot."""
    if isinstance(statement, p.Let):
        value = statement.value
        yield _slot(statement, statement.slot, value.private), statement.name, value.private, statement.slot
    elif isinstance(statement, p.Invoke):
        for slot in statement.outputs:
            if slot is not None:
                yield _slot(statement, slot, False), "", False, slot
    elif isinstance(statement, p.Expand):
        for _, slot in statement.outputs:
            yield _slot(statement, slot, False), "", False, slot
    elif isinstance(statement, p.SetPlace):
        place, private = statement.place, statement.value.private
        if isinstance(place, p.SlotPlace):
            yield _slot(statement, place.slot, private), place.name, private, place.slot
        elif isinstance(place, p.NamedPlace):
            found = p.Named(place.key.span, t.STRING.maybe(), private, place.message, place.kind, place.key)
            yield found, _place_name(place), private or place.kind == "cookie" or _hidden(place), None
        elif place.field in ("method", "path", "status"):
            kind = t.RECORDS[place.message][place.field]
            name = f"{place.message}.{place.field}"
            yield p.MessageField(statement.span, kind, private, place.message, place.field), name, private, None


def _hidden(place: p.NamedPlace) -> bool:
    name = place.key.value if isinstance(place.key, p.Const) else None
    return place.kind == "header" and (not isinstance(name, str) or name.lower() in t.PRIVATE_HEADERS)


def _slot(statement: p.Statement, slot: int, private: bool) -> p.SlotRef:
    return p.SlotRef(statement.span, t.JSON, private, slot, "")


def _place_name(place: p.NamedPlace) -> str:
    key = place.key
    shown = f'"{key.value}"' if isinstance(key, p.Const) else name_of(key)
    return f"{place.message}.{place.kind}[{shown}]"


# --- what is no longer as it was read ---


def _written(statement: p.Statement) -> Iterator[tuple[str, ...]]:
    """The parts of messages that it, or what stands in its blocks, may have written."""
    if isinstance(statement, (p.SetPlace, p.RemovePlace)):
        place = statement.place
        if isinstance(place, p.NamedPlace):
            yield place.message, place.kind, _key(place.kind, place.key)
            if place.kind == "cookie" or _key(place.kind, place.key) in ("", "content-type", "content-encoding"):
                yield (place.message,)
        elif isinstance(place, p.FieldPlace):
            yield (place.message, "body") if place.field in BODY_FIELDS else (place.message, place.field)
            if place.field == "query_string" or place.field in BODY_FIELDS:
                yield (place.message,)
    elif isinstance(statement, p.Invoke):
        yield from ((effect,) for effect in statement.card.effects)
        if statement.card.answers:
            yield ("response",)
    for block in blocks(statement):
        for inner in block.statements:
            yield from _written(inner)


def _key(kind: str, key: p.Expr) -> str:
    if not isinstance(key, p.Const):
        return ""
    return str(key.value).lower() if kind == "header" else str(key.value)


def _changed(path: p.Expr, written: Written, slots: frozenset[int]) -> bool:
    for part in parts(path):
        if isinstance(part, p.SlotRef) and part.slot in slots:
            return True
        if isinstance(part, p.ContextValue) and (part.root,) in written:
            return True
        if isinstance(part, (p.MessageField, p.Named)):
            if (part.message,) in written:
                return True
            if isinstance(part, p.MessageField):
                if (part.message, part.field) in written:
                    return True
            elif {(part.message, part.kind, _key(part.kind, part.key)), (part.message, part.kind, "")} & written:
                return True
    return False
