"""Builds `table_data.py`, the parser's tables, from `grammar/policy.lark`.

    python -m policylang.syntax.tables

Building takes a third of a second and imports Lark; reading what was built takes milliseconds and does
not. The output is a pure function of the grammar: states are numbered in the order in which they are
reached, so that a test can compare it with the committed file.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

GRAMMAR = Path(__file__).parents[2] / "grammar" / "policy.lark"
OUTPUT = Path(__file__).with_name("table_data.py")

HEADER = '''"""Parser tables. Generated from grammar/policy.lark: python -m policylang.syntax.tables"""

# A symbol's number is its place in TERMINALS + NONTERMINALS. The start state is 0.
'''


def load_grammar(text: str) -> Any:
    """The grammar as Lark sees it, without a lexer of its own. Raises GrammarError on any conflict."""
    from lark import Lark
    from lark.lexer import Lexer

    class NoLexer(Lexer):
        def __init__(self, lexer_conf: object) -> None:
            pass

        def lex(self, lexer_state: object, parser_state: object) -> Iterator[Any]:
            return iter(())

    return Lark(text, parser="lalr", lexer=NoLexer, start="file", strict=True)


def build(text: str) -> str:
    """The text of `table_data.py` for a grammar."""
    lark = load_grammar(text)
    table = lark.parser.parser._parse_table
    terminals = sorted({s.name for r in lark.rules for s in r.expansion if s.is_term} | {"$END"})
    nonterminals = sorted({r.origin.name for r in lark.rules})
    number = {name: i for i, name in enumerate(terminals + nonterminals)}
    patterns = {t.name: t.pattern for t in lark.terminals}

    order = _states_in_reached_order(table)
    states = {old: new for new, old in enumerate(order)}
    rules: dict[str, int] = {}
    rule_rows: list[tuple[int, int, str, tuple[int, ...]]] = []
    rows: dict[tuple[int, ...], int] = {}
    row_of_state: list[int] = []
    for old in order:
        row: list[int] = []
        for symbol, (action, argument) in sorted(table.states[old].items(), key=lambda entry: number[entry[0]]):
            if str(action) == "Shift":
                code = states[argument]
            else:
                if str(argument) not in rules:
                    rules[str(argument)] = len(rule_rows)
                    rule_rows.append(_rule(argument, number))
                code = -1 - rules[str(argument)]
            row += (number[symbol], code)
        row_of_state.append(rows.setdefault(tuple(row), len(rows)))

    accessing = [-1] * len(order)
    for old in order:
        for symbol, (action, argument) in table.states[old].items():
            if str(action) == "Shift":
                accessing[states[argument]] = number[symbol]

    words = {p.value: n for n, p in patterns.items() if p.type == "str" and re.fullmatch(r"[a-z_]+", p.value)}
    signs = {p.value: n for n, p in patterns.items() if p.type == "str" and p.value not in words and n[0] != "_"}
    regexps = {n: p.value for n, p in patterns.items() if p.type == "re"}
    end_rule = [(number["$END"], states[table.end_states["file"]])]
    parts = [
        HEADER,
        _names("TERMINALS", terminals),
        _names("NONTERMINALS", nonterminals),
        _mapping("WORDS", words),
        _mapping("SIGNS", signs),
        _mapping("PATTERNS", regexps),
        "# origin, length, builder, which symbols' values it gets (-1: nothing was written)\n"
        "RULES: tuple[tuple[int, int, str, tuple[int, ...]], ...] = (\n"
        + _wrapped([f"({o}, {n}, {_quote(b)}, {s!r})" for o, n, b, s in rule_rows], "    ")
        + ",\n)\n",
        _numbers("ROW_OF_STATE", row_of_state),
        "# Rows are parted by `;`, their actions by `/`; an action is followed by the symbols that ask for it:\n"
        "# n >= 0 goes to state n, n < 0 reduces by rule -n - 1.\n" + _rows(rows),
        "# The symbol that leads into each state.\n" + _numbers("ACCESSING", accessing),
        f"END = {end_rule[0][1]}\n",
    ]
    return "\n".join(parts)


def _states_in_reached_order(table: Any) -> list[int]:
    order = [table.start_states["file"]]
    seen = set(order)
    for state in order:
        for _, (action, argument) in sorted(table.states[state].items()):
            if str(action) == "Shift" and argument not in seen:
                seen.add(argument)
                order.append(argument)
    return order


def _rule(rule: Any, number: dict[str, int]) -> tuple[int, int, str, tuple[int, ...]]:
    """A rule's kept symbols follow Lark's own filtering; `[x]` that was not written is -1."""
    symbols = list(rule.expansion)
    gaps = [len(ones) for ones in "".join(str(int(e)) for e in rule.options.empty_indices).split("0")]
    if not rule.options.empty_indices:
        gaps = [0] * (len(symbols) + 1)
    kept: list[int] = []
    for i, symbol in enumerate(symbols):
        kept += [-1] * gaps[i]
        if not (symbol.is_term and symbol.filter_out):
            kept.append(i)
    kept += [-1] * gaps[len(symbols)]
    origin = rule.origin.name
    if rule.alias:
        builder = str(rule.alias)
    elif rule.options.expand1 and len(kept) == 1:
        builder = ""
    elif origin.startswith("__"):
        builder = "more" if symbols[0].name == origin else "first"
    else:
        builder = str(origin)
    return number[origin], len(symbols), builder, tuple(kept)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _wrapped(items: list[str], indent: str) -> str:
    return textwrap.fill(", ".join(items), 118, initial_indent=indent, subsequent_indent=indent)


def _names(title: str, names: list[str]) -> str:
    return f"{title}: tuple[str, ...] = (\n{_wrapped([_quote(n) for n in names], '    ')},\n)\n"


def _numbers(title: str, numbers: list[int]) -> str:
    return f"{title}: tuple[int, ...] = (\n{_wrapped([str(n) for n in numbers], '    ')},\n)\n"


def _rows(rows: Iterable[tuple[int, ...]]) -> str:
    texts = []
    for row in rows:
        symbols_of: dict[int, list[int]] = {}
        for symbol, code in zip(row[::2], row[1::2], strict=True):
            symbols_of.setdefault(code, []).append(symbol)
        texts.append("/".join(" ".join(map(str, [code, *symbols])) for code, symbols in symbols_of.items()))
    text = ";".join(texts)
    pieces = [text[i : i + 110] for i in range(0, len(text), 110)]
    return "ROWS = (\n" + "".join(f'    "{piece}"\n' for piece in pieces) + ")\n"


def _mapping(title: str, entries: dict[str, str]) -> str:
    lines = "".join(f"    {_quote(k)}: {_quote(v)},\n" for k, v in sorted(entries.items()))
    return f"{title}: dict[str, str] = {{\n{lines}}}\n"


def main() -> int:
    OUTPUT.write_text(build(GRAMMAR.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
