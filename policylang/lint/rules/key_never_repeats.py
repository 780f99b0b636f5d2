"""A key that is another one for every request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import items, key_of
from policylang.lint.look import calls, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import meaning

_ASSERTIONS = (
    "rate_limit", "quota", "concurrency_limit", "lockout", "not_replayed", "cache", "cache_lookup", "circuit_breaker",
)  # fmt: skip
"""Not `remember`: what it keeps under a new name, such as a voucher, is handed out and looked up."""


class KeyNeverRepeats(Rule):
    """What is counted by a value that never comes again is always the first of its kind.

    Such a limit refuses nobody, such a cache never has an answer, and each request leaves an entry behind. A client's
    port is another one for each connection.

        rate_limit 10/s, per: "${client.ip} ${now}"
        route orders
    ==
        rate_limit 10/s, per: client.ip
        route orders
    """

    name: ClassVar[str] = "key-never-repeats"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Split):
                key: p.Expr | None = None if _is_request_id(statement.subject) else statement.subject
            else:
                key = key_of(statement) if calls(statement, *_ASSERTIONS) else None
            new = _new(policy, visit.service, key) if isinstance(key, p.Expr) else None
            if key is not None and new is not None:
                yield Finding(
                    key.span, f"`{text_of(new)}` is another one each time, so no two requests have this key",
                    help="take what stays, such as `client.ip` or `user.id`",
                )  # fmt: skip


def _new(policy: Policy, service: p.Service | None, key: p.Expr) -> p.Expr | None:
    """What in it is new for every request; what is worked out of it, such as a date, may come again."""
    waiting, seen = [key], set[int]()
    while waiting:
        expr = meaning(policy, service, waiting.pop())
        if id(expr) in seen:
            continue
        seen.add(id(expr))
        if isinstance(expr, p.ContextValue) and (expr.root == "now" or (expr.root, expr.field) == ("client", "port")):
            return expr
        if _is_request_id(expr):
            return expr
        if isinstance(expr, p.FunctionCall):
            if expr.card.name in ("uuid", "random_hex"):
                return expr
            if expr.card.group in ("hashing", "encoding", "argument") or expr.card.name == "string":
                waiting += reversed(expr.args)
        elif isinstance(expr, p.BinaryOp) and expr.op in ("+", "??"):
            waiting += (expr.right, expr.left) if expr.op == "+" else (expr.left,)
        elif isinstance(expr, (p.ListOf, p.Template)):
            waiting += reversed(items(expr))
    return None


def _is_request_id(expr: p.Expr) -> bool:
    """Which is what a client gives, where it gives one: `split` may go by it as by chance."""
    return isinstance(expr, p.MessageField) and (expr.message, expr.field) == ("request", "id")
