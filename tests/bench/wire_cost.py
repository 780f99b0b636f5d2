"""What the wire costs: CPU per message, in µs, best of several runs.

    python tests/bench/wire_cost.py

The garbage collector is off, as it nearly is in a worker. `llhttp alone` is the parser with callbacks that do nothing:
what is above it is ours.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import httptools

from policylang.sdk.paths import normal_path
from runtime.wire.fields import Field
from runtime.wire.limits import WireError, WireLimits
from runtime.wire.path import path_segments, query_pairs
from runtime.wire.request import RequestHead, RequestReader
from runtime.wire.response import ResponseHead, ResponseReader
from runtime.wire.write import request_head_bytes, response_head_bytes

GET = (
    b"GET /api/v1/orders/4711?page=2 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: wrk/4.2\r\nAccept: */*\r\n"
    b"X-Api-Key: gold-7f3a9c21\r\nAccept-Encoding: gzip\r\n\r\n"
)
BROWSER = (
    b"GET /a_b/c HTTP/1.1\r\nHost: api.example.com\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux "
    b"x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\nAccept: text/html\r\n"
    b"Accept-Language: en\r\nAccept-Encoding: gzip, br\r\nCookie: session_id=0123456789abcdef; theme=dark\r\n"
    b"Cache-Control: max-age=0\r\nReferer: https://www.example.com/\r\nDNT: 1\r\n\r\n"
)
POST = GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 181\r\n\r\n") + b"x" * 181
OK = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 06:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 181\r\nConnection: keep-alive\r\n\r\n" + b"x" * 181
)
CHUNKED = (
    OK[:-181].replace(b"Content-Length: 181", b"Transfer-Encoding: chunked") + b"b5\r\n" + b"x" * 181 + b"\r\n0\r\n\r\n"
)
EXTRA = b"Via: 1.1 polgate\r\nX-Request-ID: 0123456789abcdef\r\n"


class Sink:
    """Takes everything and keeps the last head."""

    head: Any = None

    def request_head(self, head: RequestHead) -> None:
        self.head = head

    def response_head(self, head: ResponseHead) -> None:
        self.head = head

    def request_body(self, data: bytes) -> None: ...

    def request_end(self) -> None: ...

    def informational(self, status: int, headers: list[Field]) -> None: ...

    def request_error(self, error: WireError) -> None:
        raise error

    response_body = request_body
    response_end = request_end
    response_error = request_error


class Silent:
    """Callbacks that do nothing."""

    def on_url(self, data: bytes) -> None: ...

    def on_header(self, name: bytes, value: bytes) -> None: ...

    def on_headers_complete(self) -> None: ...

    def on_body(self, data: bytes) -> None: ...

    def on_message_complete(self) -> None: ...


def cost(call: Callable[[], object], times: int = 20_000, runs: int = 7) -> float:
    """CPU of one call in µs, the loop around it taken off."""
    best = []
    for work in (call, lambda: None):
        fastest = float("inf")
        for _ in range(runs):
            start = time.process_time_ns()
            for _ in range(times):
                work()
            fastest = min(fastest, time.process_time_ns() - start)
        best.append(fastest / times / 1000)
    return best[0] - best[1]


def main() -> None:
    gc.disable()
    sink = Sink()
    requests = RequestReader(sink, WireLimits())
    answers = ResponseReader(sink, WireLimits())

    def answer(data: bytes) -> None:
        answers.expect("GET")
        answers.feed(data)

    requests.feed(GET)
    request: RequestHead = sink.head
    answer(OK)
    response: ResponseHead = sink.head
    bare_request = httptools.HttpRequestParser(Silent())
    bare_response = httptools.HttpResponseParser(Silent())
    rows: list[tuple[str, Callable[[], object]]] = [
        ("read a request: GET, 5 fields", lambda: requests.feed(GET)),
        ("  llhttp alone", lambda: bare_request.feed_data(GET)),
        ("read a request: GET of a browser, 10 fields", lambda: requests.feed(BROWSER)),
        ("read a request: POST, 6 fields, 181 bytes", lambda: requests.feed(POST)),
        ("read an answer: 5 fields, 181 bytes", lambda: answer(OK)),
        ("  llhttp alone", lambda: bare_response.feed_data(OK)),
        ("read an answer: chunked, 5 fields, 181 bytes", lambda: answer(CHUNKED)),
        ("normal path, plain", lambda: normal_path(request.path)),
        ("normal path, to be rewritten", lambda: normal_path(b"/a/%7Euser/../b%20c")),
        ("segments of a path", lambda: path_segments(request.path)),
        ("query, one pair", lambda: query_pairs(request.query)),
        ("write a request's head, 5 fields", lambda: request_head_bytes(
            "GET", request.path, request.host, request.headers, EXTRA)),
        ("write an answer's head, 5 fields", lambda: response_head_bytes(200, response.headers, EXTRA)),
    ]  # fmt: skip
    for name, call in rows:
        print(f"{name:46} {cost(call):6.2f} µs")


if __name__ == "__main__":
    main()
