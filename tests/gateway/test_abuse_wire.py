"""What the readers hold of messages that do not end, and words that were once our undoing."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.wire.limits import WireLimits
from runtime.wire.request import RequestReader
from runtime.wire.response import ResponseReader

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from wire_events import Record, read_requests, read_response

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"


def held(make: Callable[[], Callable[[bytes], None]], *pieces: bytes) -> int:
    """Bytes that a reader has taken when all of them have come."""
    tracemalloc.start()
    try:
        feed = make()
        before = tracemalloc.get_traced_memory()[0]
        for piece in pieces:
            feed(piece)
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def requests() -> Callable[[bytes], None]:
    return RequestReader(Record(), WireLimits()).feed


def answers() -> Callable[[bytes], None]:
    reader = ResponseReader(Record(), WireLimits())
    reader.expect("GET")
    return reader.feed


@pytest.mark.parametrize(
    ("make", "pieces"),
    [
        (requests, (b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 8000,)),
        (requests, (b"GET / HTTP/1.1\r\n", *[b"a:\r\n"] * 8000)),
        (requests, (b"GET /", *[b"ab"] * 16000)),
        (requests, (CHUNKED, b"0\r\n" + b"a:\r\n" * 3990)),
        (requests, (CHUNKED, b"0\r\n", *[b"te: a\r\n"] * 2200)),
        (answers, (OK + b"a:\r\n" * 8000,)),
        (answers, (OK, *[b"a:\r\n"] * 8000)),
        (answers, (b"HTTP/1.1 200 ", *[b"ab"] * 16000)),
        (answers, (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0\r\n" + b"a:\r\n" * 3990)),
    ],
    ids=["fields", "fields one by one", "target", "trailers", "bad trailers", "answer fields",
         "answer fields one by one", "reason", "answer trailers"],
)  # fmt: skip
def test_what_does_not_end_is_held_in_small_memory(
    make: Callable[[], Callable[[bytes], None]], pieces: tuple[bytes, ...]
) -> None:
    """32 KiB of the smallest fields once took 900 KB until the head's deadline."""
    assert held(make, *pieces) < 200_000


def test_too_many_fields_are_refused_before_the_head_ends() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 101
    assert read_requests(data).error == (431, "too-many-fields")
    # Whatever is wrong behind them, and however the bytes are split.
    for rest in (b"\x00", b"\r\n", b"a b c\r\n\r\n"):
        assert read_requests(data + rest).error == (431, "too-many-fields")
        assert read_requests(data + rest, range(len(data) + 3)).error == (431, "too-many-fields")
    record, _ = read_response(OK + b"a: b\r\n" * 102)
    assert record.error == (502, "response-head-too-large")


@pytest.mark.parametrize("digits", [21, 4299, 4301, 20000])
def test_a_content_length_of_many_digits_is_refused(digits: int) -> None:
    """Python turns no more than 4,300 digits into a number; llhttp takes zeros without end."""
    field = b"Content-Length: " + b"5".zfill(digits) + b"\r\n\r\n"
    assert read_requests(POST + field + b"hello").error == (400, "bad-framing")
    record, _ = read_response(OK + field + b"hello")
    assert record.error == (502, "malformed-response")


def test_a_content_length_of_few_zeros_stands() -> None:
    assert read_requests(POST + b"Content-Length: 00000000000000000005\r\n\r\nhello").kinds == "head body end"
