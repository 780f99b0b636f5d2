"""Failures as problem documents."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import orjson
import pytest

from policylang.sdk import Duration, Failure, Kind
from policylang.sdk.bench import make_request
from policylang.tree.problem import prefers_xml, problem

NAMESPACE = "{urn:ietf:rfc:7807}"
ID = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"


def document(failure: Failure, **request: Any) -> Any:
    response = problem(failure, make_request(**request))
    assert response.header(b"content-type") == "application/problem+json"
    assert (response.made_here, response.status) == (True, failure.status)
    return orjson.loads(response.body or b"")


def test_members() -> None:
    members = {"balance": 30, "status": 1, "time": Duration(5)}
    failure = Failure("no-coffee", 418, "a tea pot", title="Tea", members=members)
    assert document(failure, id=ID) == {
        "type": "urn:polgate:no-coffee", "title": "Tea", "status": 418, "detail": "a tea pot",
        "instance": f"urn:uuid:{ID}", "balance": 30, "time": "5s",
    }  # fmt: skip
    assert document(Failure("a-b", 400)) == {"type": "urn:polgate:a-b", "title": "A b", "status": 400}
    assert document(Failure("a", 400, members={"type": "https://x.example/"}))["type"] == "https://x.example/"
    assert document(Failure("a", 400), id="abc/1 2")["instance"] == "urn:polgate:request:abc/1%202"


def test_what_stays_inside() -> None:
    assert "detail" not in document(Failure("store-away", 503, "10.0.0.1 is down", kind=Kind.AWAY))


@pytest.mark.parametrize(
    ("status", "headers", "name", "values"),
    [
        (401, (), b"www-authenticate", ["Bearer"]),
        (401, (("WWW-Authenticate", "A"), ("WWW-Authenticate", "B")), b"www-authenticate", ["A", "B"]),
        (429, (("Retry-After", "7"),), b"retry-after", ["7"]),
        (429, (), b"retry-after", ["1"]),
        (503, (), b"retry-after", ["1"]),
        (403, (("X-A", "a\r\nX-B: 1"),), b"x-a", ["a  X-B: 1"]),
        (403, (), b"cache-control", ["no-store"]),
    ],
)
def test_headers(status: int, headers: tuple[tuple[str, str], ...], name: bytes, values: list[str]) -> None:
    assert problem(Failure("a", status, headers=headers), make_request()).header_values(name) == values


def test_texts_that_json_cannot_hold() -> None:
    found = document(Failure("a", 400, "stray \udcff byte", members={"b": ["\ud800"], "n": 1 << 70}))
    assert found["detail"] == "stray ? byte"
    assert found["n"] == str(1 << 70)


@pytest.mark.parametrize(
    ("accept", "xml"),
    [
        (None, False), ("*/*", False), ("application/json", False), ("application/xml", True), ("text/xml;q=0.9", True),
        ("application/problem+xml, application/problem+json", False), ("application/xml, */*;q=0.1", True),
        ("application/problem+xml;q=0.5, application/json;q=0.6", False), ("application/xml;q=0", False),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", True), ("application/xml;q=x", False),
        ("APPLICATION/XML", True),
    ],
)  # fmt: skip
def test_accept(accept: str | None, xml: bool) -> None:
    assert prefers_xml(make_request(headers={} if accept is None else {"Accept": accept})) is xml


def test_xml() -> None:
    failure = Failure("a", 403, "<&\x01\ud800>", members={"list": [1, {"x": True}], "map": {"y": None}, "no name": 1})
    response = problem(failure, make_request(headers={"Accept": "application/xml"}, id=ID))
    assert response.header(b"content-type") == "application/problem+xml"
    root = ElementTree.fromstring(response.body or b"")
    texts = {element.tag.removeprefix(NAMESPACE): element.text for element in root}
    assert (texts["status"], texts["detail"], texts["instance"]) == ("403", "<&\ufffd\ufffd>", f"urn:uuid:{ID}")
    assert [each.text for each in root.findall(f"{NAMESPACE}list/{NAMESPACE}i")] == ["1", None]
    assert root.findtext(f"{NAMESPACE}list/{NAMESPACE}i/{NAMESPACE}x") == "true"
    assert len(root) == 7
