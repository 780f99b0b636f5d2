"""Text to syntax tree: lexer, layout, automaton, and every syntax error in one run."""

from __future__ import annotations

from policylang.diagnostics import Diagnostic
from policylang.source import Source
from policylang.syntax import nodes
from policylang.syntax.automaton import Automaton
from policylang.syntax.builder import Builder
from policylang.syntax.layout import lay_out
from policylang.syntax.lexer import Tokens, scan
from policylang.syntax.recovery import PanicRecovery


def parse(source: Source) -> tuple[nodes.File, list[Diagnostic]]:
    """The tree of a file and its syntax errors in text order. Never raises: what could not be read is a
    BadStatement or a BadExpr, or a declaration, setting or case left out."""
    tokens = scan(source)
    lexical = len(tokens.found)
    lay_out(tokens)
    builder = Builder(tokens)
    automaton = Automaton(tokens, builder)
    file = automaton.run(PanicRecovery(automaton))
    if file is None:
        file = nodes.File(source, _declarations(automaton.values), tuple(tokens.comments))
    found = tokens.found
    # Where a string swallowed half a line, nothing that its other half says is to be trusted.
    return file, _in_order(found[:lexical] + [d for d in found[lexical:] if d.span.line not in tokens.damaged])


def tokenize(source: Source) -> Tokens:
    """The tokens that the grammar is about: brackets balanced, newlines only where they end something."""
    tokens = scan(source)
    lay_out(tokens)
    return tokens


def _declarations(values: list[object]) -> tuple[nodes.Declaration, ...]:
    """What was read before the parser gave up."""
    found: list[nodes.Declaration] = []
    for value in values:
        items = value if isinstance(value, list) else [value]
        found += [item for item in items if isinstance(item, nodes.Declaration)]
    return tuple(found)


def _in_order(found: list[Diagnostic]) -> list[Diagnostic]:
    """By place, and one for each place and name. Arguments out of order are worth a word only on a line
    that is right otherwise."""
    if not found:
        return []
    lines = {d.span.line for d in found if d.name != "argument-order"}
    kept = [d for d in found if d.name != "argument-order" or d.span.line not in lines]
    unique = {(d.span.start, d.span.end, d.name): d for d in reversed(kept)}
    return sorted(unique.values(), key=lambda d: (d.span.start, d.span.end))
