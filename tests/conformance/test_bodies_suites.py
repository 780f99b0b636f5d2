"""Bodies against data made by others."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from policylang.sdk.outcome import Failed
from policylang.sdk.parse import parse_json, parse_xml

SUITES = Path(os.environ.get("POLGATE_SUITES", Path(__file__).parents[3] / "shared/suites"))
NAMED_TWICE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
"""RFC 8259 lets them stand (names SHOULD be unique); the language refuses them, as readers differ on which counts."""

needs_suites = pytest.mark.skipif(not SUITES.is_dir(), reason=f"no conformance suites at {SUITES}: set POLGATE_SUITES")


@needs_suites
def test_json_test_suite() -> None:
    wrong = []
    for file in sorted((SUITES / "JSONTestSuite/test_parsing").glob("*.json")):
        try:
            parse_json(file.read_bytes())
            accepted = True
        except Failed:
            accepted = False
        expected = file.name.startswith("y_") and file.name not in NAMED_TWICE
        if not file.name.startswith("i_") and accepted != expected:
            wrong.append(file.name)
    assert not wrong


@needs_suites
def test_xml_attacks_are_refused_in_50_ms() -> None:
    attacks = [f for f in sorted((SUITES / "xml-attack").glob("*.xml")) if b"<!DOCTYPE" in f.read_bytes()]
    assert len(attacks) >= 7
    for file in attacks:
        started = time.process_time()
        with pytest.raises(Failed):
            parse_xml(file.read_bytes())
        assert time.process_time() - started < 0.05, file.name
