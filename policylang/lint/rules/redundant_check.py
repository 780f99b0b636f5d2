"""A check that was made before on the same way."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.likeness import shape
from policylang.lint.look import Visit, calls, parts, within
from policylang.lint.moves import dropped
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import Passed, agreed, body_of, certain, never_passes, refusing
from policylang.source import Span
from policylang.tree.facts import REQUEST, RESPONSE, binds, touches

_CHECKS = ("allow_ip", "deny_ip", "api_key")


class RedundantCheck(Rule):
    """What has passed once passes again, so the second check refuses nobody.

    It was copied, and was to ask for something else; or it stands in the way of who wants to change the first.

        require request.header["X-Tenant"] == "acme"
        limit_size request, 1MB
        require request.header["X-Tenant"] == "acme"
    ==
        require request.header["X-Tenant"] == "acme"
        limit_size request, 1MB
        require request.header["X-User"] != "guest"
    """

    name: ClassVar[str] = "redundant-check"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_asked(policy))


def _asked(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    passed = Passed(policy, _told)
    for visit in policy.visits:
        for place, condition in _conditions(visit.statement):
            first = _before(passed, visit, condition)
            if first is None and refusing(visit.statement) is condition:
                unless = [each for each in _untrue(condition) if isinstance(visit.statement, p.If)]
                first = _before(passed, visit, unless[0]) if len(unless) == 1 else None
            finding = None
            if first is not None:
                finding = Finding(
                    place, "this was checked before", labels=[Label(first.span, "checked here")],
                    help="leave it out, or ask for what was meant",
                    fix=None if _needed(visit.statement) else dropped(policy, visit.statement, "leave it out"),
                )  # fmt: skip
            yield place, finding


def _needed(statement: p.Statement) -> bool:
    """Whether it does more than check."""
    if isinstance(statement, p.Invoke):
        return any(slot is not None for slot in statement.outputs)
    return isinstance(statement, p.If)


def _told(statement: p.Statement) -> Iterator[tuple[Hashable, p.Statement]]:
    for each in certain(statement):
        if isinstance(each, p.Expand):
            return  # its body checks for itself
        if isinstance(each, p.If):
            if len(each.arms) == 1 and each.orelse is None and never_passes(each.arms[0][1]):
                yield from ((shape(condition), each) for condition in _untrue(each.arms[0][0]))
            continue
        for _, condition in _conditions(each):
            yield shape(condition), each
            if isinstance(condition, p.BinaryOp) and condition.op == "and":
                yield from ((shape(part), each) for part in _all_of(condition))


def _untrue(condition: p.Expr) -> Iterator[p.Expr]:
    """What is true when it is not."""
    if isinstance(condition, p.UnaryOp) and condition.op == "not":
        yield from _all_of(condition.operand)
    elif isinstance(condition, p.BinaryOp) and condition.op == "or":
        yield from _untrue(condition.left)
        yield from _untrue(condition.right)
    elif isinstance(condition, p.BinaryOp) and condition.op in ("==", "!="):
        yield replace(condition, op="!=" if condition.op == "==" else "==")


def _conditions(statement: p.Statement) -> Iterator[tuple[Span, p.Expr | p.Invoke]]:
    """What the statement checks. Conditions that are always true, or always false, are another rule's."""
    if isinstance(statement, p.Require):
        yield statement.span, statement.condition
    elif isinstance(statement, p.If):
        yield statement.arms[0][0].span, statement.arms[0][0]
    elif isinstance(statement, p.Invoke) and calls(statement, *_CHECKS):
        yield statement.span, statement


def _before(passed: Passed, visit: Visit, wanted: p.Expr | p.Invoke) -> p.Expr | p.Statement | None:
    """The earlier check of the same, in the same body, where nothing it reads was written since."""
    if isinstance(wanted, p.Const) or (isinstance(wanted, p.Expr) and _of_none(wanted)):
        return None
    key, reads, body = shape(wanted), _reads(wanted), body_of(visit)
    for first, since in passed.before(visit, key, body):
        if not any(_written(each, reads) for each in since):
            return first
    at, inside = visit.outer, list(visit.before)
    while at is not None and at.statement is not body:
        condition = _taken(at.statement, visit) if isinstance(at.statement, p.If) else None
        if condition is not None and any(shape(each) == key for each in _all_of(condition)):
            return None if any(_written(each, reads) for each in inside) else condition
        inside = [*([at.statement] if isinstance(at.statement, p.For) else []), *at.before, *inside]
        at = at.outer
    return None


def _taken(statement: p.If, visit: Visit) -> p.Expr | None:
    """The condition of the arm that the visit stands in."""
    for condition, block in statement.arms:
        if block.span.source is visit.statement.span.source and (
            block.span.start <= visit.statement.span.start and visit.statement.span.end <= block.span.end
        ):
            return condition
    return None


def _all_of(condition: p.Expr) -> Iterator[p.Expr]:
    """What is true when it is."""
    if isinstance(condition, p.BinaryOp) and condition.op == "and":
        yield from _all_of(condition.left)
        yield from _all_of(condition.right)
    else:
        yield condition


def _of_none(expr: p.Expr) -> bool:
    return isinstance(expr, p.BinaryOp) and any(
        isinstance(side, p.Const) and side.value is None for side in (expr.left, expr.right)
    )


def _reads(wanted: p.Expr | p.Invoke) -> tuple[int, frozenset[int]]:
    exprs = [wanted] if isinstance(wanted, p.Expr) else [bound.value for bound in wanted.args]
    messages, slots = 0, set()
    for expr in exprs:
        messages |= touches(expr)
        slots |= {part.slot for part in parts(expr) if isinstance(part, p.SlotRef)}
    return messages, frozenset(slots)


def _written(statement: p.Statement, reads: tuple[int, frozenset[int]]) -> bool:
    messages, slots = reads
    for each in within(statement):
        if isinstance(each, (p.SetPlace, p.RemovePlace)) and not isinstance(each.place, p.SlotPlace):
            written = REQUEST if each.place.message == "request" else RESPONSE
        elif isinstance(each, p.Invoke):
            if "user" in each.card.effects:
                return True
            written = RESPONSE if each.card.answers else 0
        else:
            continue
        if messages & written:
            return True
    return bool(binds(statement) & slots)
