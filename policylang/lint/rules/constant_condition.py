"""A condition that has one answer for all requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint import look
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import agreed
from policylang.source import Span
from policylang.syntax import nodes as n

_LITERALS = (n.Number, n.Bool, n.NoneValue, n.DurationValue, n.SizeValue, n.RateValue)


class ConstantCondition(Rule):
    """A condition of literals only, or one that asks whether a value is `none` that never is.

    It decides nothing: what stands behind it always runs, or never. Constants, `env()` and parameters are no literals,
    as they are there to be changed.

        if path.id != none and request.header["X-Trace"] != none {
            log "traced ${path.id}"
        }
    ==
        if request.header["X-Trace"] != none {
            log "traced ${path.id}"
        }
    """

    name: ClassVar[str] = "constant-condition"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for node in policy.nodes:
            for condition in _conditions(node):
                if _literal(condition):
                    yield Finding(
                        condition.span, f"`{' '.join(condition.span.text.split())}` is the same for every request",
                        help="write what it is to ask, or leave it out",
                    )  # fmt: skip
        yield from agreed(_about_none(policy))


def _conditions(node: n.Node) -> Iterator[n.Expr]:
    if isinstance(node, n.If):
        yield from (arm.condition for arm in node.arms)
    elif isinstance(node, (n.Require, n.Conditional)):
        yield node.condition
    elif isinstance(node, n.Match):
        yield node.subject
    elif isinstance(node, n.Binary) and node.op in ("and", "or") and not _literal(node):
        yield from (node.left, node.right)


def _literal(node: n.Expr) -> bool:
    if isinstance(node, n.Text):
        return node.literal is not None
    if isinstance(node, n.Unary):
        return _literal(node.operand)
    if isinstance(node, n.Binary):
        return _literal(node.left) and _literal(node.right)
    if isinstance(node, n.ListValue):
        return all(_literal(item) for item in node.items)
    return isinstance(node, _LITERALS)


def _about_none(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    for visit in policy.visits:
        for expr in look.expressions(visit.statement):
            if isinstance(expr, p.BinaryOp) and expr.op in ("==", "!="):
                for side, other in ((expr.left, expr.right), (expr.right, expr.left)):
                    if isinstance(other, p.Const) and other.value is None:
                        yield expr.span, _never_none(expr, side)


def _never_none(expr: p.BinaryOp, side: p.Expr) -> Finding | None:
    # an element of JSON may be `none` whatever its type says
    if side.type.optional or side.type.name == "json" or isinstance(side, p.Const):
        return None
    always = "true" if expr.op == "!=" else "false"
    return Finding(
        expr.span, f"`{look.text_of(side)}` is never `none`, so this is always {always}",
        help="leave it out, or ask for what was meant",
    )  # fmt: skip
