"""What all walks of one program share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from policylang.catalog import Catalog
from policylang.check import program as p
from policylang.check.arguments import Signature, signature_of
from policylang.check.order import around, in_order, names_in
from policylang.check.report import Report
from policylang.check.scope import Slots
from policylang.check.surroundings import Surroundings
from policylang.check.walk import ExpressionCheck, Frame, StatementCheck, Walk, unknown
from policylang.diagnostics.nearest import nearest
from policylang.sdk.card import Card, FunctionCard
from policylang.sdk.shared_map import SharedMap
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse

if TYPE_CHECKING:
    from policylang.check.definitions import Definition

EXPANDED_STATEMENTS = 50_000
"""How many statements the calls of users' assertions may come to, all together, when each is put in its place."""

COMPARISONS = 20_000
"""How often an unknown word is compared with a known one, all in all: beyond, something else is wrong."""


class Defaults:
    """Default values as they stand in cards, parsed once for the process."""

    _known: dict[str, n.Expr] = {}

    def expression(self, text: str) -> n.Expr:
        """Raises ValueError when the card's text is no expression."""
        found = self._known.get(text)
        if found is None:
            file, wrong = parse(Source("default", f"let x = {text}\n"))
            declared = file.declarations[0] if file.declarations else None
            if wrong or not isinstance(declared, n.Constant):
                raise ValueError(f"the default `{text}` is no expression")
            found = self._known[text] = declared.value
        return found


@dataclass(slots=True)
class DeclaredMap:
    node: n.MapDeclaration
    value: dict[str, Any] | SharedMap | None


@dataclass(slots=True)
class Unit:
    report: Report
    catalog: Catalog
    surroundings: Surroundings
    expressions: dict[type[n.Node], ExpressionCheck]
    statements: dict[type[n.Node], StatementCheck]
    upstreams: dict[str, n.Upstream] = field(default_factory=dict)
    maps: dict[str, DeclaredMap] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)
    constant_nodes: dict[str, n.Constant] = field(default_factory=dict)
    constant_spans: dict[str, Span] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """The texts of files with syntax errors: what is unknown may have been declared where nobody could read it."""
    defaults: Defaults = field(default_factory=Defaults)
    counted: set[str] = field(default_factory=set)
    """The counters that have no name, without their ordinals."""
    asked: dict[Span, tuple[str, Card]] = field(default_factory=dict)
    """What asks for such a counter, and for which."""
    expansions_left: int = EXPANDED_STATEMENTS
    comparisons_left: int = COMPARISONS
    _constants: dict[str, p.Const] = field(default_factory=dict)
    _signatures: dict[str, Signature] = field(default_factory=dict)

    @property
    def constant_names(self) -> list[str]:
        return list(self.constant_nodes)

    def nearest(self, word: str, candidates: Iterable[str]) -> str | None:
        """The known word that was meant, where there is one and it is still looked for."""
        known = list(candidates)
        if self.comparisons_left < len(known):
            return None
        self.comparisons_left -= len(known)
        return nearest(word, known)

    def signature(self, card: Card | FunctionCard) -> Signature:
        key = card.name if isinstance(card, Card) else f"{card.name}()"
        found = self._signatures.get(key)
        if found is None:
            found = self._signatures[key] = signature_of(card.name, card.params)
        return found

    def constant(self, name: str) -> p.Const | None:
        """The value of a top-level `let`; they are worked out in an order in which each finds those that it needs."""
        return self._constants.get(name)

    def work_out_constants(self) -> None:
        nodes = self.constant_nodes
        order, circles = in_order(nodes, lambda name: [each for each in names_in(nodes[name].value) if each in nodes])
        for name in nodes:
            self._constants[name] = unknown(nodes[name].span)
        for name in order:
            if name in circles:
                self.report.error("recursive-constant", nodes[name].name_span, f"`{name}` is made of itself",
                                  help=f"give one of them a value of its own: {around(circles[name])}")  # fmt: skip
            else:
                self._constants[name] = self._worked_out(nodes[name])

    def _worked_out(self, node: n.Constant) -> p.Const:
        value = Walk(self, Frame("", Slots()), "constant").value(node.value)
        if not isinstance(value, p.Const):
            self.report.error(
                "not-constant", value.span, f"`{node.name}` must be known when the policy is loaded",
                help="a constant is made of literals, other constants, `env`, `secret`, `file` and `map`",
            )  # fmt: skip
            return unknown(node.span)
        return p.Const(value.span, value.type, value.private or node.private, value.value)

    def perhaps_declared(self, word: str) -> bool:
        """Whether a text that could not be read holds what looks like a declaration of it."""
        if not self.broken:
            return False
        pattern = re.compile(
            rf"(?:\b(?:upstream|map|assertion|let|private|for|catch)|->|->[^\n]*,)[ \t]+{re.escape(word)}\b"
        )
        return any(pattern.search(text) for text in self.broken)
