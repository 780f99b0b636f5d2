"""A body that is held in memory, where the gateway holds very large ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from policylang.check import program as p
from policylang.lint.costs import MESSAGES, holds
from policylang.lint.look import calls
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.tree.facts import RESPONSE, answers


class HeldWithoutLimit(Rule):
    """With a large `limits body`, each service that reads a body says how large its own may be.

    A body that is read, or copied by `mirror`, is held in memory as a whole, for each request at once. `limits body` is
    10 MiB as long as nobody says otherwise; who raises it for one service has raised it for all. `most_mib` is how
    many MiB it may be without a word in the service.

        gateway {
            listen "127.0.0.1:8080"
            limits body: 512MiB
        }

        service items "/items", methods: ["POST"] {
            require request.json.total != none
            route orders
        }
    ==
        gateway {
            listen "127.0.0.1:8080"
            limits body: 512MiB
        }

        service items "/items", methods: ["POST"] {
            limit_size request, 64KiB
            require request.json.total != none
            route orders
        }
    """

    name: ClassVar[str] = "held-without-limit"
    category: ClassVar[Category] = "performance"
    options: ClassVar[Mapping[str, Any]] = {"most_mib": 32}

    def check(self, policy: Policy) -> Iterator[Finding]:
        limit = next((each for each in policy.program.gateway if each.name == "limits"), None)
        if limit is None or limit.values["body"].bytes <= self.given["most_mib"] << 20:
            return
        for service in policy.program.services:
            limited = 0
            for visit in policy.of_service(service):
                limited |= _limits(visit.statement)
                held = holds(visit.statement) & ~limited
                for bit, message in MESSAGES.items():
                    if held & bit:
                        yield Finding(
                            visit.statement.span,
                            f"the body of `{message}` is held here, up to {limit.values['body']}",
                            labels=[Label(limit.span, "for all services")],
                            help=f"write `limit_size {message}, …` "
                            + ("before it" if message == "request" else "behind the `route`"),
                        )  # fmt: skip
                        limited |= bit
                if answers(visit.statement) and not visit.parents:
                    limited &= ~RESPONSE


def _limits(statement: p.Statement) -> int:
    """Which message it bounds; in a branch too, as somebody has thought of it."""
    if not calls(statement, "limit_size") or not isinstance(statement, p.Invoke):
        return 0
    message = statement.args[0].value
    known = message.message if isinstance(message, p.MessageRef) else ""
    return next((bit for bit, name in MESSAGES.items() if name == known), 0)
