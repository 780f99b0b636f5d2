"""A lock that anybody can close."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.look import argument, calls, text_of
from policylang.lint.origins import SENT
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class LockoutOfOthers(Rule):
    """Wrong attempts are counted by a name alone, so whoever knows the name can lock its owner out.

    Count by name and address together: then a guesser locks itself. A lock by the name alone, with a larger number,
    may stand beside it.

        let name = request.json.user
        lockout name, after: 5, within: 10m {
            require same_secret(map("clients")[name].pin, request.json.pin)
        }
    ==
        let name = request.json.user
        lockout [name, client.ip], after: 5, within: 10m {
            require same_secret(map("clients")[name].pin, request.json.pin)
        }
    """

    name: ClassVar[str] = "lockout-of-others"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services:
            way = policy.origins.of(service)
            locks = [
                (key, way.flows(key)) for visit in way.path
                if calls(visit.statement, "lockout") and (key := argument(visit.statement, "key")) is not None
            ]  # fmt: skip
            if any(kind == "client" for _, sources in locks for kind, _ in sources):
                continue
            for key, sources in locks:
                if any(kind in SENT or kind == "path" for kind, _ in sources):
                    yield Finding(
                        key.span, f"whoever knows `{text_of(key)}` can lock its owner out",
                        help="count by the address too: `lockout [name, client.ip]`",
                    )  # fmt: skip
