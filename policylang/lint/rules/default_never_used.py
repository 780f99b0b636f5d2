"""A default for a value that is always there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint import look
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.ways import agreed
from policylang.source import Span


class DefaultNeverUsed(Rule):
    """What stands left of `??` is never `none`, so what stands right of it is never taken.

    The default was meant for something else: a value that is empty, wrong, or not allowed.

        let tenant = request.header["X-Tenant"]
        set request.header["X-Partition"] = tenant ?? "shared"
        route orders
    ==
        let tenant? = request.header["X-Tenant"]
        set request.header["X-Partition"] = tenant ?? "shared"
        route orders
    """

    name: ClassVar[str] = "default-never-used"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_defaults(policy))


def _defaults(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    for visit in policy.visits:
        for expr in look.expressions(visit.statement):
            if isinstance(expr, p.BinaryOp) and expr.op == "??":
                yield expr.span, _finding(expr)


def _finding(expr: p.BinaryOp) -> Finding | None:
    left = expr.left
    # an element of JSON may be `none` whatever its type says
    if left.type.optional or left.type.name in ("json", "unknown") or isinstance(left, p.Const):
        return None
    text = look.text_of(left)
    return Finding(
        expr.right.span, f"`{text}` is never `none`, so this is never taken",
        help="leave it out, or ask for what was meant",
        fix=Fix("leave the default out", (Edit(expr.span, left.span.text),)),
    )  # fmt: skip
