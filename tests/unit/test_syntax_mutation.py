"""One token dropped, doubled or swapped with the next: what becomes an error is reported where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from policylang.diagnostics import Diagnostic, Fix
from policylang.source import Source
from policylang.syntax import words as w
from policylang.syntax.lexer import scan
from policylang.syntax.parser import parse

ROOT = Path(__file__).parents[2]
POLICY = re.compile(r"^```pol[^\n]*\n(.*?)^```", re.S | re.M)


def written(*folders: str) -> list[tuple[str, str]]:
    """Every policy that the cases and samples hold, with a name for it."""
    found = []
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.md")):
            texts = POLICY.findall(file.read_text(encoding="utf-8"))
            found += [(f"{file.stem}-{k}", text) for k, text in enumerate(texts)]
        found += [(file.parent.name, file.read_text("utf-8")) for file in sorted((ROOT / folder).rglob("*.pol"))]
    return found


def mutants(text: str) -> Iterator[tuple[int, str]]:
    """The line of the change, and the changed text."""
    tokens = scan(Source("m.pol", text))
    places = [
        (start, end)
        for kind, start, end in zip(tokens.kinds, tokens.starts, tokens.ends, strict=True)
        if kind != w.NL and end > start
    ]
    for (start, end), following in pairwise([*places, (len(text), len(text))]):
        line = text.count("\n", 0, start) + 1
        yield line, text[:start] + text[end:]
        yield line, text[:end] + " " + text[start:end] + text[end:]
        first, last = following
        yield line, text[:start] + text[first:last] + text[end:first] + text[start:end] + text[last:]


def test_mutants_are_reported_where_they_are() -> None:
    errors = near = alone = 0
    for name, text in written("samples", "tests/cases/fmt"):
        assert parse(Source(name, text))[1] == []
        for line, changed in mutants(text):
            found = parse(Source("m.pol", changed))[1]
            if found:
                errors += 1
                near += any(line <= d.span.line <= line + 1 for d in found)
                alone += len(found) == 1
    assert errors > 1000
    assert near / errors > 0.98, f"{near} of {errors} on their line or the next"
    assert alone / errors > 0.85, f"{alone} of {errors} with one finding"


def apply(text: str, fix: Fix) -> str:
    for edit in sorted(fix.edits, key=lambda e: e.span.start, reverse=True):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


FAULTY = [
    pytest.param(text, found, id=name)
    for name, text in written("tests/cases/syntax")
    if (found := [d for d in parse(Source("x", text))[1] if d.fix])
]


@pytest.mark.parametrize(("text", "found"), FAULTY)
def test_a_fix_cures_its_finding_and_makes_no_other(text: str, found: list[Diagnostic]) -> None:
    before = len(parse(Source("x", text))[1])
    for diagnostic in found:
        assert diagnostic.fix is not None
        fixed = apply(text, diagnostic.fix)
        after = parse(Source("x", fixed))[1]
        assert len(after) < before, (diagnostic.name, fixed, [d.message for d in after])
