"""A log line for every round of a loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.costs import ChosenLoops
from policylang.lint.look import calls
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule


class LogInLoop(Rule):
    """A loop over what a request brings writes as many lines as the client likes, up to 1,000.

    A line costs more than what most rounds do, and a log that fills up tells nothing.

        for tag in all(request.query.tag) {
            log "tagged ${tag}"
        }
    ==
        log "tagged ${join(all(request.query.tag), ", ")}"
    """

    name: ClassVar[str] = "log-in-loop"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        loops = ChosenLoops(policy)
        for visit in policy.visits:
            if calls(visit.statement, "log"):
                loop = loops.around(visit)
                if loop is not None:
                    yield Finding(
                        visit.statement.span, "every round writes a line, and the message says how many there are",
                        labels=[Label(loop.iterable.span, "this has as many rounds as it likes, up to 1,000")],
                        help="write one line behind the loop",
                    )  # fmt: skip
