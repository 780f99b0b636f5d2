"""A hash that proves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import compared, constant, expressions, parts
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import meaning

_BROKEN = frozenset({"md5", "sha1"})
_PLAIN = _BROKEN | {"sha256", "sha512"}
_PASSWORDS = frozenset({"password", "passwd", "pin"})
_PROVING = re.compile(r"sig|mac\b|auth|token")


class WeakHash(Rule):
    """Something is proved with MD5 or SHA-1, or with a plain hash over a secret.

    For MD5 and SHA-1 other texts of the same hash can be made. And a hash over a secret and a text is no signature,
    whichever it is: who has one can work out that of a longer text. HMAC was made for it.

        let signature = sha256("${secret("HOOK_KEY")}${request.text}")
        require same_secret(signature, request.header["X-Signature"])
    ==
        let signature = hmac_sha256(request.text, key: secret("HOOK_KEY"))
        require same_secret(signature, request.header["X-Signature"])
        not_replayed request.header["X-Signature"], within: 1d
    """

    name: ClassVar[str] = "weak-hash"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            way = policy.origins.of(visit.service)
            for expr in expressions(visit.statement):
                if isinstance(expr, p.FunctionCall) and expr.card.name in _PLAIN and _over_secret(way, expr):
                    yield Finding(
                        expr.span, "a plain hash over a secret and a text is no signature",
                        help="write `hmac_sha256(text, key: secret)`",
                    )  # fmt: skip
                sides = tuple(meaning(policy, visit.service, each) for each in compared(expr))
                for side, other in (sides, sides[::-1]) if sides else ():
                    broken = isinstance(side, p.FunctionCall) and side.card.name in _BROKEN
                    if broken and not _over_secret(way, side) and _proves(way, expr, other):
                        yield Finding(
                            side.span, "this proves nothing: another text of the same hash can be made",
                            help="write `sha256`, or `hmac_sha256` where a secret is shared",
                        )  # fmt: skip


def _proves(way: Way, expr: p.Expr, other: p.Expr) -> bool:
    """Whether more hangs on it than that nothing was lost on the way."""
    if any(isinstance(part, p.MemberOf) and constant(part.key) in _PASSWORDS for part in parts(expr)):
        return True
    return isinstance(expr, p.FunctionCall) or any(_PROVING.search(name) for _, name in way.flows(other))


def _over_secret(way: Way, call: p.Expr) -> bool:
    sources = way.flows(call)
    return ("secret", "") in sources and any(source[0] not in ("secret", "constant") for source in sources)
