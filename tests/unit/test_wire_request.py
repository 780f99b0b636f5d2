"""Requests: each message whole, byte by byte, and with bytes after it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.wire.limits import WireLimits
from runtime.wire.request import RequestReader

sys.path.insert(0, str(Path(__file__).parent))

from wire_events import LIMITS, Record, read_requests

NEXT = b"GET /next HTTP/1.1\r\nHost: n\r\n\r\n"


def every_way(data: bytes, limits: WireLimits = LIMITS) -> Record:
    """The record of `data`, after a look that no split changes it."""
    whole = read_requests(data, limits=limits)
    assert read_requests(data, range(len(data)), limits).events == whole.events
    return whole


def request(start: str, *fields: str, body: bytes = b"") -> bytes:
    return ("\r\n".join((start, *fields)) + "\r\n\r\n").encode("latin-1") + body


GOOD: list[tuple[bytes, dict[str, Any], bytes]] = [
    (
        request("GET /a/b?c=d HTTP/1.1", "Host: A.example:80", "X-Mine:  two words \t"),
        {
            "method": "GET",
            "target": b"/a/b?c=d",
            "path": b"/a/b",
            "query": b"c=d",
            "version": (1, 1),
            "host": b"a.example:80",
            "headers": [(b"host", b"Host", b"A.example:80"), (b"x-mine", b"X-Mine", b"two words")],
            "keep_alive": True,
            "content_length": None,
            "chunked": False,
            "upgrade": False,
            "expect_continue": False,
            "dropped": (),
            "connection": frozenset(),
            "scheme": b"",
        },
        b"",
    ),
    (request("GET /?? HTTP/1.1", "Host: a"), {"path": b"/", "query": b"?"}, b""),
    (request("GET /? HTTP/1.1", "Host: a"), {"path": b"/", "query": b""}, b""),
    (request("GET //x HTTP/1.1", "Host: a"), {"path": b"//x", "host": b"a"}, b""),
    (b"\r\n\r\n" + request("GET / HTTP/1.1", "Host: a"), {"path": b"/", "version": (1, 1)}, b""),
    (request("M-SEARCH /x HTTP/1.1", "Host: a"), {"method": "M-SEARCH"}, b""),
    (request("GET / HTTP/1.1", "Host: a", "Empty:", "After: x"), {"headers": [
        (b"host", b"Host", b"a"), (b"empty", b"Empty", b""), (b"after", b"After", b"x")]}, b""),
    (request("GET / HTTP/1.1", "Host: a", "X: D\xfcsseldorf"), {}, b""),
    # one spelling for a host
    (request("GET / HTTP/1.1", "Host: Example.COM."), {"host": b"example.com"}, b""),
    (request("GET / HTTP/1.1", "Host: a:"), {"host": b"a"}, b""),
    (request("GET / HTTP/1.1", "Host: a:0443"), {"host": b"a:443"}, b""),
    (request("GET / HTTP/1.1", "Host: [2001:DB8:0::1]:81"), {"host": b"[2001:db8::1]:81"}, b""),
    (request("GET / HTTP/1.1", "Host: my_service"), {"host": b"my_service"}, b""),
    # other forms of target
    (
        request("GET http://B.example/x?y HTTP/1.1", "host: a"),
        {
            "host": b"b.example",
            "scheme": b"http",
            "path": b"/x",
            "query": b"y",
            "headers": [(b"host", b"host", b"B.example")],
        },
        b"",
    ),
    (request("GET HTTPS://b HTTP/1.1", "Host: a"), {"host": b"b", "scheme": b"https", "path": b"/"}, b""),
    (request("GET http://b?q HTTP/1.1", "Host: a"), {"host": b"b", "path": b"/", "query": b"q"}, b""),
    (request("OPTIONS http://b HTTP/1.1", "Host: a"), {"host": b"b", "path": b"*"}, b""),
    (request("OPTIONS * HTTP/1.1", "Host: a"), {"path": b"*", "query": b""}, b""),
    # HTTP/1.0
    (request("GET / HTTP/1.0"), {"version": (1, 0), "host": b"", "keep_alive": False}, b""),
    (request("GET / HTTP/1.0", "Connection: Keep-Alive"), {"keep_alive": True}, b""),
    (request("GET / HTTP/1.0", "Expect: nonsense"), {"expect_continue": False}, b""),
    # the connection
    (request("GET / HTTP/1.1", "Host: a", "Connection: close"), {"keep_alive": False}, b""),
    (request("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, CLOSE"), {"keep_alive": False}, b""),
    (
        request("GET / HTTP/1.1", "Host: a", "Connection: X-One , keep-alive", "Connection: x-two"),
        {"keep_alive": True, "connection": frozenset({b"x-one", b"x-two"})},
        b"",
    ),
    (
        request("GET / HTTP/1.1", "Host: a", "Connection: close, X-One"),
        {"keep_alive": False, "connection": frozenset({b"x-one"})},
        b"",
    ),
    (
        request("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Connection: content-length, host", body=b"x"),
        {"connection": frozenset()},
        b"x",
    ),
    (request("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket"), {"upgrade": True}, b""),
    (request("GET / HTTP/1.1", "Host: a", "Upgrade: websocket"), {"upgrade": False}, b""),
    (
        request("POST / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: h2c", "Content-Length: 3", body=b"abc"),
        {"upgrade": True, "content_length": 3},
        b"abc",
    ),
    (
        request(
            "POST / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked",
            body=b"3\r\nabc\r\n0\r\n\r\n",
        ),
        {"upgrade": True, "chunked": True},
        b"abc",
    ),
    # bodies
    (request("POST / HTTP/1.1", "Host: a", "Content-Length: 0"), {"content_length": 0, "chunked": False}, b""),
    (
        request("POST / HTTP/1.1", "Host: a", "Content-Length: 8", body=b"\r\n\r\n\r\n\r\n"),
        {"content_length": 8},
        b"\r\n\r\n\r\n\r\n",
    ),
    (
        request(
            "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked",
            body=b'4\r\n\r\n\r\n\r\n1;x;y="z"\r\n!\r\n000\r\nA: b\r\nX_Y: z\r\n\r\n',
        ),
        {"content_length": None, "chunked": True},
        b"\r\n\r\n!",
    ),
    (request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), {"chunked": True}, b""),
    # expectations
    (
        request("POST / HTTP/1.1", "Host: a", "Expect: 100-Continue", "Content-Length: 1", body=b"x"),
        {"expect_continue": True},
        b"x",
    ),
    (
        request("PUT / HTTP/1.1", "Host: a", "Expect: 100-continue, 100-continue", "Content-Length: 1", body=b"x"),
        {"expect_continue": True},
        b"x",
    ),
    (request("GET / HTTP/1.1", "Host: a", "Expect: 100-continue"), {"expect_continue": False}, b""),
    # names with `_`
    (
        request("GET / HTTP/1.1", "Host: a", "X_User: root", "x-user: me", "Content_Length: 5", "V: _"),
        {
            "headers": [(b"host", b"Host", b"a"), (b"x-user", b"x-user", b"me"), (b"v", b"V", b"_")],
            "dropped": (b"X_User", b"Content_Length"),
            "content_length": None,
        },
        b"",
    ),
]


@pytest.mark.parametrize(("data", "expected", "body"), GOOD)
def test_good_requests(data: bytes, expected: dict[str, Any], body: bytes) -> None:
    record = every_way(data)
    assert record.kinds == ("head body end" if body else "head end")
    head = record.events[0][1]
    assert {name: head[name] for name in expected} == expected
    assert record.body == body
    followed = every_way(data + NEXT)
    assert followed.events[: len(record.events)] == record.events
    # RFC 9112 9.6: nothing behind a request that closes is looked at.
    assert followed.kinds == record.kinds + (" head end" if head["keep_alive"] else "")


BAD: list[tuple[bytes, int, str]] = [
    # lines and characters
    (request("GET  / HTTP/1.1", "Host: a"), 400, "malformed-request"),
    (request("GET /  HTTP/1.1", "Host: a"), 400, "malformed-request"),
    (request("GET / HTTP/1.1 ", "Host: a"), 400, "malformed-request"),
    (b"\n" + request("GET / HTTP/1.1", "Host: a"), 400, "malformed-request"),
    (b"\r" + request("GET / HTTP/1.1", "Host: a"), 400, "malformed-request"),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400, "malformed-request"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "malformed-request"),
    (request("GET / HTTP/1.1", "Host: a", "X : y"), 400, "malformed-request"),
    (request("GET / HTTP/1.1", " Host: a"), 400, "malformed-request"),
    (request("GET / HTTP/1.1", "Host: a", "X: y", " z"), 400, "malformed-request"),
    (request("GET / HTTP/1.1", "Host: a", "X: y", "\tz"), 400, "malformed-request"),
    (request("GET / HTTP/1.1", "Host: a", "X:", " z"), 400, "malformed-request"),
    (request("GET / HTTP/1.1", "Host: a", "X"), 400, "malformed-request"),
    (request("GET / HTTP/1.1", "Host: a", ": y"), 400, "malformed-request"),
    (request("GET / HTTP/1.1", "Host: a", "X\xfc: y"), 400, "malformed-request"),
    *(
        (request("GET / HTTP/1.1", "Host: a", f"X: y{chr(octet)}z"), 400, "malformed-request")
        for octet in (*range(9), *range(10, 32), 127)
    ),
    *((request(f"GET /{chr(octet)} HTTP/1.1", "Host: a"), 400, "malformed-request") for octet in (0, 9, 11, 127, 200)),
    (request("GET /?\x80 HTTP/1.1", "Host: a"), 400, "malformed-request"),
    # methods
    (request("BREW / HTTP/1.1", "Host: a"), 501, "method-not-implemented"),
    (request("ANNOUNCE / HTTP/1.1", "Host: a"), 501, "method-not-implemented"),
    (request("CONNECT a:443 HTTP/1.1", "Host: a:443"), 501, "method-not-implemented"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed-request"),
    (request("get / HTTP/1.1", "Host: a"), 400, "malformed-request"),
    # versions
    (request("GET / HTTP/0.9", "Host: a"), 505, "version-not-supported"),
    (request("GET / HTTP/1.2", "Host: a"), 505, "version-not-supported"),
    (request("GET / HTTP/2.0", "Host: a"), 505, "version-not-supported"),
    (request("GET / HTTP/3.0", "Host: a"), 505, "version-not-supported"),
    (request("GET /"), 505, "version-not-supported"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version-not-supported"),
    (request("GET / HTTP/01.1", "Host: a"), 400, "malformed-request"),
    (request("GET / HTTP/1.1x", "Host: a"), 400, "malformed-request"),
    (request("GET / http/1.1", "Host: a"), 400, "malformed-request"),
    (request("OPTIONS / RTSP/1.0", "Host: a"), 400, "malformed-request"),
    (request("SOURCE / ICE/1.0", "Host: a"), 400, "malformed-request"),
    # hosts
    (request("GET / HTTP/1.1"), 400, "bad-host"),
    (request("GET / HTTP/1.1", "Accept: a", "Connection: close"), 400, "bad-host"),
    (request("GET http://a/ HTTP/1.1"), 400, "bad-host"),
    (request("GET / HTTP/1.1", "Host: a", "Host: a"), 400, "bad-host"),
    (request("GET / HTTP/1.0", "Host: a", "Host: b"), 400, "bad-host"),
    *(
        (request("GET / HTTP/1.1", f"Host: {host}"), 400, "bad-host")
        for host in (
            "", "a b", "a,b", "a/b", "a?b", "a#b", "me@a", "http://a", "a%2eb", ".", "..", ".a", "a..b", "a:b", "a:-1",
            "a:0", "a:65536", "a:123456", "a:80:80", ":80", "[", "[]", "[::1", "::1", "[::1]x", "[1.2.3]", "[v1.x]",
            "[::1%25eth0]", "a\\b", "\xfc.example", "a" * 256, "<a>",
        )
    ),
    (request("GET http:///x HTTP/1.1", "Host: a"), 400, "bad-host"),
    (request("GET http://a:b:c/x HTTP/1.1", "Host: a"), 400, "bad-host"),
    (request("GET http://me@a/x HTTP/1.1", "Host: a"), 400, "bad-host"),
    (request("GET http://a/ HTTP/1.1", "Host: me@a"), 400, "bad-host"),
    # targets
    (request("GET * HTTP/1.1", "Host: a"), 400, "bad-target"),
    (request("GET ftp://a/ HTTP/1.1", "Host: a"), 400, "bad-target"),
    (request("GET /a#b HTTP/1.1", "Host: a"), 400, "bad-target"),
    (request("GET http://a/#b HTTP/1.1", "Host: a"), 400, "bad-target"),
    (request("OPTIONS *x HTTP/1.1", "Host: a"), 400, "bad-target"),
    (request("GET a:443 HTTP/1.1", "Host: a"), 400, "malformed-request"),
    # framing
    *(
        (request("POST / HTTP/1.1", "Host: a", f"Content-Length: {length}", body=b"x"), 400, "malformed-request")
        for length in ("", "+1", "-1", "1,1", "1, 1", "0x1", "1 1", "1a", "\xb2", "18446744073709551616")
    ),
    (request("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "content-length: 1", body=b"x"), 400,
     "malformed-request"),
    (request("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked", body=b"x"), 400,
     "malformed-request"),
    (request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", "Content-Length: 1", body=b"x"), 400,
     "malformed-request"),
    *(
        (request("POST / HTTP/1.1", "Host: a", f"Transfer-Encoding: {coding}", body=b"0\r\n\r\n"), 400, "bad-framing")
        for coding in (",chunked", ", chunked", "gzip,,chunked", "chunked;q=1, chunked")
    ),
    (request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501,
     "transfer-coding-not-implemented"),
    (request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), 501,
     "transfer-coding-not-implemented"),
    *(
        (request("POST / HTTP/1.1", "Host: a", f"Transfer-Encoding: {coding}", body=b"0\r\n\r\n"), 400,
         "malformed-request")
        for coding in ("", "gzip", "identity", "xchunked", "chunkedx", "chunked, identity", "chunked\x0b",
                       '"chunked"', "chunked,", "chunked;q=1")
    ),
    (request("POST / HTTP/1.0", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400, "bad-framing"),
    # expectations
    (request("POST / HTTP/1.1", "Host: a", "Expect: 200-ok", "Content-Length: 1", body=b"x"), 417,
     "expectation-failed"),
    (request("POST / HTTP/1.1", "Host: a", "Expect: 100-continue", "Expect: more"), 417, "expectation-failed"),
    (request("POST / HTTP/1.1", "Host: a", "Expect:"), 417, "expectation-failed"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "status", "name"), BAD)
def test_bad_heads(data: bytes, status: int, name: str) -> None:
    record = every_way(data)
    assert record.events == [("error", status, name)]
    assert every_way(data + NEXT).events == record.events
    # Behind a good request it is as bad.
    assert every_way(NEXT + data).events[2:] == record.events


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"x\r\n", "malformed-request"),
    (b"\r\n", "malformed-request"),
    (b"0x3\r\nabc\r\n0\r\n\r\n", "malformed-request"),
    (b" 3\r\nabc\r\n0\r\n\r\n", "malformed-request"),
    (b"3 \r\nabc\r\n0\r\n\r\n", "malformed-request"),
    (b"-3\r\nabc\r\n0\r\n\r\n", "malformed-request"),
    (b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n", "malformed-request"),
    (b"3\nabc\n0\n\n", "malformed-request"),
    (b"3\r\nabcd\r\n0\r\n\r\n", "malformed-request"),
    (b"3\r\nabc\n0\r\n\r\n", "malformed-request"),
    (b"3;\r\nabc\r\n0\r\n\r\n", "malformed-request"),
    (b"3;a\nb\r\nabc\r\n0\r\n\r\n", "malformed-request"),
    (b"0\r\nA: b\n\n", "malformed-request"),
    (b"0\r\nA : b\r\n\r\n", "malformed-request"),
    (b"0\r\nContent-Length: 7\r\n\r\n", "malformed-request"),
    (b"0\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed-request"),
    (b"0\r\nHost: b\r\n\r\n", "bad-trailer"),
    (b"0\r\nA: b\r\nConnection: close\r\n\r\n", "bad-trailer"),
    (b"0\r\nExpect: 100-continue\r\n\r\n", "bad-trailer"),
]


@pytest.mark.parametrize(("body", "name"), BAD_BODIES)
def test_bad_chunks_and_trailers(body: bytes, name: str) -> None:
    data = request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body=body)
    record = every_way(data)
    assert record.error == (400, name)
    assert record.ends == 0
    assert every_way(data + NEXT).events == record.events


def test_trailers_never_reach_the_next_request() -> None:
    first = request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body=b"0\r\nX-Secret: 1\r\n\r\n")
    record = every_way(first + NEXT)
    assert record.kinds == "head end head end"
    assert record.events[2][1]["headers"] == [(b"host", b"Host", b"n")]
    assert b"x-secret" not in {name for name, _, _ in record.events[0][1]["headers"]}


SMALL = WireLimits(header_bytes=200, request_line=40, fields=5, chunk_extensions=64)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (request("GET /" + "a" * 26 + " HTTP/1.1", "Host: a"), None),
        (request("GET /" + "a" * 27 + " HTTP/1.1", "Host: a"), (414, "request-line-too-long")),
        (request("GET /" + "a" * 250 + " HTTP/1.1", "Host: a"), (414, "request-line-too-long")),
        (b"GET /" + b"a" * 1000, (414, "request-line-too-long")),
        (request("GET / HTTP/1.1", "Host: a", "X: " + "y" * 168), None),
        (request("GET / HTTP/1.1", "Host: a", "X: " + "y" * 169), (431, "head-too-large")),
        (request("GET / HTTP/1.1", "Host: a", "X: " + " " * 1000 + "y"), (431, "head-too-large")),
        (b"\r\n" * 200 + NEXT, (431, "head-too-large")),
        (request("GET / HTTP/1.1", "Host: a", "X: " + "y" * 100_000), (431, "head-too-large")),
        (request("GET / HTTP/1.1", "Host: a", *(["X: y"] * 4)), None),
        (request("GET / HTTP/1.1", "Host: a", *(["X: y"] * 5)), (431, "too-many-fields")),
    ],
)
def test_limits_of_heads(data: bytes, error: tuple[int, str] | None) -> None:
    if error is None:
        assert len(data) <= 200
    assert every_way(data, SMALL).error == error
    assert every_way(NEXT + data, SMALL).error == error


def test_a_head_of_the_default_limit_to_the_byte() -> None:
    start = request("GET / HTTP/1.1", "Host: a", "X: ")[:-4]
    fits = start + b"y" * (32 * 1024 - len(start) - 4) + b"\r\n\r\n"
    assert len(fits) == 32 * 1024
    assert read_requests(fits).kinds == "head end"
    assert read_requests(fits.replace(b"X: y", b"X: yy")).error == (431, "head-too-large")
    assert read_requests(fits, range(0, len(fits), 1000)).kinds == "head end"


@pytest.mark.parametrize(
    "chunks",
    [
        b"1;" + b"x" * 200 + b"\r\n!\r\n0\r\n\r\n",
        b"0" * 200 + b"1\r\n!\r\n0\r\n\r\n",
        b"1\r\n!\r\n0\r\nX: " + b"y" * 200 + b"\r\n\r\n",
        b"1;xxxxxxxxxxxxxxxxxxxxxxxx\r\n!\r\n" * 20 + b"0\r\n\r\n",
    ],
)
def test_limit_of_what_chunks_carry_beside_data(chunks: bytes) -> None:
    data = request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body=chunks)
    assert read_requests(data, limits=SMALL).error == (400, "chunk-extensions-too-long")
    assert read_requests(data, range(len(data)), SMALL).error == (400, "chunk-extensions-too-long")
    assert read_requests(data).kinds == "head body end"


def test_plain_chunks_have_no_limit() -> None:
    data = request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body=b"1\r\n!\r\n" * 1000 + b"0\r\n\r\n")
    assert every_way(data, SMALL).body == b"!" * 1000


# -- stopping and going on


class Pausing(Record):
    """Pauses the reader at each event of one kind."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self.at = at
        self.reader = RequestReader(self, LIMITS)

    def request_head(self, head: Any) -> None:
        super().request_head(head)
        self._pause("head")

    def request_body(self, data: bytes) -> None:
        super().request_body(data)
        self._pause("body")

    def request_end(self) -> None:
        super().request_end()
        self._pause("end")

    def _pause(self, kind: str) -> None:
        if self.at == kind:
            self.reader.pause()


MIXED = (
    NEXT
    + request("POST /1 HTTP/1.1", "Host: a", "Content-Length: 3", body=b"abc")
    + NEXT
    + request("POST /2 HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")
    + NEXT
    + request("GET /bad HTTP/1.1")
)


@pytest.mark.parametrize("step", [1, 7, 50, 10_000])
@pytest.mark.parametrize("at", ["head", "body", "end"])
def test_a_paused_reader_stops_and_goes_on(at: str, step: int) -> None:
    sink = Pausing(at)
    position = 0
    while position < len(MIXED) or sink.reader.pending:
        before = len(sink.events)
        sink.reader.feed(MIXED[position : position + step])
        position += step
        if at == "end":
            assert sum(event[0] in ("end", "error") for event in sink.events[before:]) <= 1
        before = len(sink.events)
        sink.reader.resume()
        if at == "end":
            assert sum(event[0] in ("end", "error") for event in sink.events[before:]) <= 1
    assert sink.events == read_requests(MIXED).events
    assert sink.reader.done


def test_a_flood_of_requests_stays_bytes() -> None:
    sink = Pausing("end")
    sink.reader.feed(NEXT * 9000)
    assert sink.ends == 1
    assert sink.reader.pending == len(NEXT) * 8999
    sink.reader.feed(NEXT)
    assert sink.ends == 1
    sink.at = "never"
    sink.reader.resume()
    assert sink.ends == 9001
    assert sink.reader.pending == 0


def test_a_flood_that_is_read_one_by_one_is_not_copied_each_time() -> None:
    flood = NEXT * 50
    sink = Pausing("end")
    alone = sys.getrefcount(flood)
    sink.reader.feed(flood)
    for ends in range(1, 50):
        assert (sink.ends, sink.reader.pending) == (ends, len(NEXT) * (50 - ends))
        assert sys.getrefcount(flood) == alone + 1
        sink.reader.resume()
    assert (sink.ends, sink.reader.pending, sys.getrefcount(flood)) == (50, 0, alone)


@pytest.mark.parametrize("last", [request("GET / HTTP/1.1", "Host: a", "Connection: close"), request("GET / HTTP/1.1")])
def test_reads_after_the_last_request(last: bytes) -> None:
    record = Record()
    reader = RequestReader(record, LIMITS)
    reader.feed(NEXT)
    reader.feed(last)
    before = list(record.events)
    for data in (NEXT, NEXT[:5], NEXT * 2):
        reader.feed(data)
        reader.resume()
    assert record.events == before
    assert (reader.done, reader.pending) == (True, 0)


def test_a_read_that_is_one_request_can_pause() -> None:
    sink = Pausing("end")
    sink.reader.feed(NEXT)
    sink.reader.feed(NEXT)
    assert (sink.ends, sink.reader.pending) == (1, len(NEXT))
    sink.reader.resume()
    assert (sink.ends, sink.reader.pending) == (2, 0)


def test_a_closed_reader_is_silent() -> None:
    class Leaving(Record):
        def request_end(self) -> None:
            super().request_end()
            reader.close()

    sink = Leaving()
    reader = RequestReader(sink, LIMITS)
    reader.feed(NEXT * 3)
    reader.feed(NEXT)
    reader.resume()
    assert sink.kinds == "head end"
    assert (reader.done, reader.pending) == (True, 0)


def test_a_sink_may_feed_and_resume() -> None:
    class Eager(Record):
        def request_end(self) -> None:
            super().request_end()
            if self.ends < 5:
                reader.pause()
                reader.feed(NEXT)
                reader.resume()

    sink = Eager()
    reader = RequestReader(sink, LIMITS)
    reader.feed(NEXT)
    assert sink.kinds == " ".join(["head end"] * 5)


def test_what_the_reader_says_about_itself() -> None:
    record = Record()
    reader = RequestReader(record, LIMITS)
    assert (reader.in_head, reader.in_body) == (False, False)
    reader.feed(b"POST / HTTP/1.1\r\n")
    assert (reader.in_head, reader.in_body) == (True, False)
    reader.feed(b"Host: a\r\nContent-Length: 2\r\n\r\n")
    assert (reader.in_head, reader.in_body) == (False, True)
    reader.feed(b"ab")
    assert (reader.in_head, reader.in_body) == (False, False)
    reader.feed(request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
    assert (reader.in_head, reader.in_body) == (False, True)
    reader.feed(b"0\r\n\r\n")
    assert (reader.in_head, reader.in_body) == (False, False)
    assert not reader.done
    reader.feed(request("GET / HTTP/1.1", "Host: a", "Connection: close"))
    assert reader.done


def test_a_large_body_passes_through() -> None:
    record = Record()
    reader = RequestReader(record, LIMITS)
    reader.feed(request("PUT / HTTP/1.1", "Host: a", "Content-Length: 3000000"))
    for _ in range(10):
        reader.feed(b"x" * 300_000)
        assert reader.pending == 0
    assert record.kinds == "head body end"
    assert len(record.body) == 3_000_000
