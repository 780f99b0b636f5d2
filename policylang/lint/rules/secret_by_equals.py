"""A secret that is compared letter by letter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.look import Visit, constant, expressions
from policylang.lint.origins import SENT, Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.ways import sources

SECRET_MEMBERS = frozenset({"password", "passwd", "passphrase", "pin", "secret", "token", "otp", "api_key", "apikey"})


class SecretByEquals(Rule):
    """A secret that is not `private` is held against what a client sends with `==`.

    The comparison ends at the first letter that differs, so that its time tells how much of a guess was right.
    `same_secret` takes the same time whatever it is given, and so does `==` where one side is private, as what
    `secret` gives is. What a map's entry holds, and a signature that is made with it, is not.

        require map("clients")[path.id].pin == request.header["X-Pin"]
    ==
        require same_secret(map("clients")[path.id].pin, request.header["X-Pin"])
    """

    name: ClassVar[str] = "secret-by-equals"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            way = policy.origins.of(visit.service)
            for expr in expressions(visit.statement):
                if isinstance(expr, p.BinaryOp) and expr.op in ("==", "!=") and not expr.private:
                    sides = ((expr.left, expr.right), (expr.right, expr.left))
                    if any(_secret(policy, visit, side) and _sent(way, other) for side, other in sides):
                        call = f"same_secret({expr.left.span.text}, {expr.right.span.text})"
                        call = call if expr.op == "==" else f"not {call}"
                        yield Finding(
                            expr.span, "the time of this comparison tells how much of a guess is right",
                            help="compare with `same_secret(…, …)`",
                            fix=Fix("write `same_secret`", (Edit(expr.span, call),)),
                        )  # fmt: skip


def _secret(policy: Policy, visit: Visit, side: p.Expr) -> bool:
    way = policy.origins.of(visit.service)
    if ("signature", "") in way.flows(side):
        return True
    return any(
        isinstance(part, p.MemberOf) and constant(part.key) in SECRET_MEMBERS and _known(way, part.base)
        for part in sources(policy, visit.service, side)
    )


def _known(way: Way, base: p.Expr) -> bool:
    """Whether it is an entry of a map, which holds what is right."""
    found = way.flows(base)
    return bool(found) and all(kind in ("constant", "secret", "stored", "identity") for kind, _ in found)


def _sent(way: Way, side: p.Expr) -> bool:
    return any(kind in SENT for kind, _ in way.flows(side))
