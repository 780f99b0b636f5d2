"""Where values come from: what a client chooses, what was checked, what is a constant, for each service's way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from policylang.check import program as p
from policylang.lint.look import Visit, argument, authenticates, bound, calls, own_expressions, parts
from policylang.sdk.static_types import BODY_FIELDS

Source: TypeAlias = tuple[str, str]
"""A kind and a name. `header`, `query`, `cookie`, `path` (a capture) and the name, header names in lower case, "" where
it is worked out; `body`; `request` and a field; `client`, `user`, `failure` and other roots and a field; `response`;
`identity` (what an authenticating assertion gives); `stored` (an entry of a map) and the map's name; `made` (another
assertion's output) and the assertion's name; `random` and the bytes; `signature` (an HMAC); `encoded` and the
function; `secret`; `constant`."""

CHOSEN = frozenset({"header", "query", "cookie"})
"""Kinds that say who or what somebody wishes to be taken for. What a request is about (path, body) is none of them."""
SENT = CHOSEN | {"body"}
"""Whatever a client writes where the policy did not ask for one of a few values."""
GIVEN_OUT = {"lookup": "stored", "cache_lookup": "stored"}


def flows(expr: p.Expr, slots: dict[int, frozenset[Source]] | None = None) -> frozenset[Source]:
    """What the text or number itself is made of; what only decides (a condition, a key of a map) is no part of it."""
    found: set[Source] = set()
    waiting = [expr]
    while waiting:
        each = waiting.pop()
        if each.type.name == "boolean":
            continue
        if isinstance(each, p.Const):
            found.add(("secret" if each.private else "constant", ""))
        elif isinstance(each, p.SlotRef):
            found |= (slots or {}).get(each.slot, frozenset())
        elif isinstance(each, p.MessageRef):
            found.add(("body", "") if each.message == "request" else ("response", ""))
        elif isinstance(each, p.MessageField):
            found.add(_field(each))
        elif isinstance(each, p.Named):
            found.add(named(each) if each.message == "request" else ("response", each.kind))
        elif isinstance(each, p.ContextValue):
            found.add((each.root, each.field))
        elif isinstance(each, p.MemberOf):
            waiting.append(each.base)
        elif isinstance(each, p.IfExpr):
            waiting += (each.then, each.orelse)
        elif isinstance(each, p.FunctionCall) and each.card.name in ("html_escape", "url_encode"):
            found.add(("encoded", each.card.name))
        elif isinstance(each, p.FunctionCall) and each.card.name in ("random_hex", "uuid"):
            found.add(("random", _bytes(each)))
        else:
            if isinstance(each, p.FunctionCall) and each.card.name.startswith("hmac_"):
                found.add(("signature", ""))
            waiting += children(each)
    return frozenset(found)


def children(expr: p.Expr) -> Iterable[p.Expr]:
    if isinstance(expr, p.BinaryOp):
        return (expr.left, expr.right)
    if isinstance(expr, p.UnaryOp):
        return (expr.operand,)
    if isinstance(expr, p.ListOf):
        return expr.items
    if isinstance(expr, p.MapOf):
        return [value for _, value in expr.entries]
    if isinstance(expr, p.Template):
        return [part for part in expr.parts if not isinstance(part, str)]
    return expr.args if isinstance(expr, p.FunctionCall) else ()


def named(expr: p.Named) -> Source:
    if not isinstance(expr.key, p.Const):
        return (expr.kind, "")
    name = str(expr.key.value)
    return (expr.kind, name.lower() if expr.kind == "header" else name)


def _field(expr: p.MessageField) -> Source:
    if expr.message == "response":
        return ("response", expr.field)
    if expr.field == "bearer":
        return ("header", "authorization")
    if expr.field == "content_type":
        return ("header", "content-type")
    return ("body", "") if expr.field in BODY_FIELDS - {"size"} else ("request", expr.field)


def _bytes(call: p.FunctionCall) -> str:
    if call.card.name == "uuid":
        return "16"
    return str(call.args[0].value) if isinstance(call.args[0], p.Const) else ""


class Way:
    """What runs for a request of one service: `global before`, the service's block, then `on failure`."""

    def __init__(self, visits: list[Visit]) -> None:
        self.visits = visits
        self.places = {id(visit.statement): place for place, visit in enumerate(visits)}
        self.slots: dict[int, frozenset[Source]] = {}
        self._follow()
        self._known: dict[Source, int] = {}
        """What was held against something known, and the place of the first statement that did."""
        self._formed: dict[Source, int] = {}
        """The same of patterns of the whole, which say what it looks like."""
        for place, visit in enumerate(visits):
            for source in self._checks(visit.statement):
                self._known.setdefault(source, place)
            for source in self._forms(visit.statement):
                self._formed.setdefault(source, place)

    @property
    def path(self) -> Iterator[Visit]:
        """Without `on failure` and `global after`."""
        return (visit for visit in self.visits if visit.place in ("before", "service"))

    def before(self, visit: Visit) -> list[Visit]:
        """What stands before it in the text; also what is around it, and branches that are not taken together."""
        return self.visits[: self.places[id(visit.statement)]]

    def after(self, visit: Visit) -> list[Visit]:
        return self.visits[self.places[id(visit.statement)] + 1 :]

    def flows(self, expr: p.Expr) -> frozenset[Source]:
        return flows(expr, self.slots)

    def chosen(
        self, expr: p.Expr, visit: Visit, kinds: frozenset[str] = CHOSEN, *, formed: bool = False
    ) -> list[Source]:
        """What of it a client may choose freely: nothing before has held it against something known. With `formed` a
        pattern of the whole is enough, as where a text must only not lead elsewhere."""
        found = [source for source in self.flows(expr) if source[0] in kinds]
        if found:
            place = self.places[id(visit.statement)]
            for known in (self._known, self._formed) if formed else (self._known,):
                found = [source for source in found if known.get(source, place) >= place]
        return sorted(found)

    # --- names ---

    def _follow(self) -> None:
        given = [each for visit in self.visits for each in bound(visit.statement)]
        for visit in self.visits:
            if isinstance(visit.statement, p.Try) and visit.statement.slot is not None:
                self.slots[visit.statement.slot] = frozenset({("failure", "")})
        changed = True
        while changed:
            changed = False
            for slot, what in given:
                before = self.slots.get(slot, frozenset())
                after = before | self._of(what)
                if len(after) > len(before):
                    self.slots[slot], changed = after, True

    def _of(self, what: p.Expr | p.Invoke | int) -> frozenset[Source]:
        if isinstance(what, int):
            return self.slots.get(what, frozenset())
        if isinstance(what, p.Invoke):
            if authenticates(what):
                return frozenset({("identity", "")})
            where = argument(what, "in")
            name = getattr(where.value, "name", "") if isinstance(where, p.Const) else ""
            return frozenset({(GIVEN_OUT.get(what.card.name, "made"), name or what.card.name)})
        return self.flows(what)

    # --- what was checked ---

    def _checks(self, statement: p.Statement) -> frozenset[Source]:
        """What is no longer anybody's choice behind this statement."""
        found: set[Source] = set()
        if authenticates(statement) or calls(statement, "lookup"):
            key = next((bound.value for bound in statement.args if bound.param.positional), None)  # type: ignore[attr-defined]
            return frozenset() if key is None else self.flows(key)
        if isinstance(statement, p.Match) and not isinstance(statement, p.Split):
            found |= self.flows(statement.subject)
        if isinstance(statement, (p.Require, p.If)):
            for expr in own_expressions(statement):
                for part in parts(expr):
                    found |= self._held_against(part)
        elif isinstance(statement, p.Let) and not statement.optional:
            for part in parts(statement.value):
                if isinstance(part, p.MemberOf) and isinstance(part.base, p.Const):
                    found |= self.flows(part.key)
        elif isinstance(statement, p.Invoke) and statement.card.group == "identity":
            for bound_ in statement.args:
                found |= self.flows(bound_.value)
        return frozenset(source for source in found if source[0] in SENT or source[0] in ("path", "request"))

    def _forms(self, statement: p.Statement) -> frozenset[Source]:
        found: set[Source] = set()
        for expr in own_expressions(statement) if isinstance(statement, (p.Require, p.If)) else ():
            for part in parts(expr):
                if isinstance(part, p.BinaryOp) and part.op == "matches" and isinstance(part.right, p.Const):
                    pattern = str(part.right.value)
                    if pattern.startswith("^") and pattern.endswith("$"):
                        found |= self.flows(part.left)
        return frozenset(found)

    def _held_against(self, part: p.Expr) -> frozenset[Source]:
        if isinstance(part, p.BinaryOp) and part.op in ("==", "in"):
            if any(isinstance(side, p.Const) and side.value in (None, "") for side in (part.left, part.right)):
                return frozenset()
            return self.flows(part.left) | (self.flows(part.right) if part.op == "==" else frozenset())
        if isinstance(part, p.MemberOf) and isinstance(part.base, p.Const):
            return self.flows(part.key)
        if isinstance(part, p.FunctionCall) and part.card.name in ("same_secret", "in_network"):
            return frozenset().union(*map(self.flows, part.args))
        return frozenset()


class Origins:
    """The way of each service; that of None is what all requests go through."""

    def __init__(self, visits: Iterable[Visit]) -> None:
        self._before: list[Visit] = []
        self._after: list[Visit] = []
        self._own: dict[int, list[Visit]] = {}
        for visit in visits:
            if visit.service is not None:
                self._own.setdefault(id(visit.service), []).append(visit)
            elif visit.place == "before":
                self._before.append(visit)
            else:
                self._after.append(visit)
        self._made: dict[int, Way] = {}

    def of(self, service: p.Service | None) -> Way:
        found = self._made.get(id(service))
        if found is None:
            own = self._after if service is None else self._own.get(id(service), [])
            found = self._made[id(service)] = Way([*self._before, *own])
        return found


__all__ = ["CHOSEN", "SENT", "Origins", "Source", "Way", "children", "flows", "named"]
