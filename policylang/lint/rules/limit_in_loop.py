"""One request, counted once for each round of a loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import LIMITS
from policylang.lint.look import Visit, calls, own_expressions, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import sources
from policylang.tree.facts import binds


class LimitInLoop(Rule):
    """A limit in a `for` counts each round, though nothing in it speaks of the round.

    A list of a hundred uses up a hundred, and the number is the client's to choose. What is meant to cost as much as it
    has parts says so once, with `by:`.

        limit_size request, 64KiB
        for item in jsonpath("$.items[*]", in: request, all: true) {
            rate_limit 100/min, per: client.ip
            require item.count > 0
        }
        route orders
    ==
        limit_size request, 64KiB
        let items = jsonpath("$.items[*]", in: request, all: true)
        rate_limit 100/min, per: client.ip, by: length(items)
        for item in items { require item.count > 0 }
        route orders
    """

    name: ClassVar[str] = "limit-in-loop"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        of_round: dict[int, frozenset[int]] = {}
        for visit in policy.visits:
            statement = visit.statement
            loop = next((each for each in reversed(visit.parents) if isinstance(each, p.For)), None)
            if loop is None or not isinstance(statement, p.Invoke) or not calls(statement, *LIMITS, "lockout"):
                continue
            read = {
                part.slot for each in _deciding(visit, loop) for expr in own_expressions(each)
                for part in sources(policy, visit.service, expr) if isinstance(part, p.SlotRef)
            }  # fmt: skip
            if id(loop) not in of_round:
                of_round[id(loop)] = _of_round(loop)
            if not read & of_round[id(loop)]:
                yield Finding(
                    statement.span, "each round of the loop is counted, and nothing here is of the round",
                    labels=[Label(loop.iterable.span, "as many rounds as this has elements")],
                    help="put it before the loop; to count the elements, add `by: length(…)`",
                )  # fmt: skip


def _of_round(loop: p.For) -> frozenset[int]:
    """What a round may give another value; a `let` gives what it is made of."""
    return binds(loop) - {each.slot for each in within(loop) if isinstance(each, p.Let)}


def _deciding(visit: Visit, loop: p.For) -> Iterator[p.Statement]:
    """It, and what decides in the loop whether it is asked."""
    yield visit.statement
    for each in reversed(visit.parents):
        if each is loop:
            return
        alternatives = isinstance(each, (p.Else, p.Try)) or (isinstance(each, p.Group) and each.kind == "any")
        yield from within(each) if alternatives else (each,)
