"""A request of a test is what the gateway makes of the same bytes, or is refused where the gateway refuses them."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from suites import passes, results, said, suite_of, wrong

from policylang.sdk.exchange import Exchange, UpstreamCall
from policylang.testing.asking import request_of
from policylang.testing.fields import Unsendable
from policylang.testing.told import Call
from policylang.testing.world import Broken, World
from policylang.trace.incoming import Incoming
from runtime.edge.entry import Entry
from runtime.edge.peer import Peer
from runtime.upstream.heads import lines_of
from runtime.wire.limits import WireError, WireLimits
from runtime.wire.request import RequestReader

NAMES = (
    "X-Request-ID", "x-request-id", "Connection", "X-A", "X-B", "X_A", "X-Forwarded-For", "Forwarded", "traceparent",
    "tracestate", "polgate-trace", "Via", "Accept", "Cookie", "X-Real-IP", "Keep-Alive", "TE",
)
VALUES = (
    "abc-1", "a b", "", " x ", "x-a, close", "X-A,x-b", "close", "x-request-id", "é", "a,b", "a\tb", "x" * 129,
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0-0-01", "trailers", "\x01", "\x7f", "a\nb",
)
HOSTS = ("A.Example", "a.example.:8443", "[2001:DB8::1]:80", "a.example:", "a b", "a,b", "", "a.example:0", "..", "é")
TARGETS = ("/", "/a/../b?x=1&y", "/a%2fb", "//a", "/a b", "/é", "/?", "/?q=é", "/?q=a b", "/?a?b", "/%41", "*", "a")
METHODS = ("GET", "POST", "DELETE", "OPTIONS", "PROPFIND", "get", "CONNECT", "A B")


NOT_SHOWN = (b"connection", b"host", b"keep-alive", b"te")  # by `pol run`, or in another spelling


class Heads:
    """What the reader tells, of one request."""

    def __init__(self) -> None:
        self.head: Any = None

    def request_head(self, head: Any) -> None:
        self.head = head

    def request_body(self, data: bytes) -> None: ...

    def request_end(self) -> None: ...

    def request_error(self, error: WireError) -> None:
        raise error


def received(method: str, target: str, host: str, fields: list[tuple[str, str]]) -> Exchange:
    """As the gateway makes it. Raises WireError."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in fields), "", ""]
    sink = Heads()
    RequestReader(sink, WireLimits()).feed("\r\n".join(lines).encode())
    if sink.head is None:
        raise WireError(400, "unfinished", "the head has not come to its end")
    edge: Any = SimpleNamespace(
        ids=SimpleNamespace(new=lambda: "new"), trusted=(), timed=(), traced=False, environment=None,
        monotonic=lambda: 0, behind_proxies={},
    )  # fmt: skip
    return Entry(edge, Peer("192.0.2.1", 40000, "http")).exchange(sink.head, b"", None)


def asked(method: str, target: str, host: str, fields: list[tuple[str, str]]) -> Exchange | None:
    """As a test makes it; None where it is refused."""
    header: dict[str, list[str]] = {}
    for name, value in fields:
        header.setdefault(name, []).append(value)
    try:
        found, refused = request_of(WORLD, method, target, {"header": header, "host": host or "\0"})
    except (Broken, Unsendable):
        return None
    return None if refused is not None else found


SUITE = suite_of('test "it" { get "/" }')
assert SUITE.program is not None
WORLD = World(SUITE, SUITE.program, None)


def seen(exchange: Exchange) -> Any:
    request = exchange.request
    id = "new" if request.id == "00000001" else request.id
    return (
        request.method, request.path, request.query_string, request.host, request.scheme, request.version, id,
        sorted((lower, value) for lower, _, value in request.headers if lower != b"host"),
    )  # fmt: skip


def kept(exchange: Exchange) -> list[Any]:
    return sorted((lower, value) for lower, _, value in exchange.request.headers if lower not in NOT_SHOWN)


def of_run(method: str, target: str, host: str, fields: list[tuple[str, str]]) -> Any:
    """Whether `pol run` makes an id of its own, and the fields that it lets in."""
    incoming = Incoming()
    incoming.method, incoming.target, incoming.host = method, target, host
    for name, value in fields:
        incoming.add_field(name, value)
    environment: Any = WORLD
    found = incoming.exchange(environment)
    assert found.failure is None or "query" in target
    return found.request.id == "00000001", kept(found)


def sent(exchange: Exchange) -> dict[str, list[str]]:
    """The fields that the gateway sends to an upstream."""
    request: Any = exchange.request
    head = request.opening + b"00000001" + lines_of(request)
    found: dict[str, list[str]] = {}
    for line in head.decode().split("\r\n")[1:-1]:
        name, _, value = line.partition(": ")
        found.setdefault(name.lower(), []).append(value)
    return {name: sorted(values) for name, values in found.items()}


def received_by_stub(exchange: Exchange) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    exchange.request.id = "00000001"
    for lower, _, value in Call(exchange, UpstreamCall(), b"").message.headers:
        found.setdefault(lower.decode(), []).append(value.decode())
    found.pop("content-length", None)  # of a method that announces an empty body, which the connection adds
    return {name: sorted(values) for name, values in found.items()}


def test_a_test_lets_in_what_the_gateway_lets_in() -> None:
    dice = Random(5)
    both = 0
    for _ in range(1500):
        method, host, target = (
            dice.choice(each) if dice.random() < 0.2 else each[0] for each in (METHODS, HOSTS, TARGETS)
        )
        fields = [(dice.choice(NAMES), dice.choice(VALUES)) for _ in range(dice.choice((0, 1, 2, 4)))]
        try:
            there: Exchange | None = received(method, target, host, fields)
        except WireError:
            there = None
        here = asked(method, target, host, fields)
        assert (here is None) == (there is None), (method, target, host, fields)
        if here is not None and there is not None:
            assert seen(here) == seen(there), (method, target, host, fields)
            assert of_run(method, target, host, fields) == (there.request.id == "new", kept(there)), fields
            assert sent(there) == received_by_stub(here), fields
            both += 1
    assert 300 < both < 1400


POLICY = """
upstream a { server "http://127.0.0.1:9000" }
service s "/**" {
    set request.header["Id"] = request.id
    set request.header["From"] = "${client.ip}"
    route a
}
"""


def test_what_a_client_says_of_its_request() -> None:
    passes(
        """
        stub a
        get "/", header: { "X-Request-ID": "abc-1", Connection: "X-A, close", "X-A": "1", X_B: "2", "X-C": [true, 5] },
            from: "fe80::1%eth0"
        expect a.calls[0].header["Id"] == "abc-1" and a.calls[0].header["From"] == "fe80::1"
        expect a.calls[0].header["X-A"] == none and a.calls[0].header["X_B"] == none
        expect a.calls[0].header["X-C"] == "true, 5"
        post "/", header: { "X-Request-ID": "not sane" }, json: { time: 5s, size: 5KB }
        expect a.calls[1].header["Id"] == "00000002" and a.calls[1].header["X-Request-ID"] == "00000002"
        expect a.calls[1].header["X-Forwarded-For"] == "192.0.2.1" and a.calls[1].header["Via"] == "1.1 polgate"
        expect a.calls[1].json == { time: "5s", size: "5KB" }
        """,
        POLICY,
    )


_A_MAP = "the field `A` cannot be written: a map cannot stand in a text; use `json(…)`"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ('let p = "x"\nget "${p}"', "a path begins with a slash, as `x` does not"),
        ('get "*"', "a path begins with a slash, as `*` does not"),
        ('get "/", host: "a b"', "`a b` is neither a host nor an address, with a port or without"),
        ('let s = "ftp"\nget "/", scheme: "${s}"', "`scheme` is `http` or `https`, not `ftp`"),
        ('let m = "get"\nsend "${m}", "/"', "`get` is not `GET`: methods are told apart by case"),
        ('get "/", header: { A: "\\u0001" }', "the field `A` has a control character in it"),
        ('get "/", header: { A: "\\r\\n" }', "the field `A` has a line's end in it"),
        ('get "/", header: { A: { b: 1 } }', _A_MAP),
        ('get "/", header: { "A B": 1 }', "`A B` is no name of a header field"),
        ('post "/", body: "abc", header: { "Content-Length": 9 }',
         "`Content-Length` says otherwise than the body, which has 3 bytes: leave it out"),
        ('stub a, header: { "A B": 1 }', "`A B` is no name of a header field"),
        ('stub a, header: { A: "\\r\\n" }', "the field `A` has a line's end in it"),
        ('stub a, header: { A: { b: 1 } }', _A_MAP),
    ],
)  # fmt: skip
def test_what_no_message_can_hold(statement: str, message: str) -> None:
    assert f"[broken-test]: {message}\n" in said(f"stub a\n{statement}", POLICY)


def test_what_is_known_to_be_unsendable_is_found_before() -> None:
    found = wrong('test "it" { send "get", "/"\nsend "CONNECT", "/"\npost "/", body: 257MiB }', POLICY)
    assert [message for _, message, _ in found] == [
        "`get` is not `GET`: methods are told apart by case", "a gateway does not serve `CONNECT`",
        "`body` has at most 256MiB in a test",
    ]  # fmt: skip


def test_fields_of_an_answer_are_written_as_text() -> None:
    passes(
        """
        stub a, header: { "X-A": [true, 5, none], "X-B": " x " }, json: { time: 5s }
        get "/"
        expect response.header["X-A"] == "true, 5" and response.header["X-B"] == "x"
        expect response.json.time == "5s"
        """,
        POLICY,
    )


def test_how_a_stub_fails_may_come_from_a_row() -> None:
    found = results(
        """
        let away = "unreachable"
        test "it" for row in [
            { how: "timeout", status: 504 }, { how: none, status: 200 }, { how: away, status: 502 },
            { how: "brokn", status: 502 }
        ] {
            stub a, fails: row.how
            get "/"
            expect response.status == row.status
            stub a, sequence: [{ fails: row.how }, { status: 201 }]
            get "/"
            expect response.status == row.status
            stub a, fails: away
            get "/"
            expect response.status == 502
        }
        """,
        POLICY,
    )
    assert [each.outcome for each in found] == ["passed", "passed", "passed", "broken"]
    assert found[3].findings[0].message == "`fails` takes `unreachable`, `timeout` or `broken`, not `brokn`"
    assert wrong('test "it" { stub a, fails: unreachble }', POLICY)[0][::2] == (
        "unknown-symbol", "did you mean `unreachable`?"
    )
    assert wrong('test "it" { stub a, fails: "timeout" }', POLICY)[0][2] == "write `timeout`"


def test_what_only_a_row_tells_of_an_answer() -> None:
    found = results(
        """
        test "it" for row in [{ v: [1] }, { v: "x" }, { v: 700 }] {
            stub a, sequence: [{ status: row.v }, { status: 201 }]
            get "/"
        }
        test "of a body" for row in [{ v: [1] }, { v: "x" }] {
            stub a, sequence: [{ body: row.v }]
            get "/"
            expect response.text == "x"
        }
        """,
        POLICY,
    )
    assert [each.findings[0].message if each.findings else "" for each in found] == [
        *3 * ["`status` is a whole number from 200 to 599"], "`body` of a stub takes text, not a list", "",
    ]  # fmt: skip


def test_an_answer_is_framed_anew() -> None:
    passes(
        """
        stub a, header: { Connection: "X-A", "Keep-Alive": "timeout=5", "Content-Length": "7", "X-A": 1 }, body: "abc"
        get "/"
        expect response.header["Content-Length"] == "3" and response.header["Keep-Alive"] == none
        head "/"
        expect response.header["Content-Length"] == "7" and response.text == ""
        head "/own"
        expect response.header["Content-Length"] == "5" and response.text == ""
        put "/"
        expect a.calls[2].header["Content-Length"] == "0" and a.calls[0].header["Content-Length"] == none
        post "/", body: "ab", header: { "Transfer-Encoding": "chunked", TE: "trailers" }
        expect a.calls[3].header["Content-Length"] == "2" and a.calls[3].header["TE"] == none
        """,
        POLICY + 'service own "/own" { respond 200, body: "hello" }',
    )
