"""A guard that stands aside while the store is away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.guards import identifies, open_to_strangers
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class OpenWhenDown(Rule):
    """While the store is away a guard lets everybody pass.

    Whoever can bring the store down, or waits until it is, guesses passwords without end, or floods the upstream. A
    `lockout` refuses then (`reject`), and `rate_limit` has each worker keep to its share (`local`), unless they are
    told otherwise. A limit behind the question who calls is not meant, nor is a `quota`, which counts it later.

        lockout [request.query.user ?? "", client.ip], when_down: allow {
            require same_secret(request.header["X-Pin"], secret("DOOR_PIN"))
        }
    ==
        lockout [request.query.user ?? "", client.ip] {
            require same_secret(request.header["X-Pin"], secret("DOOR_PIN"))
        }
    """

    name: ClassVar[str] = "open-when-down"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        known = not open_to_strangers(policy)
        for service in policy.program.services:
            way = policy.origins.of(service)
            asked = known
            for visit in way.path:
                statement = visit.statement
                value = argument(statement, "when_down")
                open_ = value is not None and constant(value) == "allow"
                if value is not None and open_ and (
                    calls(statement, "lockout") or (calls(statement, "rate_limit") and not asked)
                ):  # fmt: skip
                    yield Finding(
                        value.span, "while the store is away nobody is held back here",
                        help="leave `when_down` out, or write `when_down: reject`",
                    )  # fmt: skip
                asked = asked or identifies(way, statement)
