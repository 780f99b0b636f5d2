"""A store that is asked in every round of a loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.costs import ChosenLoops
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule

_ASKED = ("state", "caching")


class StoreInLoop(Rule):
    """A loop over what a request brings asks the store as often as the client likes, up to 1,000 times.

    On a cluster each round is a round trip. One entry may hold a list or a map; a list that is written in the policy
    has the rounds that its author gave it, and `require length(…) <= …` before the loop bounds those of another.

        for event in all(request.query.event) {
            not_replayed event, within: 1h
        }
    ==
        let events = all(request.query.event)
        require length(events) <= 5
        for event in events {
            not_replayed event, within: 1h
        }
    """

    name: ClassVar[str] = "store-in-loop"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        loops = ChosenLoops(policy)
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Invoke) and statement.card.waits and statement.card.group in _ASKED:
                loop = loops.around(visit)
                if loop is not None:
                    yield Finding(
                        statement.span, "the store is asked in every round, and the message says how many there are",
                        labels=[Label(loop.iterable.span, "this has as many rounds as it likes, up to 1,000")],
                        help="keep a list or a map under one key, or bound the list with `require length(…) <= …`",
                    )  # fmt: skip
