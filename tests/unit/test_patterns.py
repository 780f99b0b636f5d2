"""Regular expressions: which engine, the same meaning on both, no text that blocks."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.sdk.patterns import Pattern

SUITES = Path(os.environ.get("POLGATE_SUITES", Path(__file__).parents[3] / "shared/suites"))


@pytest.mark.parametrize(
    ("text", "engine"),
    [
        (r"^[a-z]+-\d{4}$", "re"),
        (r"abc", "re"),
        (r"^v(\d+)$", "re"),
        (r"^(\w+)-(?P<id>\d+)$", "re"),
        (r"a{1,20}b", "re"),
        (r"\.json$", "re"),
        (r"(a+)+$", "re2"),
        (r".*a", "re2"),
        (r"^.*a", "re2"),
        (r"^a*a*$", "re2"),
        (r"a|b", "re2"),
        (r"a+b", "re2"),
        (r"a{1,300}b", "re2"),
        (r"^[a-z]*[a-z]{3}$", "re2"),
    ],
)
def test_python_engine_only_where_it_cannot_backtrack(text: str, engine: str) -> None:
    assert Pattern(text).engine == engine


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (r"(?=a)", "look-ahead"),
        (r"(a)\1", "references to a group"),
        ("[", "missing ]"),
        ("a{2000}", "repetition"),
    ],
)
def test_what_cannot_be_linear_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Pattern(text)


_ATOMS = st.sampled_from(["a", "b", "[ab]", "[a-c]", r"\d", r"\w", ".", r"\.", "[0-9]", "_", "-", "(a)", "(?:b)"])
_PIECES = st.tuples(_ATOMS, st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{1,3}"])).map("".join)
_PATTERNS = st.tuples(st.sampled_from(["", "^"]), st.lists(_PIECES, min_size=1, max_size=5), st.sampled_from(["", "$"]))


@settings(max_examples=1500, deadline=None)
@given(_PATTERNS, st.text(alphabet="ab0_-.\nc", max_size=10))
def test_both_engines_agree(parts: tuple[str, list[str], str], text: str) -> None:
    import re2

    source = parts[0] + "".join(parts[1]) + parts[2]
    pattern = Pattern(source)
    ours, theirs = pattern.search(text), re2.compile(source).search(text)
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert (ours.span(), ours.groups()) == (theirs.span(), theirs.groups())


@pytest.mark.skipif(not SUITES.is_dir(), reason=f"no conformance suites at {SUITES}: set POLGATE_SUITES")
def test_patterns_known_to_explode_do_not() -> None:
    for case in json.loads((SUITES / "regexploit/patterns.json").read_text()):
        source = case["pattern"] if isinstance(case, dict) else case
        try:
            pattern = Pattern(source)
        except ValueError:
            continue
        for text in ("a" * 50_000, "0" * 50_000 + "!", " " * 50_000, "ab" * 25_000 + "\n", "-_" * 25_000):
            started = time.process_time()
            pattern.search(text)
            assert time.process_time() - started < 0.1, source
