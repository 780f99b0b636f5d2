"""llhttp's own cases, as a strict gateway should take them (`llhttp` of the conformance suites)."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from wire_events import read_requests, read_response

SUITES = Path(os.environ.get("POLGATE_SUITES", Path(__file__).parents[3] / "shared/suites"))
VECTORS = SUITES / "llhttp/vectors.json"

needs_suites = pytest.mark.skipif(
    not VECTORS.is_file(), reason=f"no conformance suites at {SUITES}: set POLGATE_SUITES"
)

_CONNECT = "CONNECT makes a gateway a tunnel, which it is not: 501"
REFUSED_REQUESTS = {
    "llhttp/request/method.md:30": _CONNECT,
    "llhttp/request/method.md:65": _CONNECT,
    "llhttp/request/method.md:99": _CONNECT,
    "llhttp/request/uri.md:191": _CONNECT,
    "llhttp/request/uri.md:168": "RFC 9112 3.2: a target has no fragment; who cuts it off sees another path",
    "llhttp/request/uri.md:225": "RFC 9110 4.2.4: user information in a target is an error",
}
"""Accepted by llhttp, refused here, and why."""

WITHOUT_HOST = {
    "llhttp/request/connection.md:37",
    "llhttp/request/pipelining.md:7",
    "llhttp/request/sample.md:294",
    "llhttp/request/sample.md:481",
}
"""The suite gave Host to the first request line that stands at the very start; these need it elsewhere."""

DIFFERENT_ANSWERS = {
    "llhttp/response/connection.md:296": "101 answers an upgrade, and none is ever asked for",
    "llhttp/response/connection.md:334": "101 answers an upgrade, and none is ever asked for",
    "llhttp/response/content-length.md:126": "the second answer is the first one's body, and that is cut short",
    "llhttp/response/connection.md:644": "the final answer is cut short; llhttp counts the interim one",
}
"""Accepted by llhttp, an error here, and why."""

DIFFERENT_BODIES = {
    "llhttp/response/connection.md:495": (b"", "one request, one answer: the second one is not read"),
    "llhttp/response/connection.md:540": (b"", "one request, one answer: the second one is not read"),
    "llhttp/response/pipelining.md:7": (b"AAA", "one request, one answer: the others are not read"),
    "llhttp/response/sample.md:199": (b"\n", "the suite has lost the body's one byte, a line feed"),
}

BEHIND_THE_END = {
    "llhttp/response/connection.md:80",
    "llhttp/response/connection.md:139",
    "llhttp/response/connection.md:167",
    "llhttp/response/connection.md:230",
    "llhttp/response/connection.md:495",
    "llhttp/response/connection.md:540",
    "llhttp/response/pipelining.md:7",
}
"""An answer, complete and good, with more bytes behind it: they are not relayed, and the connection is given up."""


def cases(*types: str) -> list[Any]:
    if not VECTORS.is_file():
        return []
    vectors = json.loads(VECTORS.read_text())["cases"]
    return [pytest.param(vector, id=vector["id"]) for vector in vectors if vector["type"] in types]


def octets(vector: dict[str, Any]) -> bytes:
    data = base64.b64decode(vector.get("hosted_b64") or vector["raw_b64"])
    if vector["id"] in WITHOUT_HOST:
        data = data.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\nHost: b\r\n").replace(b"Host: b\r\nHost: a", b"Host: a")
    return data


def body(vector: dict[str, Any]) -> bytes:
    return base64.b64decode(vector.get("body_b64") or "")


@needs_suites
def test_there_are_cases() -> None:
    assert len(cases("request", "request-finish")) >= 130
    assert len(cases("response", "response-finish")) >= 70


@needs_suites
@pytest.mark.parametrize("vector", cases("request", "request-finish"))
def test_requests(vector: dict[str, Any]) -> None:
    data = octets(vector)
    record = read_requests(data)
    assert read_requests(data, range(len(data))).events == record.events
    if vector["id"] in REFUSED_REQUESTS:
        assert vector["gateway_expect"] == "accept"
        assert record.kinds.count(" ") == 0
        assert record.error is not None
    elif vector["gateway_expect"] == "accept":
        # Behind a request that offers an upgrade stand words of the other protocol, and they are no request.
        assert record.ends >= min(1, vector["messages_complete"])
        assert record.error is None or record.heads[0].upgrade
        assert record.body == body(vector)
    elif vector["gateway_expect"] == "reject":
        assert record.error is not None
        assert record.error[0] in (400, 501, 505)
        assert record.ends == 0
    else:
        assert record.error is None or 400 <= record.error[0] < 600


@needs_suites
@pytest.mark.parametrize("vector", cases("response", "response-finish"))
def test_answers(vector: dict[str, Any]) -> None:
    data = octets(vector)
    record, reader = read_response(data, eof=True)
    assert read_response(data, cuts=range(len(data)), eof=True)[0].events == record.events
    if vector["id"] in DIFFERENT_ANSWERS:
        assert vector["gateway_expect"] == "accept"
        assert record.error is not None
    elif vector["gateway_expect"] == "accept" or vector["id"] in BEHIND_THE_END:
        assert record.error is None
        assert record.ends == 1
        assert record.body == DIFFERENT_BODIES.get(vector["id"], (body(vector), ""))[0]
        assert reader.poisoned == (vector["id"] in BEHIND_THE_END)
    elif vector["gateway_expect"] == "reject":
        assert record.error is not None
        assert record.error[0] == 502
        assert record.ends == 0
    else:
        assert record.error is None or record.error[0] == 502
