"""A head that was read before means what it meant when llhttp read it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_events import LIMITS, Record

from runtime.wire.limits import WireLimits
from runtime.wire.memo import LONGEST, MOST, REST, Memo, requests_known
from runtime.wire.request import RequestReader
from runtime.wire.response import ResponseReader, answers_known

FIELDS = st.lists(
    st.sampled_from(
        [
            b"Host: a", b"Host: b:80", b"Accept: */*", b"X_User: me", b"Connection: close", b"Connection: X-Hop",
            b"X-Hop: 1", b"Content-Length: 0", b"Content-Length: 3", b"Transfer-Encoding: chunked",
            b"Expect: 100-continue", b"Upgrade: x", b"Connection: upgrade", b"Bad\x01: 1", b" folded: 1", b"X:",
        ]
    ),
    max_size=5,
)  # fmt: skip
STARTS = st.sampled_from(
    [
        b"GET / HTTP/1.1", b"GET /x?y HTTP/1.1", b"POST /p HTTP/1.1", b"HEAD / HTTP/1.1", b"GET / HTTP/1.0",
        b"GET http://c/ HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET /a#b HTTP/1.1", b"GET  / HTTP/1.1", b"BREW / HTTP/1.1",
        b"GET /\x80 HTTP/1.1", b"get / HTTP/1.1", b"CONNECT a:1 HTTP/1.1",
    ]
)  # fmt: skip


def read(data: bytes, known: bool) -> list[object]:
    if not known:
        requests_known.cache_clear()
    record = Record()
    RequestReader(record, LIMITS).feed(data)
    return record.events


@settings(max_examples=600, deadline=None)
@given(st.lists(st.tuples(STARTS, FIELDS), min_size=1, max_size=4))
def test_requests_read_the_same_known_or_not(heads: list[tuple[bytes, list[bytes]]]) -> None:
    messages = [b"\r\n".join([start, *fields, b"", b""]) for start, fields in heads]
    fresh = [read(message, known=False) for message in messages]
    for message in messages:
        read(message, known=True)
    assert [read(message, known=True) for message in messages] == fresh


@settings(max_examples=300, deadline=None)
@given(FIELDS, st.sampled_from([b"", b"abc", b"abcd", b"ab"]), st.sampled_from([b"200 OK", b"204 No", b"304 Not"]))
def test_answers_read_the_same_known_or_not(fields: list[bytes], body: bytes, status: bytes) -> None:
    data = b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: 3", *fields, b"", b""]) + body
    answers_known.cache_clear()
    seen = []
    for method in ("GET", "GET", "HEAD", "GET"):
        record = Record()
        reader = ResponseReader(record, LIMITS)
        reader.expect(method)
        reader.feed(data)
        seen.append((record.events, reader.reusable, reader.poisoned, reader.waiting))
    assert seen[0] == seen[1] == seen[3]


def test_a_known_head_is_found() -> None:
    requests_known.cache_clear()
    reader = RequestReader(Record(), LIMITS)
    for path in (b"/a", b"/b", b"/c"):
        reader.feed(b"GET %b HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n" % path)
    assert requests_known(LIMITS).hits == 2


@pytest.mark.parametrize("limit", [40, 60])
def test_limits_hold_for_known_heads(limit: int) -> None:
    tight = WireLimits(request_line=limit)
    short, long = b"GET /", b"GET /" + b"x" * limit
    for start, fine in ((short, True), (long, False), (short, True), (long, False)):
        record = Record()
        RequestReader(record, tight).feed(start + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (record.error is None) is fine


def test_a_memo_is_bounded_and_rests_where_it_does_not_pay() -> None:
    memo: Memo[int] = Memo()
    memo.keep(b"x" * (LONGEST + 1), 1)
    assert memo.get(b"x" * (LONGEST + 1)) is None
    for number in range(MOST + 1):
        memo.keep(b"%d" % number, number)
    assert memo.get(b"0") is None and memo.get(b"%d" % MOST) == MOST
    for number in range(REST):
        memo.keep(b"r%d" % number, number)
        assert memo.get(b"r%d" % number) is None
    memo.keep(b"again", 1)
    assert memo.get(b"again") == 1
