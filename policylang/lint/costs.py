"""What costs: bodies that statements hold, also for a name that nobody reads, and loops that messages decide on."""

from __future__ import annotations

from collections.abc import Iterator

from policylang.check import program as p
from policylang.lint.likeness import shape
from policylang.lint.look import Visit, expressions, own_expressions
from policylang.lint.origins import SENT
from policylang.lint.policy import Policy
from policylang.lint.ways import earlier, meaning
from policylang.lint.written import place_of
from policylang.tree.facts import REQUEST, RESPONSE, bodies, needs

MESSAGES = {REQUEST: "request", RESPONSE: "response"}
_MESSAGE = SENT | {"path", "request", "response"}
"""Kinds of origins that come with a message; what an entry or a token says, somebody here has written."""


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


class ChosenLoops:
    """Loops whose rounds a message decides on. `slice`, and a look at the list's `length` before, bound them."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._chosen: dict[int, bool] = {}

    def around(self, visit: Visit) -> p.For | None:
        at = visit.outer
        while at is not None:
            loop = at.statement
            if isinstance(loop, p.For):
                if id(loop) not in self._chosen:
                    self._chosen[id(loop)] = _told_by_message(self._policy, at, loop.iterable)
                if self._chosen[id(loop)]:
                    return loop
            at = at.outer
        return None


def _told_by_message(policy: Policy, visit: Visit, listed: p.Expr) -> bool:
    made = meaning(policy, visit.service, listed)
    if isinstance(made, p.ListOf) or (isinstance(made, p.FunctionCall) and made.card.name == "slice"):
        return False
    kinds = {kind for kind, _ in policy.origins.of(visit.service).flows(listed)}
    return not kinds.isdisjoint(_MESSAGE) and not any(_measures(each, listed) for each in earlier(policy, visit))


def _measures(statement: p.Statement, listed: p.Expr) -> bool:
    return isinstance(statement, (p.Require, p.If)) and any(
        isinstance(expr, p.FunctionCall) and expr.card.name == "length" and shape(expr.args[0]) == shape(listed)
        for expr in expressions(statement)
    )  # fmt: skip
