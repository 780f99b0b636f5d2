"""A password that may be guessed at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import firm
from policylang.lint.look import Visit, calls, compared, constant, expressions
from policylang.lint.origins import SENT, Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import sources

_SHORT = frozenset({"password", "passwd", "pin", "otp", "code"})
"""What people can remember or read out; a token of a session cannot be guessed at."""


class LoginWithoutLockout(Rule):
    """On a public service a user's password is checked, and nothing counts wrong ones.

    Short secrets of people fall to whoever may try often enough. `lockout` around the check counts refusals, and locks
    for longer each time.

        gateway {
            listen "0.0.0.0:8443", cert: "api.pem", key: "api.key"
        }

        service login "/login", methods: ["POST"] {
            let name = request.json.user
            require name in map("clients")
            require same_secret(map("clients")[name].pin, request.json.pin)
            respond 204
        }
    ==
        gateway {
            listen "0.0.0.0:8443", cert: "api.pem", key: "api.key"
        }

        service login "/login", methods: ["POST"] {
            let name = request.json.user
            lockout [name, client.ip], after: 5, within: 10m {
                require name in map("clients")
                require same_secret(map("clients")[name].pin, request.json.pin)
            }
            respond 204
        }
    """

    name: ClassVar[str] = "login-without-lockout"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services if policy.public else ():
            way = policy.origins.of(service)
            for visit in way.path:
                if calls(visit.statement, "lockout") or firm(way, visit):
                    break
                for expr in expressions(visit.statement):
                    if _of_user(policy, visit, way, _proof(policy, visit, expr)):
                        yield Finding(
                            expr.span, "this secret of a user may be guessed at without end",
                            help="put `lockout [name, client.ip], after: 5, within: 10m { … }` around it",
                        )  # fmt: skip


def _proof(policy: Policy, visit: Visit, expr: p.Expr) -> Sequence[p.Expr]:
    """The two sides of a question whether a secret is right."""
    sides = compared(expr)
    # what is compared by a mere `==` may be anything: a tenant, a contract
    return sides if isinstance(expr, p.FunctionCall) or any(_short(policy, visit, each) for each in sides) else ()


def _short(policy: Policy, visit: Visit, side: p.Expr) -> bool:
    return any(
        isinstance(part, p.MemberOf) and constant(part.key) in _SHORT for part in sources(policy, visit.service, side)
    )


def _of_user(policy: Policy, visit: Visit, way: Way, sides: Sequence[p.Expr]) -> bool:
    """Whether one side is an entry's that the client names, and the other the client's."""
    entries = [side for side in sides if any(_entry(way, part) for part in sources(policy, visit.service, side))]
    return len(entries) == 1 and any(
        kind in SENT for side in sides if side is not entries[0] for kind, _ in way.flows(side)
    )


def _entry(way: Way, part: p.Expr | p.Invoke) -> bool:
    if isinstance(part, p.MemberOf) and isinstance(part.base, p.Const):
        return any(kind in SENT for kind, _ in way.flows(part.key))
    if isinstance(part, p.MemberOf) and constant(part.key) in _SHORT:
        return any(kind == "stored" for kind, _ in way.flows(part.base))
    return False
