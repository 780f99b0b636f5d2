"""What costs: bodies that statements hold, also for a name that nobody reads, and loops that messages decide on."""

from __future__ import annotations

from collections.abc import Iterator

from policylang.check import program as p
from policylang.lint.look import Visit, own_expressions
from policylang.lint.policy import Policy
from policylang.lint.written import place_of
from policylang.tree.facts import REQUEST, RESPONSE, bodies, needs

MESSAGES = {REQUEST: "request", RESPONSE: "response"}


def holds(statement: p.Statement) -> int:
    """Whose body it has held, by itself, in any of its conditions."""
    found = needs(statement)
    if isinstance(statement, p.If):
        for condition in own_expressions(statement):
            found |= bodies(condition)
    return found


def held_in_vain(policy: Policy) -> Iterator[tuple[Visit, int]]:
    """Each unread `let` for which alone a service holds the body of a message, and of which one."""
    unread = policy.names_unread
    if not unread:
        return
    for service in policy.program.services:
        # A body that may be sent twice is held for that.
        wanted = RESPONSE | REQUEST
        vain: list[tuple[Visit, int]] = []
        routes = 0
        for visit in (*policy.visits_of(None), *policy.visits_of(service)):
            statement = visit.statement
            held = holds(statement)
            routes += isinstance(statement, p.Invoke) and statement.card.answers
            if held and isinstance(statement, p.Let) and place_of(statement.span) in unread:
                vain.append((visit, held))
            else:
                wanted &= ~held
        if routes > 1:
            wanted &= ~REQUEST
        yield from ((visit, held) for visit, held in vain if held & wanted)


def chosen_loop(visit: Visit) -> p.For | None:
    """The loop around it whose rounds a message decides on. `slice` with written ends bounds them."""
    for each in reversed(visit.parents):
        if isinstance(each, p.For):
            listed = each.iterable
            cut = isinstance(listed, p.FunctionCall) and listed.card.name == "slice"
            if not isinstance(listed, (p.Const, p.ListOf)) and not cut:
                return each
    return None
