"""Answers: each message whole, byte by byte, with bytes after it, and cut short."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.wire.limits import WireLimits
from runtime.wire.response import ResponseReader

sys.path.insert(0, str(Path(__file__).parent))

from wire_events import LIMITS, Record, read_response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def every_way(
    data: bytes, method: str = "GET", eof: bool = False, limits: WireLimits = LIMITS
) -> tuple[Record, ResponseReader]:
    """The record of `data`, after a look that no split changes it, nor what becomes of the connection."""
    record, reader = read_response(data, method, eof=eof, limits=limits)
    slow, slow_reader = read_response(data, method, range(len(data)), eof, limits)
    assert slow.events == record.events
    assert (slow_reader.reusable, slow_reader.poisoned, slow_reader.waiting, slow_reader.started) == (
        reader.reusable,
        reader.poisoned,
        reader.waiting,
        reader.started,
    )
    return record, reader


def answer(start: str, *fields: str, body: bytes = b"") -> bytes:
    return ("\r\n".join((start, *fields)) + "\r\n\r\n").encode("latin-1") + body


# method, bytes, what the head says, body, whether the connection can be used again
GOOD: list[tuple[str, bytes, dict[str, Any], bytes, bool]] = [
    (
        "GET",
        answer("HTTP/1.1 200 OK", "Content-Length: 3", "X-Mine:  a b ", body=b"abc"),
        {
            "status": 200,
            "reason": b"OK",
            "version": (1, 1),
            "headers": [(b"content-length", b"Content-Length", b"3"), (b"x-mine", b"X-Mine", b"a b")],
            "content_length": 3,
            "chunked": False,
            "until_eof": False,
            "keep_alive": True,
            "has_body": True,
            "connection": frozenset(),
        },
        b"abc",
        True,
    ),
    ("GET", answer("HTTP/1.1 200 OK", "Content-Length: 0"), {"content_length": 0}, b"", True),
    ("GET", answer("HTTP/1.1 200 ", "Content-Length: 0"), {"reason": b""}, b"", True),
    ("GET", answer("HTTP/1.1 200", "Content-Length: 0"), {"reason": b""}, b"", True),
    ("GET", answer("HTTP/1.1 999 Odd \xfc", "Content-Length: 0"), {"status": 999, "reason": b"Odd \xfc"}, b"", True),
    ("GET", b"\r\n" + OK, {"status": 200}, b"ok", True),
    ("GET", b"\r\n\r\n" + OK, {"status": 200}, b"ok", True),
    ("GET", answer("HTTP/1.1 200 OK", "Content-Length: 3", "Connection: close", body=b"abc"), {"keep_alive": False},
     b"abc", False),
    ("GET", answer("HTTP/1.0 200 OK", "Content-Length: 3", body=b"abc"), {"version": (1, 0)}, b"abc", False),
    ("GET", answer("HTTP/1.0 200 OK", "Content-Length: 3", "Connection: keep-alive", body=b"abc"),
     {"keep_alive": True}, b"abc", True),
    ("GET", answer("HTTP/1.1 200 OK", "Connection: X-Hop, keep-alive", "X-Hop: 1", "Content-Length: 1", body=b"a"),
     {"connection": frozenset({b"x-hop"})}, b"a", True),
    ("GET", answer("HTTP/1.1 200 OK", "Connection: upgrade", "Upgrade: h2c", "Content-Length: 2", body=b"ok"), {},
     b"ok", True),
    ("GET", answer("HTTP/1.1 200 OK", "X_Y: z", "Content-Length: 2", body=b"ok"), {}, b"ok", True),
    ("GET", answer("HTTP/1.1 200 OK", "Content-Length: 4", body=b"\r\n\r\n"), {}, b"\r\n\r\n", True),
    # chunked
    ("GET", answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n"), {"chunked": True},
     b"abc", True),
    ("GET", answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), {"chunked": True}, b"", True),
    ("GET", answer("HTTP/1.1 200 OK", "transfer-encoding: Chunked",
                   body=b'6;a="b"\r\n\r\n\r\n\r\n\r\n1\r\nx\r\n00\r\nDate: now\r\n\r\n'), {"chunked": True},
     b"\r\n\r\n\r\nx", True),
    # a head is all there is
    ("HEAD", answer("HTTP/1.1 200 OK", "Content-Length: 10"), {"content_length": 10, "has_body": False}, b"", True),
    ("HEAD", answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), {"chunked": True, "has_body": False}, b"", True),
    ("HEAD", answer("HTTP/1.1 200 OK"), {"until_eof": False, "has_body": False}, b"", True),
    ("HEAD", answer("HTTP/1.1 404 Not Found", "Connection: close"), {"has_body": False}, b"", False),
    ("GET", answer("HTTP/1.1 204 No Content"), {"has_body": False}, b"", True),
    ("GET", answer("HTTP/1.1 204 No Content", "Content-Length: 5"), {"has_body": False}, b"", True),
    ("GET", answer("HTTP/1.1 304 Not Modified", "Content-Length: 5"), {"content_length": 5, "has_body": False}, b"",
     True),
    ("GET", answer("HTTP/1.1 304 Not Modified", "Transfer-Encoding: chunked"), {"has_body": False}, b"", True),
]  # fmt: skip


@pytest.mark.parametrize(("method", "data", "expected", "body", "reusable"), GOOD)
def test_good_answers(method: str, data: bytes, expected: dict[str, Any], body: bytes, reusable: bool) -> None:
    record, reader = every_way(data, method)
    assert record.kinds == ("head body end" if body else "head end")
    head = record.events[0][1]
    assert {name: head[name] for name in expected} == expected
    assert record.body == body
    assert reader.reusable is reusable
    assert not reader.waiting

    for at in range(1, len(data)):
        halves, second = read_response(data, method, (at,))
        assert halves.events == record.events
        assert (second.reusable, second.poisoned) == (reusable, False)

    # The connection's end does not change what was complete.
    closed, reader = every_way(data, method, eof=True)
    assert closed.events == record.events
    assert not reader.reusable

    # What stands behind an answer belongs to nobody.
    for extra in (OK, b"x", b"\r\n", b"\r\n\r\n", b"H", b"HTTP/1.1 200 OK\r\n\r\n", b"0\r\n\r\n", b"\0"):
        followed, reader = every_way(data + extra, method)
        assert followed.events == record.events
        assert reader.poisoned
        assert not reader.reusable

    # And what is missing is missed.
    for end in range(len(data)):
        cut, reader = read_response(data[:end], method, eof=True)
        assert cut.error == (502, "no-response" if end == 0 else "response-cut")
        assert cut.ends == 0
        assert not reader.reusable


@pytest.mark.parametrize(("method", "data", "reusable"), [(m, d, r) for m, d, _, _, r in GOOD])
def test_the_next_answer_is_its_own(method: str, data: bytes, reusable: bool) -> None:
    record, reader = read_response(data, method)
    if not reusable:
        with pytest.raises(RuntimeError):
            reader.expect("GET")
        return
    first = len(record.events)
    reader.expect("GET")
    assert not reader.started
    reader.feed(OK)
    assert [event[0] for event in record.events[first:]] == ["head", "body", "end"]
    assert record.events[first][1]["headers"] == [(b"content-length", b"Content-Length", b"2")]
    assert record.events[first + 1] == ("body", b"ok")
    reader.expect("HEAD")
    reader.feed(OK[:-2])
    reader.expect("POST")
    reader.feed(OK)
    assert record.ends == 4
    assert reader.reusable


@pytest.mark.parametrize(
    "data",
    [
        answer("HTTP/1.1 200 OK", body=b"abc"),
        answer("HTTP/1.0 200 OK", body=b"abc"),
        answer("HTTP/1.0 200 OK", "Connection: keep-alive", body=b"abc"),
        answer("HTTP/1.1 200 OK", "Connection: close", body=b"abc"),
        answer("HTTP/1.1 200 OK", "Connection: upgrade", "Upgrade: h2c", body=b"abc"),
    ],
)
def test_a_body_that_ends_with_the_connection(data: bytes) -> None:
    record, reader = every_way(data)
    assert record.kinds == "head body"
    assert record.events[0][1]["until_eof"]
    assert reader.waiting
    record, reader = every_way(data, eof=True)
    assert record.kinds == "head body end"
    assert record.body == b"abc"
    assert not reader.reusable
    assert not reader.poisoned
    empty, _ = every_way(data[:-3], eof=True)
    assert empty.kinds == "head end"


def test_interim_answers() -> None:
    early = answer("HTTP/1.1 103 Early Hints", "Link: </a>")
    record, reader = every_way(answer("HTTP/1.1 100 Continue") + early + b"\r\n" + OK)
    assert record.events[:2] == [("informational", 100, []), ("informational", 103, [(b"link", b"Link", b"</a>")])]
    assert record.kinds == "informational informational head body end"
    assert record.events[2][1]["headers"] == [(b"content-length", b"Content-Length", b"2")]
    assert reader.reusable
    # RFC 9110 15.2: no body, whatever they say.
    record, _ = every_way(answer("HTTP/1.1 100 Continue", "Content-Length: 5") + OK)
    assert record.kinds == "informational head body end"
    record, _ = every_way(answer("HTTP/1.1 100 Continue") + OK[:-2], "HEAD")
    assert record.kinds == "informational head end"
    record, reader = every_way(answer("HTTP/1.1 100 Continue"), eof=True)
    assert record.kinds == "informational response-cut"


def test_interim_answers_without_end() -> None:
    many = answer("HTTP/1.1 102 Processing")
    record, _ = every_way(many * 16 + OK)
    assert record.kinds == "informational " * 16 + "head body end"
    record, _ = every_way(many * 17 + OK)
    assert record.kinds == "informational " * 16 + "too-many-interim-responses"
    # Each answer may have as many.
    record, reader = read_response(many * 16 + OK)
    reader.expect("GET")
    reader.feed(many * 16 + OK)
    assert (record.ends, record.error) == (2, None)


BAD: list[tuple[bytes, str]] = [
    (b"GET / HTTP/1.1\r\n\r\n", "malformed-response"),
    (b"hello", "malformed-response"),
    (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "malformed-response"),
    (answer("HTTP/0.9 200 OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/2.0 200 OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.2 200 OK", "Content-Length: 0"), "malformed-response"),
    (answer("RTSP/1.0 200 OK", "Content-Length: 0"), "malformed-response"),
    (answer("ICE/1.0 200 OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1  200 OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 20 OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 2000 OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 2xx OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 099 OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 000 OK", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 200 a\0b", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 200 a\x7fb", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: x"), "unexpected-upgrade"),
    (answer("HTTP/1.1 101 Switching Protocols"), "unexpected-upgrade"),
    (answer("HTTP/1.1 200 OK", "X : y", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 200 OK", "X: y", " z", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 200 OK", "X: y\0", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 200 OK", "X: y\rz", "Content-Length: 0"), "malformed-response"),
    (answer("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 1", body=b"x"), "malformed-response"),
    (answer("HTTP/1.1 200 OK", "Content-Length: 1", "Transfer-Encoding: chunked", body=b"x"), "malformed-response"),
    (answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Content-Length: 1", body=b"x"), "malformed-response"),
    *(
        (answer("HTTP/1.1 200 OK", f"Content-Length: {length}"), "malformed-response")
        for length in ("", "+1", "-1", "1,1", "1 1", "x", "18446744073709551616")
    ),
    *(
        (answer("HTTP/1.1 200 OK", f"Transfer-Encoding: {coding}"), "malformed-response")
        for coding in ("", "gzip", "gzip, chunked", ",chunked", "chunked, gzip", "identity", "chunkedchunked")
    ),
    (answer("HTTP/1.0 200 OK", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), "malformed-response"),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("data", "name"), BAD)
def test_bad_heads(data: bytes, name: str, method: str) -> None:
    record, reader = every_way(data, method)
    assert record.events == [("error", 502, name)]
    assert not reader.reusable
    assert every_way(data + OK, method)[0].events == record.events


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"3;\r\nabc\r\n0\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nContent-Length: 3\r\n\r\n",
        b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n0\r\nHost: a\r\n\r\n",
        b"3\r\nabc\r\n0\r\nConnection: close\r\n\r\n",
    ],
)
def test_bad_chunks_and_trailers(body: bytes) -> None:
    record, reader = every_way(answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=body))
    assert record.error == (502, "malformed-response")
    assert record.events[0][0] == "head"
    assert record.ends == 0
    assert not reader.reusable


SMALL = WireLimits(header_bytes=200, fields=3, chunk_extensions=64)


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (answer("HTTP/1.1 200 OK", "Content-Length: 0", "X: " + "y" * 157), "head end"),
        (answer("HTTP/1.1 200 OK", "Content-Length: 0", "X: " + "y" * 156), "head end"),
        (answer("HTTP/1.1 200 OK", "Content-Length: 0", "X: " + "y" * 158), "response-head-too-large"),
        (answer("HTTP/1.1 200 OK", "Content-Length: 0", "X: " + "y" * 5000), "response-head-too-large"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5000, "response-head-too-large"),
        (b"\r\n" * 200, "response-head-too-large"),
        (answer("HTTP/1.1 200 OK", "Content-Length: 0", "X: y", "X: y"), "head end"),
        (answer("HTTP/1.1 200 OK", "Content-Length: 0", "X: y", "X: y", "X: y"), "response-head-too-large"),
        (answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"1\r\n!\r\n" * 500 + b"0\r\n\r\n"),
         "head body end"),
    ],
)  # fmt: skip
def test_limits(data: bytes, kinds: str) -> None:
    if kinds == "head end":
        assert len(data) <= 200
    assert every_way(data, limits=SMALL)[0].kinds == kinds


@pytest.mark.parametrize(
    "chunks",
    [
        b"1;" + b"x" * 200 + b"\r\n!\r\n0\r\n\r\n",
        b"1;xxxxxxxxxxxxxxxxxxxxxxxx\r\n!\r\n" * 20 + b"0\r\n\r\n",
        b"1\r\n!\r\n0\r\nX: " + b"y" * 200 + b"\r\n\r\n",
    ],
)
def test_limit_of_what_chunks_carry_beside_data(chunks: bytes) -> None:
    data = answer("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunks)
    for cuts in ((), range(len(data))):
        assert read_response(data, cuts=cuts, limits=SMALL)[0].error == (502, "malformed-response")
        assert read_response(data, cuts=cuts)[0].kinds == "head body end"


def test_bytes_that_nobody_asked_for() -> None:
    record = Record()
    reader = ResponseReader(record, LIMITS)
    reader.feed(b"")
    assert (reader.reusable, reader.poisoned) == (True, False)
    reader.feed(OK)
    assert record.events == []
    assert (reader.reusable, reader.poisoned) == (False, True)


def test_a_connection_that_ends_while_idle() -> None:
    record = Record()
    reader = ResponseReader(record, LIMITS)
    reader.eof()
    assert record.events == []
    assert not reader.reusable


def test_only_one_answer_is_due() -> None:
    reader = ResponseReader(Record(), LIMITS)
    assert (reader.waiting, reader.started) == (False, False)
    reader.expect("GET")
    assert (reader.waiting, reader.started) == (True, False)
    with pytest.raises(RuntimeError):
        reader.expect("GET")


def test_a_sink_may_ask_again_from_the_end() -> None:
    class Asking(Record):
        def response_end(self) -> None:
            super().response_end()
            if self.ends < 3:
                reader.expect("GET")
                reader.feed(OK)

    record = Asking()
    reader = ResponseReader(record, LIMITS)
    reader.expect("GET")
    reader.feed(OK)
    assert record.kinds == " ".join(["head body end"] * 3)
