"""A value that is made public for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.look import nodes
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.source import Span
from policylang.syntax import nodes as n

_KEYS = frozenset({"per", "key", "id"})
_COUNTING = frozenset({
    "api_key", "rate_limit", "quota", "concurrency_limit", "lockout", "not_replayed", "rate_limit_status",
    "quota_status",
})  # fmt: skip


class RevealNeedless(Rule):
    """`reveal` stands where a private value may stand as it is.

    A request to an upstream may carry it, keys are hashed, and a condition shows it to nobody. Revealed it is a value
    like any other: the next log line that reads the field shows it.

        set request.header["Authorization"] = "Bearer ${reveal(secret("ORDERS_TOKEN"))}"
        route orders
    ==
        set request.header["Authorization"] = "Bearer ${secret("ORDERS_TOKEN")}"
        route orders
    """

    name: ClassVar[str] = "reveal-needless"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for written in policy.written:
            for place in _private_already(written.statement):
                for node in nodes(place):
                    if isinstance(node, n.CallExpr) and node.name == "reveal" and len(node.args) == 1:
                        yield Finding(
                            node.span, "a private value may stand here as it is", help="leave `reveal` out",
                            fix=Fix("leave `reveal` out", _unwrapped(node)),
                        )  # fmt: skip


def _private_already(statement: n.Statement) -> Iterator[n.Expr]:
    """What of it shows nothing to anybody."""
    if isinstance(statement, n.Set):
        if statement.target.span.text.startswith("request."):
            yield statement.value
    elif isinstance(statement, n.Require):
        yield statement.condition
    elif isinstance(statement, n.If):
        yield from (arm.condition for arm in statement.arms)
    elif isinstance(statement, n.Match):
        yield statement.subject
    elif isinstance(statement, n.Call) and statement.name in _COUNTING:
        for place, each in enumerate(statement.args):
            first = place == 0 and statement.name in ("api_key", "lockout", "not_replayed")
            if each.name in _KEYS or (each.name is None and first):
                yield each.value


def _unwrapped(call: n.CallExpr) -> tuple[Edit, ...]:
    inner, span = call.args[0].value.span, call.span
    return (
        Edit(Span(span.source, span.start, inner.start), ""), Edit(Span(span.source, inner.end, span.end), ""),
    )  # fmt: skip
