"""A header field that nobody should set any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.source import Span

_CSP = "set `Content-Security-Policy`"
_TOLD = "leave it out: limits tell what is left in `RateLimit` and `RateLimit-Policy`, unless the gateway hides these"
_INSTEAD = {
    "content-md5": "set `Content-Digest` (RFC 9530)",
    "digest": "set `Repr-Digest` or `Content-Digest` (RFC 9530)",
    "expect-ct": "leave it out: browsers demand transparent certificates anyway",
    "feature-policy": "set `Permissions-Policy`",
    "p3p": "leave it out: no browser reads it",
    "pragma": "set `Cache-Control` (RFC 9111, 5.4)",
    "public-key-pins": "leave it out: no browser reads it",
    "public-key-pins-report-only": "leave it out: no browser reads it",
    "report-to": "set `Reporting-Endpoints`",
    "set-cookie2": "set `Set-Cookie` (RFC 6265)",
    "warning": "leave it out (RFC 9111, 5.5)",
    "x-content-security-policy": _CSP,
    "x-ua-compatible": "leave it out: no browser that is left reads it",
    "x-webkit-csp": _CSP,
    "x-xss-protection": f"{_CSP}; the filter that this switches on has been used for attacks",
}


class DeprecatedField(Rule):
    """A field that its standard has given up, or that no client reads any more, protects nobody.

    `X-RateLimit-…` was never a standard, and each service counts it in its own way: polgate's limits tell `RateLimit`
    and `RateLimit-Policy` by themselves.

        route orders
        set response.header["X-XSS-Protection"] = "1; mode=block"
    ==
        route orders
        set response.header["Content-Security-Policy"] = "default-src 'self'"
    """

    name: ClassVar[str] = "deprecated-field"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for span, name, value in _fields(visit.statement):
                cure = _TOLD if name.lower().startswith(("x-ratelimit", "x-rate-limit")) else _INSTEAD.get(name.lower())
                switched_off = name.lower() == "x-xss-protection" and constant(value) == "0"
                if cure is not None and not switched_off:
                    yield Finding(span, f"`{name}` is a field of the past", help=cure)


def _fields(statement: p.Statement) -> Iterator[tuple[Span, str, p.Expr]]:
    """The fields of an answer that it sets."""
    if isinstance(statement, p.SetPlace):
        place = statement.place
        if isinstance(place, p.NamedPlace) and place.message == "response" and isinstance(place.key, p.Const):
            yield place.key.span, str(place.key.value), statement.value
    elif isinstance(statement, p.Respond):
        source = statement.span.source
        for name, value in statement.headers:
            start = source.text.rfind(name, statement.span.start, value.span.start)
            yield Span(source, start, start + len(name)) if start >= 0 else value.span, name, value
