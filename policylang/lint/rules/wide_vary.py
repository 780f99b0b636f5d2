"""A cache that keeps an answer for each caller."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import fields_written
from policylang.lint.look import Visit, argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import meaning
from policylang.source import Span

_WIDE = frozenset({
    "cookie", "date", "referer", "traceparent", "tracestate", "user-agent", "via", "x-correlation-id",
    "x-forwarded-for", "x-real-ip", "x-request-id",
})  # fmt: skip

_AS_MANY = frozenset({"lower", "md5", "sha1", "sha256", "sha512", "string", "trim", "upper"})


class WideVary(Rule):
    """An answer that is kept apart by a field with a thousand values is seldom found again.

    `User-Agent`, `Cookie`, `Referer` and the ids of requests differ from caller to caller: the cache fills with one
    answer many times over. Take what decides out of the field, and put that into `key:`. The same is so for caches
    behind the gateway that a `Vary` in the answer speaks to, where `*` says that none may use it.

        cache ttl: 1m, vary: ["User-Agent"] { route orders }
    ==
        let mobile = (request.header["User-Agent"] ?? "") contains "Mobile"
        cache ttl: 1m, key: mobile { route orders }
    """

    name: ClassVar[str] = "wide-vary"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for span, name in _told_apart(policy, visit):
                if name == "*":
                    yield Finding(
                        span, "`*` says that no cache may answer twice with this",
                        help="name the fields that decide, or set `Cache-Control` to `no-store`",
                    )  # fmt: skip
                elif name.lower() in _WIDE:
                    yield Finding(
                        span, f"`{name}` differs from caller to caller, and so does what is kept",
                        help="tell apart by what decides: a word of it, not the whole field",
                    )  # fmt: skip


def _told_apart(policy: Policy, visit: Visit) -> Iterator[tuple[Span, str]]:
    statement = visit.statement
    if calls(statement, "cache", "cache_store", "cache_lookup"):
        vary, key = argument(statement, "vary"), argument(statement, "key")
        if vary is not None:
            yield from ((vary.span, str(name)) for name in constant(vary) or ())
        keys = key.items if isinstance(key, p.ListOf) else [] if key is None else [key]
        for each in keys:
            whole = _whole(policy, visit, each)
            if isinstance(whole, p.Named) and whole.kind == "header":
                yield each.span, str(constant(whole.key) or "")
    for field in fields_written(statement):
        names = constant(field.value)
        if (field.message, field.name) == ("response", "vary") and isinstance(names, str):
            yield from ((field.value.span, name.strip()) for name in names.split(","))


def _whole(policy: Policy, visit: Visit, expr: p.Expr) -> p.Expr:
    """What has as many values as the expression: most functions and a comparison make fewer of a field."""
    expr = meaning(policy, visit.service, expr)
    if isinstance(expr, p.BinaryOp) and expr.op == "??":
        return _whole(policy, visit, expr.left)
    if isinstance(expr, p.FunctionCall) and expr.card.name in _AS_MANY:
        return _whole(policy, visit, expr.args[0])
    if isinstance(expr, p.Template):
        inner = [part for part in expr.parts if isinstance(part, p.Expr)]
        return _whole(policy, visit, inner[0]) if len(inner) == 1 else expr
    return expr
