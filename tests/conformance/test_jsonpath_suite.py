"""JSONPath against the compliance suite of RFC 9535."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from assertions.functions.jsonpath_compile import compile_query
from assertions.functions.jsonpath_syntax import parse_jsonpath

SUITES = Path(os.environ.get("POLGATE_SUITES", Path(__file__).parents[3] / "shared/suites"))


@pytest.mark.skipif(not SUITES.is_dir(), reason=f"no conformance suites at {SUITES}: set POLGATE_SUITES")
def test_every_selector_is_refused_or_right() -> None:
    wrong = []
    cases = json.loads((SUITES / "jsonpath-cts/cts.json").read_text())["tests"]
    for case in cases:
        try:
            select = compile_query(parse_jsonpath(case["selector"]))
        except ValueError:
            if not case.get("invalid_selector"):
                wrong.append(f"refused: {case['selector']}")
            continue
        if case.get("invalid_selector"):
            wrong.append(f"accepted: {case['selector']}")
        elif select(case["document"]) not in (case.get("results") or [case["result"]]):
            wrong.append(f"wrong: {case['selector']}")
    assert len(cases) > 700
    assert not wrong
