"""What goes out: fields that may, framing that ends where it says, nothing that ends a line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk.hop_by_hop import HOP_BY_HOP
from runtime.wire.fields import Field
from runtime.wire.write import (
    CHUNKED,
    CLOSE,
    HOST_AND_HOPS,
    LAST_CHUNK,
    NO_BODY,
    check_field_name,
    check_field_value,
    check_target,
    chunk,
    content_length,
    field_line,
    new_field,
    request_head_bytes,
    response_head_bytes,
)

sys.path.insert(0, str(Path(__file__).parent))

from wire_events import read_requests, read_response

FIELDS: list[Field] = [(name.lower(), name, b"v") for name in (b"Host", b"X-Hop", b"X-Kept")]
FIELDS += [(name, name.title(), b"v") for name in sorted(HOP_BY_HOP)]


def test_a_request() -> None:
    head = request_head_bytes("GET", b"/a?b", b"h:1", FIELDS, b"Via: 1.1 x\r\n", frozenset({b"x-hop"}))
    assert head == b"GET /a?b HTTP/1.1\r\nHost: h:1\r\nX-Kept: v\r\nVia: 1.1 x\r\n\r\n"
    assert read_requests(head).kinds == "head end"
    everything = request_head_bytes("GET", b"/", b"h", FIELDS, drop=frozenset({b"host"}))
    assert everything.count(b"\r\n") == 2 + len(FIELDS)


def test_an_answer() -> None:
    head = response_head_bytes(404, FIELDS, NO_BODY, frozenset({b"x-hop"}))
    assert head == b"HTTP/1.1 404 Not Found\r\nHost: v\r\nX-Kept: v\r\nContent-Length: 0\r\n\r\n"
    assert read_response(head)[0].kinds == "head end"
    assert response_head_bytes(299, [], CLOSE) == b"HTTP/1.1 299 \r\nConnection: close\r\n\r\n"
    assert read_response(response_head_bytes(299, [], CLOSE))[0].kinds == "head"


def test_what_connection_names_is_dropped_beside_the_rest() -> None:
    fields: list[Field] = [(b"te", b"TE", b"x"), (b"a", b"A", b"x"), (b"b", b"B", b"x")]
    assert response_head_bytes(200, fields, connection=frozenset({b"a"})) == b"HTTP/1.1 200 OK\r\nB: x\r\n\r\n"
    drop = HOST_AND_HOPS | {b"b"}
    assert b"B:" not in request_head_bytes("GET", b"/", b"h", fields, connection=frozenset({b"a"}), drop=drop)


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_chunks_come_back(pieces: list[bytes]) -> None:
    body = b"".join(chunk(piece) for piece in pieces) + LAST_CHUNK
    record = read_requests(request_head_bytes("POST", b"/", b"h", [], CHUNKED) + body)
    assert record.body == b"".join(pieces)
    assert record.ends == 1


def test_no_chunk_ends_a_body_by_accident() -> None:
    assert chunk(b"") == b""
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


@given(st.binary(max_size=30))
def test_lengths_come_back(body: bytes) -> None:
    record, _ = read_response(response_head_bytes(200, [], content_length(len(body))) + body)
    assert record.body == body
    assert record.ends == 1


@pytest.mark.parametrize("octet", [*range(9), *range(10, 32), 127])
def test_no_control_character_gets_into_a_value(octet: int) -> None:
    with pytest.raises(ValueError):
        check_field_value(b"a" + bytes((octet,)) + b"b")
    with pytest.raises(ValueError):
        field_line(b"X", bytes((octet,)))


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\n", b"a\n", b"\xfc", b"a(", b"a\0"])
def test_no_line_gets_into_a_name(name: bytes) -> None:
    with pytest.raises(ValueError):
        check_field_name(name)
    with pytest.raises(ValueError):
        new_field(name, b"x")


def test_values_and_names_that_may() -> None:
    assert check_field_value(b" \ta\tb\xfc ") == b"a\tb\xfc"
    assert field_line(b"X-A", b" b ") == b"X-A: b\r\n"
    assert new_field(b"X-A", b" b ") == (b"x-a", b"X-A", b"b")


@pytest.mark.parametrize("target", [b"/a b", b"/a\r\nX: y", b"/\n", b"/a\r"])
def test_no_line_gets_into_a_target(target: bytes) -> None:
    with pytest.raises(ValueError):
        request_head_bytes("GET", target, b"h", [])
    with pytest.raises(ValueError):
        check_target(target)


@pytest.mark.parametrize("target", [b"", b"/a#b", b"/\xfc", b"/\0", b"/\x7f", b"/a\tb"])
def test_targets_that_must_be_encoded(target: bytes) -> None:
    with pytest.raises(ValueError):
        check_target(target)


def test_targets_that_may() -> None:
    assert check_target(b'/a?b="|\\') == b'/a?b="|\\'


@pytest.mark.parametrize("host", [b"a\r\nX: y", b"a\n", b"a\r"])
def test_no_line_gets_into_a_host(host: bytes) -> None:
    with pytest.raises(ValueError):
        request_head_bytes("GET", b"/", host, [])
