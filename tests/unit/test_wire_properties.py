"""Whatever comes, however it is split: the same events, no other exception, and what is passed on reads the same."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.wire.limits import WireLimits
from runtime.wire.write import (
    CHUNKED,
    HOST_AND_HOPS,
    LAST_CHUNK,
    chunk,
    content_length,
    request_head_bytes,
    response_head_bytes,
)

sys.path.insert(0, str(Path(__file__).parent))

from wire_events import Record, read_requests, read_response

LIMITS = WireLimits(header_bytes=300, request_line=60, fields=8)

body_bytes = st.lists(st.sampled_from([b"x", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n"]), max_size=5)


def mostly(usual: list[bytes], odd: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the usual, seldom an odd one."""
    return st.integers(0, 40).flatmap(lambda dice: st.sampled_from(odd if dice == 17 else usual))


line_end = mostly([b"\r\n"], [b"\n", b"\r", b"\r\r\n"])
chunk_size = mostly([b"%x", b"%X", b"00%x"], [b"%x ", b"0x%x"])
extension = mostly([b"", b"", b";a", b";a=b", b';a="b;c"'], [b";"])
trailers = mostly([b"", b"", b"A: b\r\n", b"X_Y: z\r\n", b"A:\r\n"], [b"Host: b\r\n", b"A : b\r\n"])


@st.composite
def chunked_body(draw: st.DrawFn) -> bytes:
    pieces = []
    for data in draw(body_bytes):
        pieces += [draw(chunk_size) % len(data), draw(extension), draw(line_end), data, draw(line_end)]
    return b"".join(pieces) + b"0" + draw(extension) + draw(line_end) + draw(trailers) + draw(line_end)


field_line = mostly(
    [
        b"Accept: */*", b"X_Y: z", b"Empty:", b"Connection: keep-alive", b"Connection: upgrade, x-a", b"X-A: b",
        b"Upgrade: h2c", b"Expect: 100-continue", b"X: \xff", b"X:  y\t ",
    ],
    [
        b"host: b", b" folded", b"Connection: close", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip",
        b"Content-Length: 3", b"X: \0", b"X :y", b"X: " + b"y" * 200,
    ],
)  # fmt: skip


@st.composite
def message(draw: st.DrawFn, start: st.SearchStrategy[bytes]) -> bytes:
    lines = [draw(start), b"Host: a", *draw(st.lists(field_line, max_size=4))]
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    body = b""
    if framing == "length":
        body = b"".join(draw(body_bytes))
        lines.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        body = draw(chunked_body())
        lines.append(b"Transfer-Encoding: chunked")
    return b"".join(line + b"\r\n" for line in lines) + draw(line_end) + body


good_request = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\nA: b\r\n\r\n",
        b"\r\n",
    ]
)
good_response = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\nA: b\r\n\r\n",
        b"\r\n",
    ]
)
request_start = mostly(
    [b"GET /a?b HTTP/1.1", b"POST / HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET http://b/c?d HTTP/1.1"],
    [
        b"CONNECT a:1 HTTP/1.1", b"BREW / HTTP/1.1", b"GET  / HTTP/1.1", b"GET /", b"GET /" + b"x" * 90 + b" HTTP/1.1",
        b"GET / HTTP/1.0", b"GET / HTTP/2.0",
    ],
)  # fmt: skip
response_start = mostly(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 404", b"HTTP/1.1 100 Continue", b"HTTP/1.1 204 No", b"HTTP/1.1 304 Not"],
    [b"HTTP/1.0 200 OK", b"HTTP/1.1 101 S", b"RTSP/1.0 200 OK", b"HTTP/1.1 999 \xff", b"HTTP/1.1 099 X"],
)
request_streams = st.lists(message(request_start) | good_request, min_size=1, max_size=4).map(b"".join)
response_streams = st.lists(message(response_start) | good_response, min_size=1, max_size=3).map(b"".join)
cuts = st.sets(st.integers(0, 500), max_size=12)
edit = st.tuples(st.integers(0, 400), st.sampled_from(b"\r\n :;,\t\0\x7f\xff0aA_%/?#"))
changes: st.SearchStrategy[list[tuple[int, int]]] = st.just([]) | st.lists(edit, max_size=2)


def changed(data: bytes, edits: list[tuple[int, int]]) -> bytes:
    octets = bytearray(data)
    for position, octet in edits:
        if octets:
            octets[position % len(octets)] = octet
    return bytes(octets)


@settings(max_examples=400, deadline=None)
@given(request_streams, changes, cuts)
def test_splits_do_not_change_requests(data: bytes, edits: list[tuple[int, int]], where: set[int]) -> None:
    data = changed(data, edits)
    whole = read_requests(data, limits=LIMITS)
    assert read_requests(data, where, LIMITS).events == whole.events
    assert read_requests(data, range(len(data)), LIMITS).events == whole.events


@settings(max_examples=400, deadline=None)
@given(response_streams, changes, cuts, st.sampled_from(["GET", "HEAD", "POST"]), st.booleans())
def test_splits_do_not_change_answers(
    data: bytes, edits: list[tuple[int, int]], where: set[int], method: str, eof: bool
) -> None:
    data = changed(data, edits)
    whole, reader = read_response(data, method, eof=eof, limits=LIMITS)
    for split in (where, range(len(data))):
        again, second = read_response(data, method, split, eof, LIMITS)
        assert again.events == whole.events
        assert (second.reusable, second.poisoned, second.waiting) == (reader.reusable, reader.poisoned, reader.waiting)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), cuts)
def test_random_bytes_are_refused_quietly(data: bytes, where: set[int]) -> None:
    for start in (b"", b"GET ", b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
                  b"Host: a\r\n\r\n"):  # fmt: skip
        assert read_requests(start + data, where).events == read_requests(start + data).events
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        first, _ = read_response(start + data, eof=True)
        assert read_response(start + data, cuts=where, eof=True)[0].events == first.events


def pass_on(record: Record) -> bytes:
    """The requests of `record` as a gateway sends them, buffered."""
    out = []
    for position, head in enumerate(record.heads):
        framing = b"" if head.content_length is None else content_length(head.content_length)
        data = bodies_of(record)[position]
        fields = [field for field in head.headers if field[0] not in (b"content-length", b"expect")]
        body = data
        if head.chunked:
            framing, body = CHUNKED, chunk(data) + LAST_CHUNK
        target = head.path + (b"?" + head.query if head.query else b"")
        out.append(
            request_head_bytes(head.method, target, head.host or b"h", fields, framing, head.connection, HOST_AND_HOPS)
            + body
        )
    return b"".join(out)


def bodies_of(record: Record) -> list[bytes]:
    bodies: list[bytes] = []
    for event in record.events:
        if event[0] == "head":
            bodies.append(b"")
        elif event[0] == "body":
            bodies[-1] += event[1]
    return bodies


@settings(max_examples=400, deadline=None)
@given(request_streams, changes)
def test_what_is_passed_on_is_what_was_read(data: bytes, edits: list[tuple[int, int]]) -> None:
    record = read_requests(changed(data, edits))
    if record.ends < len(record.heads):
        return
    again = read_requests(pass_on(record))
    assert again.error is None
    assert again.ends == len(record.heads)
    assert bodies_of(again) == bodies_of(record)
    for before, after in zip(record.heads, again.heads, strict=True):
        assert (after.method, after.path, after.query) == (before.method, before.path, before.query)
        assert not any(name in HOST_AND_HOPS - {b"host", b"transfer-encoding"} for name, _, _ in after.headers)


@settings(max_examples=300, deadline=None)
@given(response_streams, changes)
def test_an_answer_that_is_passed_on_is_what_was_read(data: bytes, edits: list[tuple[int, int]]) -> None:
    record, _ = read_response(changed(data, edits), eof=True)
    if record.error is not None:
        return
    head = record.heads[0]
    fields = [field for field in head.headers if field[0] != b"content-length"]
    framing = CHUNKED if head.has_body else b""
    body = chunk(record.body) + LAST_CHUNK if head.has_body else b""
    again, _ = read_response(
        response_head_bytes(head.status, fields, framing, head.connection) + body, "GET" if head.has_body else "HEAD"
    )
    assert again.ends == 1
    assert again.body == record.body
    assert again.heads[0].status == head.status
