"""A host or a name that is judged by a part of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.demands import denied
from policylang.lint.look import constant, expressions, text_of
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule

_HOSTS = frozenset({("header", "origin"), ("header", "referer"), ("request", "host")})
_DOMAIN = re.compile(r"[a-z0-9](?P<dot>\\?\.)(?:com|net|org|io|dev|app|example|internal|[a-z]{2})\b")


class JudgedByPart(Rule):
    """An Origin, a host or the subject of a certificate is believed for a part of its text.

    `evilshop.example` ends like `shop.example`, `https://shop.example.evil.net` begins like it, and both contain it; in
    a pattern a bare `.` is any letter. Hold the whole against a list, or end a domain with its dot: `.shop.example`.

        let origin = request.header["Origin"] ?? "none"
        require origin ends_with "shop.example"
    ==
        let origin = request.header["Origin"] ?? "none"
        require origin in ["https://shop.example", "https://www.shop.example"]
    """

    name: ClassVar[str] = "judged-by-part"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            way = policy.origins.of(visit.service)
            keeps_out = denied(visit)
            for expr in expressions(visit.statement):
                if id(expr) in keeps_out:
                    continue
                text = constant(expr.right) if isinstance(expr, p.BinaryOp) else None
                if not isinstance(expr, p.BinaryOp) or not isinstance(text, str):
                    continue
                kind = _kind(way, expr.left)
                if kind and _part(expr.op, text, kind):
                    yield Finding(
                        expr.span, f"anybody can have a {kind} of which this is true",
                        help=f"hold the whole {kind} against a list: `{text_of(expr.left)} in [\"…\"]`",
                    )  # fmt: skip


def _kind(way: Way, expr: p.Expr) -> str:
    """What is looked at, where it says who somebody is."""
    if isinstance(expr, p.MemberOf) and expr.base.type.name == "certificate":
        return "subject" if constant(expr.key) in ("subject", "issuer") else ""
    return "host" if _HOSTS & way.flows(expr) else ""


def _part(op: str, text: str, kind: str) -> bool:
    if op == "contains":
        return True
    if kind == "subject":
        return op in ("starts_with", "ends_with")
    if op == "ends_with":
        return "." in text and not text.startswith((".", "/", "http"))
    if op == "starts_with":
        start = text.partition("://")[2]
        return bool(start) and "." in start and not start.endswith((".", "/", ":"))
    domain = _DOMAIN.search(text) if op == "matches" else None
    if domain is None:
        return False
    begins, ends = text.startswith(("^", "\\.")) or "(^|" in text or "(?:^|" in text, text[domain.end() :]
    return domain["dot"] == "." or not begins or not ("$" in ends or ends.startswith(("/", ":")))
