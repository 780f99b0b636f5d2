"""One text that is written again and again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from policylang.lint.look import nodes
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule, Severity
from policylang.syntax import nodes as n

_SHORTEST = 10
_TAKES_NAMES = ("map", "env", "secret", "file")


class RepeatedLiteral(Rule):
    """A text that stands in many places is changed in all but one of them.

    A constant gives it a name. Names of header fields, maps, variables of the environment, files and counters are left
    alone, and so are texts below ten characters. `most` says how often one may stand.

        set request.header["X-1"] = "urn:acme:orders"
        set request.header["X-2"] = "urn:acme:orders"
        set request.header["X-3"] = "urn:acme:orders"
        set request.header["X-4"] = "urn:acme:orders"
        set request.header["X-5"] = "urn:acme:orders"
    ==
        let namespace = "urn:acme:orders"

        service items "/items" {
            set request.header["X-1"] = namespace
            set request.header["X-2"] = namespace
            set request.header["X-3"] = namespace
            set request.header["X-4"] = namespace
            set request.header["X-5"] = namespace
            respond 204
        }
    """

    name: ClassVar[str] = "repeated-literal"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO
    options: ClassVar[Mapping[str, Any]] = {"most": 4}

    def check(self, policy: Policy) -> Iterator[Finding]:
        named: set[int] = set()
        found: dict[str, list[n.Text]] = {}
        for node in policy.nodes:
            if isinstance(node, n.Text):
                text = node.literal
                if text is not None and len(text) >= _SHORTEST and id(node) not in named:
                    found.setdefault(text, []).append(node)
            else:
                named.update(id(each) for each in _names(node))
        for places in found.values():
            if len(places) > self.given["most"]:
                yield Finding(
                    places[0].span, f"this text stands {len(places)} times in the policy",
                    labels=[Label(places[1].span, "the second time")],
                    help="declare a constant: `let name = …`, and write its name",
                )  # fmt: skip


def _names(node: n.Node) -> Iterator[n.Node]:
    """What names a thing, and is written out where it stands; tests and settings repeat what they are about."""
    if isinstance(node, (n.Import, n.Test, n.Setting)):
        yield from nodes(node)
    elif isinstance(node, n.Index):
        yield node.key
    elif isinstance(node, n.Service) or (isinstance(node, n.CallExpr) and node.name in _TAKES_NAMES):
        yield from (arg.value for arg in node.args)
    elif isinstance(node, n.Argument) and node.name in ("name", "vary"):
        yield from nodes(node.value)
