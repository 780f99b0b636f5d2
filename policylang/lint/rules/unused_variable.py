"""A name that is bound and never read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.costs import held_in_vain
from policylang.lint.edits import commented, fix, without_statement
from policylang.lint.look import AUTHENTICATES, nodes
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.written import Scope, Written, place_of
from policylang.source import Span
from policylang.syntax import nodes as n

_BINDING = (n.Let, n.Call, n.For, n.Try)
_LITERALS = (n.Number, n.Bool, n.DurationValue, n.SizeValue, n.RateValue)


class UnusedVariable(Rule):
    """A name that nothing reads was left over, or another one is read in its place.

    A `let` also refuses a request whose value is missing; where that is what it is for, `require … != none` says so.
    Outputs may be left out from the end of the list. A name that must stand there and is not read, such as an output
    before another or that of a loop's rounds, begins with `_`. Who a caller is, is left to `identity-unread`.

        let region = request.header["X-Region"] ?? "eu"
        log "asked for ${path.id}"
    ==
        let region = request.header["X-Region"] ?? "eu"
        log "asked for ${path.id} from ${region}"
    """

    name: ClassVar[str] = "unused-variable"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        elsewhere = {place_of(visit.statement.span) for visit, _ in held_in_vain(policy)}
        tells = _authenticating(policy)
        for scope in policy.scopes:
            read: set[str] | None = None
            written: set[str] = set()
            for each in policy.written_in(scope):
                statement = each.statement
                if not isinstance(statement, _BINDING) or place_of(statement.span) in elsewhere:
                    continue
                if read is None:
                    read, written = scope.reads(), _changed(scope)
                if isinstance(statement, n.Let):
                    if not _known(statement.name, read):
                        yield _let(scope, each, statement, statement.name in written)
                elif isinstance(statement, n.For):
                    if not _known(statement.name, read):
                        yield _round(statement)
                elif isinstance(statement, n.Try):
                    if statement.name is not None and not _known(statement.name, read):
                        yield _caught(scope, statement)
                elif statement.name not in tells:
                    yield from _outputs(scope, statement, read)


def _known(name: str, read: set[str]) -> bool:
    return name in read or name.startswith("_")


def _changed(scope: Scope) -> set[str]:
    """The names that a `set` writes."""
    return {
        each.target.name for each in nodes(scope.blocks) if isinstance(each, n.Set) and isinstance(each.target, n.Name)
    }  # fmt: skip


def _let(scope: Scope, each: Written, node: n.Let, changed: bool) -> Finding:
    literal = isinstance(node.value, _LITERALS) or (isinstance(node.value, n.Text) and node.value.literal is not None)
    edit = None if changed or not each.in_turn else without_statement(scope.file, each.block, node)
    message = f"`{node.name}` is {'changed, but ' if changed else ''}never read"
    return Finding(
        node.name_span, message, help="read it, or take it out; `require … != none` checks without a name",
        fix=fix(f"take out `{node.name}`", edit, safe=literal),
    )  # fmt: skip


def _round(node: n.For) -> Finding:
    name = f"_{node.name}"
    return Finding(
        node.name_span, f"no round reads `{node.name}`",
        help=f"read it, or call it `{name}` if it is the rounds that count",
        fix=fix(f"call it `{name}`", Edit(node.name_span, name)),
    )  # fmt: skip


def _caught(scope: Scope, node: n.Try) -> Finding:
    assert node.name_span is not None
    source = node.name_span.source
    gone = Span(source, node.name_span.start, node.handler.span.start)
    edit = None if commented(scope.file, gone) else Edit(gone, "")
    return Finding(
        node.name_span, f"the failure `{node.name}` is never read", help="read it, or write `catch` without a name",
        fix=fix(f"take out `{node.name}`", edit, safe=True),
    )  # fmt: skip


def _outputs(scope: Scope, node: n.Call, read: set[str]) -> Iterator[Finding]:
    """Those at the end of the list: names are given in the order of the outputs."""
    kept = len(node.outputs)
    while kept and not _known(node.outputs[kept - 1].name, read):
        kept -= 1
    for each in node.outputs[kept:]:
        first = each is node.outputs[kept]
        yield Finding(
            each.span, f"`{each.name}` is never read", help="read it, or leave it out",
            fix=_without_outputs(scope, node, kept) if first else None,
        )  # fmt: skip


def _without_outputs(scope: Scope, node: n.Call, kept: int) -> Fix | None:
    source = node.span.source
    end = node.outputs[-1].span.end
    if kept:
        start = node.outputs[kept - 1].span.end
    else:
        arrow = source.text.rfind("->", node.span.start, node.outputs[0].span.start)
        start = len(source.text[:arrow].rstrip())
    gone = Span(source, start, end)
    return fix("leave it out", None if commented(scope.file, gone) else Edit(gone, ""), safe=True)


def _authenticating(policy: Policy) -> set[str]:
    """The assertions that find out who the caller is, also by calling one that does."""
    found = set(AUTHENTICATES) | {c.name for c in policy.catalog.assertions.values() if "user" in c.effects}
    calls = {
        scope.declaration.name: {each.statement.name for each in policy.written_in(scope)
                                 if isinstance(each.statement, n.Call)}
        for scope in policy.scopes if isinstance(scope.declaration, n.AssertionDeclaration)
    }  # fmt: skip
    while more := {name for name, called in calls.items() if called & found} - found:
        found |= more
    return found
