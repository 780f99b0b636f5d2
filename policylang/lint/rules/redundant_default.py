"""What is said and would be so without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from policylang.check import program as p
from policylang.check.settings import GATEWAY, UPSTREAM
from policylang.check.special import MAP_DECLARATION
from policylang.diagnostics import Edit
from policylang.lint.edits import fix, in_key, without_argument
from policylang.lint.look import expressions
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.sdk.card import Card, FunctionCard
from policylang.source import Span
from policylang.syntax import nodes as n


class RedundantDefault(Rule):
    """An argument that is the parameter's default says nothing.

    Where switches stand that change nothing, the one that changes something is overlooked. Numbers, times and sizes are
    left alone, as it is worth reading how long or how many; so is what stands first, without its name. `x ?? none` is
    `x`.

        limit_size request, 1MB
        log "asked for ${path.id}", level: info
    ==
        limit_size request, 1MB
        log "asked for ${path.id}"
    """

    name: ClassVar[str] = "redundant-default"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        cards = policy.catalog.assertions
        declared = {
            each.name: {one.name: one.default.span.text for one in each.parameters if one.default is not None}
            for each in policy.declarations if isinstance(each, n.AssertionDeclaration)
        }  # fmt: skip
        of_maps = {param.name: param.default for param in MAP_DECLARATION if param.default is not None}
        for node in policy.nodes:
            if isinstance(node, n.Call):
                defaults = declared.get(node.name) or _defaults(cards, node.name)
                yield from _redundant(node.args, defaults, node.name_span)
            elif isinstance(node, n.CallExpr):
                yield from _redundant(node.args, _defaults(policy.catalog.functions, node.name), node.name_span)
            elif isinstance(node, n.MapDeclaration):
                yield from _redundant(node.args, of_maps, node.name_span)
            elif isinstance(node, (n.Gateway, n.Upstream)):
                settings = GATEWAY if isinstance(node, n.Gateway) else UPSTREAM
                for each in node.settings:
                    if len(each.args) > 1:  # a setting with nothing but its defaults names what it is about
                        yield from _redundant(each.args, _defaults(settings, each.name), each.name_span)
        yield from _coalesced(policy)


def _defaults(cards: Mapping[str, Card] | Mapping[str, FunctionCard], name: str) -> dict[str, str]:
    card = cards.get(name)
    return {param.name: param.default for param in card.params if param.default is not None} if card else {}


def _redundant(args: Sequence[n.Argument], defaults: Mapping[str, str], head: Span) -> Iterator[Finding]:
    for place, arg in enumerate(args):
        if arg.name is not None and isinstance(arg.value, (n.Bool, n.Name)):
            text = arg.value.span.text
            if defaults.get(arg.name) == text:
                yield Finding(
                    arg.span, f"`{arg.name}` is `{text}` also where nothing is said", help="leave it out",
                    fix=fix(f"leave out `{arg.name}`", without_argument(tuple(args), place, head), safe=True),
                )  # fmt: skip


def _coalesced(policy: Policy) -> Iterator[Finding]:
    for visit in policy.visits:
        for expr in expressions(visit.statement):
            if isinstance(expr, p.BinaryOp) and expr.op == "??" and expr.right.type.name == "none":
                source = expr.span.source
                at = source.text.find("??", expr.left.span.end, expr.right.span.start)
                gone = Span(source, len(source.text[:at].rstrip()), expr.span.end)
                yield Finding(
                    Span(source, at, expr.span.end), "a value that is not there is `none` without `?? none`",
                    help="leave it out",
                    fix=fix("leave out `?? none`", Edit(gone, ""), safe=not in_key(visit.statement, expr.span)),
                )  # fmt: skip
