"""Every syntax diagnostic has a page, whose bad example is found and whose good one is clean."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

import policylang.syntax
from policylang.source import Source
from policylang.syntax.pages import PAGES
from policylang.syntax.parser import parse

SOURCES = sorted(Path(policylang.syntax.__file__).parent.glob("*.py"))
DECLARATIONS = ("service", "gateway", "upstream", "map", "global", "import", "test", "assertion", "servce")
# Pages without a short bad example: their cases stand elsewhere.
LONG = {"too-deep", "too-many-errors", "format-defect"}


def blocks(page: str, info: str) -> list[str]:
    whole = (*DECLARATIONS, "rate_limit 10/s\nservice")
    found = re.findall(rf"^```{info}\n(.*?)^```$", page, re.S | re.M)
    return [text if text.startswith(whole) else 'service s "/" {\n' + indent(text, "    ") + "}\n" for text in found]


def names_in_code() -> set[str]:
    """Every name that the parser's modules give to a diagnostic."""
    text = "".join(file.read_text() for file in SOURCES if file.name != "pages.py")
    return set(re.findall(r'"([a-z]+(?:-[a-z]+)+|semicolon)"', text))


def test_pages_and_code_name_the_same_diagnostics() -> None:
    assert set(PAGES) == names_in_code()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_bad_example_is_found_and_good_one_is_clean(name: str) -> None:
    bad, good = blocks(PAGES[name], "pol bad"), blocks(PAGES[name], "pol")
    assert len(bad) == (name not in LONG)
    for text in bad:
        found = parse(Source("bad.pol", text))[1]
        assert {d.name for d in found} == {name}, [d.message for d in found]
    for text in good:
        assert parse(Source("good.pol", text))[1] == []
