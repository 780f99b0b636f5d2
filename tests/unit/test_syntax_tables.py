"""The committed tables are those of the grammar, and parsing needs nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from policylang.syntax import tables, words


def test_tables_are_fresh_and_the_grammar_has_no_conflict() -> None:
    # build() loads the grammar with strict=True, which refuses every conflict.
    assert tables.build(tables.GRAMMAR.read_text(encoding="utf-8")) == tables.OUTPUT.read_text(encoding="utf-8")


def test_a_conflict_is_refused() -> None:
    from lark.exceptions import GrammarError

    with pytest.raises(GrammarError):
        tables.load_grammar('file: x | y\nx: "a" -> one\ny: "a" -> two\n')


def test_parsing_imports_neither_lark_nor_twisted() -> None:
    code = (
        "import sys; from policylang.syntax.parser import parse; from policylang.source import Source;"
        "parse(Source('x', 'let a = 1')); assert not {'lark', 'twisted'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_terminal_has_words() -> None:
    for name, number in words.NUMBER_OF.items():
        if number < words.TERMINAL_COUNT and not name.startswith("BAD"):
            assert words.DESCRIPTIONS[number], name
