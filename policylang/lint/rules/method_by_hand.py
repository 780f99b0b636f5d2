"""A method that is checked in the block instead of in the service's head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix, without_statement
from policylang.lint.look import constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.written import place_of
from policylang.source import Span
from policylang.syntax import nodes as n


class MethodByHand(Rule):
    """Which methods a service has stands in its head.

    With `methods:` another method is answered 405 with `Allow` before anything is run for it; a `require` refuses it
    with 403, and no client knows why. HEAD passes where GET does.

        service items "/items" {
            require request.method == "GET"
            route orders
        }
    ==
        service items "/items", methods: ["GET"] {
            route orders
        }
    """

    name: ClassVar[str] = "method-by-hand"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            service, statement = visit.service, visit.statement
            if service is None or service.methods or visit.parents or visit.place != "service":
                continue
            methods = _methods(statement)
            if methods:
                head = f"methods: [{', '.join(methods)}]"
                yield Finding(
                    statement.span, "this refuses methods that the service says it has",
                    help=f"write `{head}` in the head of `{service.name}`", fix=_fix(policy, statement, head),
                )  # fmt: skip


def _methods(statement: p.Statement) -> list[str]:
    """Those that it lets pass, as they are written in a list."""
    if isinstance(statement, p.Require):
        test, passes = statement.condition, True
    elif isinstance(statement, p.If) and len(statement.arms) == 1 and _refuses(statement):
        test, passes = statement.arms[0][0], False
    else:
        return []
    while isinstance(test, p.UnaryOp) and test.op == "not":
        test, passes = test.operand, not passes
    operators = ("==", "in") if passes else ("!=",)
    if not (isinstance(test, p.BinaryOp) and test.op in operators and _is_method(test.left)):
        return []
    value = constant(test.right)
    found = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [f'"{each}"' for each in found]


def _refuses(statement: p.If) -> bool:
    """Whether it does nothing but fail."""
    inner = statement.arms[0][1].statements
    return statement.orelse is None and len(inner) == 1 and isinstance(inner[0], p.Fail)


def _is_method(expr: p.Expr) -> bool:
    return isinstance(expr, p.MessageField) and (expr.message, expr.field) == ("request", "method")


def _fix(policy: Policy, statement: p.Statement, head: str) -> Fix | None:
    for each in policy.written:
        if place_of(each.statement.span) == place_of(statement.span):
            owner = next(
                (d for d in each.file.declarations if isinstance(d, n.Service) and d.body is each.block), None
            )
            if owner is not None:
                end = owner.args[-1].span.end
                added = Edit(Span(statement.span.source, end, end), f", {head}")
                return fix(f"write `{head}`", added, without_statement(each.file, each.block, each.statement))
    return None
