"""Transfer-Encoding beside Content-Length, in disguise (`smuggler` of the conformance suites)."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.wire.write import content_length, request_head_bytes

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from wire_events import read_requests

SUITES = Path(os.environ.get("POLGATE_SUITES", Path(__file__).parents[3] / "shared/suites"))
VECTORS = SUITES / "smuggler/vectors.json"

needs_suites = pytest.mark.skipif(
    not VECTORS.is_file(), reason=f"no conformance suites at {SUITES}: set POLGATE_SUITES"
)


def cases() -> list[Any]:
    if not VECTORS.is_file():
        return []
    return [pytest.param(vector, id=vector["id"]) for vector in json.loads(VECTORS.read_text())["cases"]]


@needs_suites
def test_there_are_cases() -> None:
    assert len(cases()) >= 134


@needs_suites
@pytest.mark.parametrize("vector", cases())
def test_no_two_framings(vector: dict[str, Any]) -> None:
    data = base64.b64decode(vector["raw_b64"])
    record = read_requests(data)
    assert read_requests(data, range(len(data))).events == record.events
    if vector["gateway_expect"] == "reject":
        assert record.error is not None
        assert (record.error[0], record.ends) == (400, 0)
    if record.error is not None:
        return
    # Let in: then the next hop must get one framing, and no word of the other one outside of a value.
    head = record.heads[0]
    assert record.ends == 1
    assert not head.chunked
    assert head.content_length == len(record.body)
    names = [lower for lower, _, _ in head.headers]
    assert names.count(b"content-length") == 1
    assert not any(b"transfer" in name for name in names)
    assert not any(set(value) & set(b"\r\n\0") for _, _, value in head.headers)
    fields = [field for field in head.headers if field[0] != b"content-length"]
    again = read_requests(
        request_head_bytes(head.method, head.target, head.host, fields, content_length(head.content_length))
        + record.body
    )
    assert (again.kinds, again.body) == ("head body end", record.body)
