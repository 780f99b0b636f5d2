"""Where values come from: what a client chooses, what was checked, what is a constant, for each service's way."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TypeAlias

from policylang.check import program as p
from policylang.lint.demands import Asked, demanded, granted
from policylang.lint.look import Visit, argument, authenticates, bound, calls, parts
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
Slots: TypeAlias = dict[int, frozenset[Source]]

_MEASURES = frozenset({"number", "duration", "size", "rate", "time", "ip"})
_CODED = frozenset({"md5", "sha1", "sha256", "sha512", "hex_encode", "base64url_encode"})
"""Functions that give letters and digits, whatever they are given."""


def flows(expr: p.Expr, slots: Slots, *, text: bool = False) -> frozenset[Source]:
    """What the text or number itself is made of; what only decides (a condition, a key of a map) is no part of it.
    `text`: without what can hold no signs of anybody's choice, such as a number or a hash."""
    found: set[Source] = set()
    waiting = [expr]
    while waiting:
        each = waiting.pop()
        if each.type.name == "boolean" or (text and _tame(each)):
            continue
        if isinstance(each, p.Const):
            found.add(("secret" if each.private else "constant", ""))
        elif isinstance(each, p.SlotRef):
            found |= slots.get(each.slot, frozenset())
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
            known = (_held_against(part, True, slots) for part in parts(each.condition))
            found |= flows(each.then, slots, text=text).difference(*known)
            waiting.append(each.orelse)
        elif isinstance(each, p.FunctionCall) and each.card.name in ("html_escape", "url_encode"):
            found.add(("encoded", each.card.name))
        elif isinstance(each, p.FunctionCall) and each.card.name in ("random_hex", "uuid"):
            found.add(("random", _bytes(each)))
        else:
            if isinstance(each, p.FunctionCall) and each.card.name.startswith("hmac_"):
                found.add(("signature", ""))
            waiting += children(each)
    return frozenset(found)


def _tame(expr: p.Expr) -> bool:
    return expr.type.name in _MEASURES or (isinstance(expr, p.FunctionCall) and expr.card.name in _CODED)


def _held_against(part: p.Expr, answer: bool, slots: Slots) -> frozenset[Source]:
    """What is one of a few known values where this is the answer to the question."""
    if isinstance(part, p.MemberOf) and isinstance(part.base, p.Const):
        return flows(part.key, slots)
    if isinstance(part, p.FunctionCall) and answer and part.card.name in ("same_secret", "in_network"):
        return frozenset().union(*(flows(each, slots) for each in part.args))
    if not isinstance(part, p.BinaryOp) or part.op not in (("==", "in") if answer else ("!=",)):
        return frozenset()
    if any(isinstance(side, p.Const) and side.value in (None, "") for side in (part.left, part.right)):
        return frozenset()
    left, right = flows(part.left, slots), flows(part.right, slots)
    by_right = frozenset[Source]() if _all_sent(right) else left
    return by_right if part.op == "in" or _all_sent(left) else by_right | right


def _all_sent(sources: frozenset[Source]) -> bool:
    """Whether it is the client's through and through."""
    kinds = {kind for kind, _ in sources} - {"constant"}
    return bool(kinds) and kinds <= SENT


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


def _of(what: p.Expr | p.Invoke | int, slots: Slots, text: bool) -> frozenset[Source]:
    """Of what a slot gets."""
    if isinstance(what, int):
        return slots.get(what, frozenset())
    if isinstance(what, p.Invoke):
        if authenticates(what):
            return frozenset({("identity", "")})
        where = argument(what, "in")
        name = getattr(where.value, "name", "") if isinstance(where, p.Const) else ""
        return frozenset({(GIVEN_OUT.get(what.card.name, "made"), name or what.card.name)})
    return flows(what, slots, text=text)


class Way:
    """What runs for a request of one service: `global before`, the service's block, then `on failure`."""

    def __init__(self, visits: list[Visit]) -> None:
        self.visits = visits
        self.places = {id(visit.statement): place for place, visit in enumerate(visits)}
        self.slots = self._follow()
        self._known: dict[Source, int] = {}
        """What was held against something known, and the place of the first statement that did."""
        self._formed: dict[Source, int] = {}
        """The same of patterns of the whole, which say what it looks like."""
        self._alike: dict[Callable[[p.Statement], bool], list[int]] = {}
        self._asked: list[tuple[int, Asked]] = []
        for place, visit in enumerate(visits):
            for source in self._checks(visit):
                self._known.setdefault(source, place)
            for asked in (*demanded(visit), *granted(visit)):
                self._asked.append((place, asked))
                for source in self._forms(*asked):
                    self._formed.setdefault(source, place)

    @property
    def path(self) -> Iterator[Visit]:
        """Without `on failure` and `global after`."""
        return (visit for visit in self.visits if visit.place in ("before", "service"))

    def before(self, visit: Visit) -> list[Visit]:
        """What stands before it in the text; also what is around it, and branches that are not taken together."""
        return self.visits[: self.places[id(visit.statement)]]

    def after(self, visit: Visit, test: Callable[[p.Statement], bool]) -> Iterator[Visit]:
        """Of what stands behind it in the text all that the test is true of; what it says is remembered."""
        alike = self._alike.get(test)
        if alike is None:
            alike = self._alike[test] = [place for place, each in enumerate(self.visits) if test(each.statement)]
        first = bisect_right(alike, self.places[id(visit.statement)])
        return (self.visits[place] for place in alike[first:])

    def asked(self, visit: Visit, *operators: str) -> Iterator[p.BinaryOp]:
        """The comparisons that came out true for a request that comes here."""
        last = self.places[id(visit.statement)]
        for place, (expr, answer) in self._asked:
            if place >= last:
                break
            if answer and isinstance(expr, p.BinaryOp) and expr.op in operators:
                yield expr

    def flows(self, expr: p.Expr) -> frozenset[Source]:
        return flows(expr, self.slots)

    def texts(self, expr: p.Expr, *kinds: str) -> list[Source]:
        """What of these kinds its text has in it; numbers and hashes hold none."""
        return sorted(source for source in flows(expr, self._texts, text=True) if source[0] in kinds)

    def chosen(
        self, expr: p.Expr, visit: Visit, kinds: frozenset[str] = CHOSEN, *, formed: bool = False
    ) -> list[Source]:
        """What of it a client may choose freely: nothing before has held it against something known. With `formed` a
        pattern of the whole is enough, and numbers are left out, as where a text must only not lead elsewhere."""
        found = [source for source in self.flows(expr) if source[0] in kinds]
        if found and formed:
            found = self.texts(expr, *kinds)
        if found:
            place = self.places[id(visit.statement)]
            for known in (self._known, self._formed) if formed else (self._known,):
                found = [source for source in found if known.get(source, place) >= place]
        return sorted(found)

    # --- names ---

    @cached_property
    def _texts(self) -> Slots:
        return self._follow(text=True)

    def _follow(self, *, text: bool = False) -> Slots:
        slots: Slots = {}
        given = [each for visit in self.visits for each in bound(visit.statement)]
        for visit in self.visits:
            if isinstance(visit.statement, p.Try) and visit.statement.slot is not None:
                slots[visit.statement.slot] = frozenset({("failure", "")})
        changed = True
        while changed:
            changed = False
            for slot, what in given:
                before = slots.get(slot, frozenset())
                after = before | _of(what, slots, text)
                if len(after) > len(before):
                    slots[slot], changed = after, True
        return slots

    # --- what was checked ---

    def _checks(self, visit: Visit) -> frozenset[Source]:
        """What is no longer anybody's choice behind this statement."""
        statement = visit.statement
        found: set[Source] = set()
        if authenticates(statement) or calls(statement, "lookup"):
            key = next((bound.value for bound in statement.args if bound.param.positional), None)  # type: ignore[attr-defined]
            return frozenset() if key is None else self.flows(key)
        if isinstance(statement, p.Match) and not isinstance(statement, p.Split):
            found |= self.flows(statement.subject)
        if isinstance(statement, (p.Require, p.If)):
            for expr, answer in (*demanded(visit, either=True), *granted(visit)):
                for part in parts(expr):
                    found |= _held_against(part, answer, self.slots)
        elif isinstance(statement, p.Let) and not statement.optional:
            for part in parts(statement.value):
                if isinstance(part, p.MemberOf) and isinstance(part.base, p.Const):
                    found |= self.flows(part.key)
        elif isinstance(statement, p.Invoke) and statement.card.group == "identity":
            for bound_ in statement.args:
                found |= self.flows(bound_.value)
        return frozenset(source for source in found if source[0] in SENT or source[0] in ("path", "request"))

    def _forms(self, expr: p.Expr, answer: bool) -> frozenset[Source]:
        if answer and isinstance(expr, p.BinaryOp) and expr.op == "matches" and isinstance(expr.right, p.Const):
            pattern = str(expr.right.value)
            if pattern.startswith("^") and pattern.endswith("$"):
                return self.flows(expr.left)
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
