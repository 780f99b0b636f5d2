"""A parameter that its assertion does not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.edits import fix, without_argument
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.unused import own_files
from policylang.source import Span
from policylang.syntax import nodes as n


class UnusedParameter(Rule):
    """A parameter that the assertion's body does not read promises what it does not keep.

    Who calls it believes that the argument decides something.

        assertion in_time(limit: duration, zone: string) {
            require hour(now, zone: zone) < 18
        }

        service desk "/desk" {
            in_time limit: 5s, zone: "Europe/Berlin"
            respond 204
        }
    ==
        assertion in_time(zone: string) {
            require hour(now, zone: zone) < 18
        }

        service desk "/desk" {
            in_time zone: "Europe/Berlin"
            respond 204
        }
    """

    name: ClassVar[str] = "unused-parameter"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        own = own_files(policy)  # of what others import, not every call is here
        calls: dict[str, list[n.Call]] = {}
        for node in policy.nodes:
            if isinstance(node, n.Call):
                calls.setdefault(node.name, []).append(node)
        for scope in policy.scopes:
            owner = scope.declaration
            if isinstance(owner, n.AssertionDeclaration) and owner.parameters:
                read = scope.reads()
                for place, each in enumerate(owner.parameters):
                    if each.name not in read and not each.name.startswith("_"):
                        yield Finding(
                            each.name_span, f"`{owner.name}` does not read its parameter `{each.name}`",
                            help="read it, or take it out here and at every call",
                            fix=_fix(owner, place, calls.get(owner.name, [])) if scope.file in own else None,
                        )  # fmt: skip


def _fix(owner: n.AssertionDeclaration, place: int, calls: list[n.Call]) -> Fix | None:
    name = owner.parameters[place].name
    edits = [_without_parameter(owner, place)]
    for call in calls:
        given = next(
            (k for k, arg in enumerate(call.args) if arg.name == name or (arg.name is None and k == place)), None
        )
        if given is not None:
            edits.append(without_argument(call.args, given, call.name_span))
    # An argument that cannot be worked out refuses the request, so that it is missed when it is gone.
    return fix(f"take out `{name}` here and at every call", *edits)


def _without_parameter(owner: n.AssertionDeclaration, place: int) -> Edit | None:
    params = owner.parameters
    source, gone = params[0].span.source, params[place].span
    if len(params) == 1:
        opening, closing = source.text.find("(", owner.name_span.end), source.text.find(")", gone.end)
        plain = source.text[gone.end : closing].strip() == "" and source.text[opening + 1 : gone.start].strip() == ""
        return Edit(Span(source, opening, closing + 1), "") if plain else None
    start, end = (params[place - 1].span.end, gone.end) if place else (gone.start, params[1].span.start)
    between = source.text[start : gone.start] + source.text[gone.end : end]
    return Edit(Span(source, start, end), "") if between.strip() == "," else None
