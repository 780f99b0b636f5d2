"""What has happened before a statement, what happens after it, and where a value comes from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial

from policylang.check import program as p
from policylang.lint.likeness import shape
from policylang.lint.look import Visit, parts
from policylang.lint.policy import Policy
from policylang.lint.rule import Finding
from policylang.source import Span
from policylang.tree.facts import REQUEST, answers, blocks, touches

_DEPTH = 8
"""How many names are followed, one by way of another, where what they were made of is held side by side."""
_LONG = 2000
"""Letters: of more a number stands in its place, as names of names that stand in it twice each would be endless."""


def earlier(policy: Policy, visit: Visit) -> Iterator[p.Statement]:
    """What has passed before it on every way that leads to it, the nearest first: not the alternatives of an `any`, nor
    what runs beside it."""
    at: Visit | None = visit
    while at is not None:
        if not _alternatives(at):
            yield from reversed(at.before)
        at = at.outer
    if visit.place == "service":
        for block in reversed(policy.program.before):
            yield from reversed(block.statements)


def later(policy: Policy, visit: Visit) -> Iterator[p.Statement]:
    """What may run when it has passed, to the exchange's end; of a loop the loop itself, which runs again."""
    at: Visit | None = visit
    while at is not None:
        if not _alternatives(at):
            yield from at.after
        if at.outer is not None and isinstance(at.outer.statement, p.For):
            yield at.outer.statement
        at = at.outer
    if visit.place == "before":
        for service in policy.program.services:
            yield from service.body.statements
    if visit.place != "after":
        for block in policy.program.after:
            yield from block.statements


class Passed:
    """What has passed before a statement, found by what a rule compares it by: `told` gives that of a statement, and of
    what is inside it. Each block is looked through once."""

    def __init__(
        self, policy: Policy, told: Callable[[p.Statement], Iterable[tuple[Hashable, p.Statement]]]
    ) -> None:
        self._policy = policy
        self._told = told
        self._blocks: dict[int, dict[Hashable, list[tuple[int, p.Statement]]]] = {}

    def before(
        self, visit: Visit, key: Hashable, body: p.Statement | None = None
    ) -> Iterator[tuple[p.Statement, list[p.Statement]]]:
        """What is alike, the nearest first, each with all that has run since then; with `body` inside of it only."""
        since: list[p.Statement] = []
        at: Visit | None = visit
        while at is not None and at.statement is not body:
            if not _alternatives(at):
                for index, statement in reversed(self._of(at.block).get(key, ())):
                    if index < at.index:
                        yield statement, [*at.block.statements[index + 1 : at.index], *since]
                since = [*at.before, *since]
            if at.outer is not None and isinstance(at.outer.statement, p.For):
                since = [at.outer.statement, *since]  # in an earlier round
            at = at.outer
        if at is None and visit.place == "service":
            for block in reversed(self._policy.program.before):
                for index, statement in reversed(self._of(block).get(key, ())):
                    yield statement, [*block.statements[index + 1 :], *since]
                since = [*block.statements, *since]

    def _of(self, block: p.Block) -> dict[Hashable, list[tuple[int, p.Statement]]]:
        found = self._blocks.get(id(block))
        if found is None:
            found = self._blocks[id(block)] = {}
            for index, statement in enumerate(block.statements):
                for key, inner in self._told(statement):
                    found.setdefault(key, []).append((index, inner))
        return found


def sent_before(policy: Policy, visit: Visit) -> p.Statement | None:
    """The nearest of what stands before it and may send the request."""
    at: Visit | None = visit
    while at is not None:
        places = _sending(policy, at.block)
        first = bisect_left(places, at.index)
        if first and not _alternatives(at):
            return at.block.statements[places[first - 1]]
        at = at.outer
    return None


def sent_after(policy: Policy, visit: Visit) -> bool:
    """Whether the request may be sent, once more perhaps, when it has passed."""
    at: Visit | None = visit
    while at is not None:
        places = _sending(policy, at.block)
        if bisect_right(places, at.index) < len(places) and not _alternatives(at):
            return True
        if at.outer is not None and isinstance(at.outer.statement, p.For) and answers(at.outer.statement):
            return True
        at = at.outer
    return visit.place == "before"


def _sending(policy: Policy, block: p.Block) -> list[int]:
    """The places in a block of what may send the request."""
    found = policy.sending.get(id(block))
    if found is None:
        found = [place for place, each in enumerate(block.statements) if answers(each)]
        policy.sending[id(block)] = found
    return found


def _alternatives(visit: Visit) -> bool:
    around = visit.parents[-1] if visit.parents else None
    return isinstance(around, p.Group) and around.kind != "all"


def certain(statement: p.Statement) -> Iterator[p.Statement]:
    """It, and what inside it has passed whenever it has passed itself."""
    yield statement
    if isinstance(statement, p.Expand) or (isinstance(statement, p.Group) and statement.kind in ("all", "parallel")):
        for inner in statement.body.statements:
            yield from certain(inner)


def never_passes(block: p.Block) -> bool:
    """Whether it always ends in an answer or a failure."""
    return any(_leaves(statement) for statement in block.statements)


def _leaves(statement: p.Statement) -> bool:
    if isinstance(statement, (p.Respond, p.Fail)):
        return True
    if isinstance(statement, p.If):
        return statement.orelse is not None and all(never_passes(block) for block in blocks(statement))
    if isinstance(statement, p.Group) and statement.kind == "any":
        return all(_leaves(each) for each in statement.body.statements)
    if isinstance(statement, (p.Match, p.Try, p.Else)):
        return all(never_passes(block) for block in blocks(statement))
    return isinstance(statement, (p.Group, p.Expand)) and never_passes(statement.body)


def sources(policy: Policy, service: p.Service | None, expr: p.Expr) -> Iterator[p.Expr | p.Invoke]:
    """All that an expression is made of, with what the names in it were made of, and the calls that gave them."""
    frame = service.name if service is not None else ""
    seen: set[int] = set()
    waiting: list[p.Expr | p.Invoke | int] = [expr]
    while waiting:
        each = waiting.pop()
        if isinstance(each, int):
            if each not in seen:
                seen.add(each)
                waiting += policy.bindings.get((frame, each), [])
        elif isinstance(each, p.Invoke):
            yield each
        else:
            for part in parts(each):
                yield part
                if isinstance(part, p.SlotRef):
                    waiting.append(part.slot)


def refusing(statement: p.Statement) -> p.Expr | None:
    """The condition by which it refuses: of a `require`, and of an `if` that fails."""
    if isinstance(statement, p.Require):
        return statement.condition
    if isinstance(statement, p.If) and len(statement.arms) == 1 and statement.orelse is None:
        condition, block = statement.arms[0]
        if block.statements and isinstance(block.statements[-1], p.Fail):
            return condition
    return None


def of_the_caller(policy: Policy, service: p.Service | None, condition: p.Expr) -> bool:
    """Whether it asks for the request, or who sends it, and for nothing that came since."""
    messages, asked = 0, False
    for each in sources(policy, service, condition):
        if isinstance(each, p.Invoke):
            if each.card.group != "identity":
                return False  # it may come from the answer
            asked = True
        else:
            messages |= touches(each)
            asked = asked or (isinstance(each, p.ContextValue) and each.root in ("client", "user", "path"))
    return messages == REQUEST or (asked and not messages)


def meaning(policy: Policy, service: p.Service | None, expr: p.Expr) -> p.Expr:
    """The expression that a name was bound to, where it is one name and one binding; else itself."""
    frame = service.name if service is not None else ""
    for _ in range(16):
        if not isinstance(expr, p.SlotRef):
            break
        given = policy.bindings.get((frame, expr.slot), [])
        if len(given) != 1 or not isinstance(given[0], p.Expr):
            break
        expr = given[0]
    return expr


def sense(policy: Policy, service: p.Service | None, expr: p.Expr) -> Hashable:
    """Equal for expressions, also of several services, that give one value for one message: as `shape`, with what the
    names were bound to in their place."""
    frame = service.name if service is not None else ""

    def named(slot: int, deeper: int) -> Hashable:
        known = policy.senses.get((frame, slot, deeper))
        if known is not None:
            return known
        given = policy.bindings.get((frame, slot), [])
        if len(given) != 1 or not deeper:
            return (frame, slot)
        what, inner = given[0], partial(named, deeper=deeper - 1)
        found: Hashable
        if isinstance(what, int):
            found = inner(what)
        elif isinstance(what, p.Invoke):
            found = (what.card.name, what.outputs.index(slot), shape(what.args, inner))
        else:
            found = shape(what, inner)
        if len(repr(found)) > _LONG:
            found = policy.senses.setdefault(("", found), len(policy.senses))
        policy.senses[(frame, slot, deeper)] = found
        return found

    return shape(expr, partial(named, deeper=_DEPTH))


def agreed(found: Iterable[tuple[Span, Finding | None]]) -> Iterator[Finding]:
    """Of what was found at each place, by each call of the assertion that it stands in: what all calls agree on."""
    places: dict[tuple[str, int, int], list[Finding | None]] = {}
    for span, finding in found:
        places.setdefault((span.source.name, span.start, span.end), []).append(finding)
    for said in places.values():
        if said[0] is not None and None not in said:
            yield said[0]


def body_of(visit: Visit) -> p.Statement | None:
    """The call of a user's assertion in whose body it stands, None in a service or global."""
    return next((each for each in reversed(visit.parents) if isinstance(each, p.Expand)), None)


__all__ = ["Passed", "agreed", "body_of", "certain", "earlier", "later", "meaning", "never_passes", "of_the_caller",
           "refusing", "sense", "sent_after", "sent_before", "sources"]  # fmt: skip
