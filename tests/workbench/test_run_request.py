"""Requests as an author gives them: HTTP text, and flags that are curl's."""

from __future__ import annotations

import argparse
import base64
from pathlib import Path

import pytest

from policylang.sdk.bench import BenchEnvironment
from policylang.tools.request_flags import add_request_flags, incoming_of
from policylang.trace.incoming import Incoming, NotARequest, read_request


def fields(asked: Incoming) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode("utf-8", "surrogateescape")) for _, name, value in asked.fields]


# --- as text ---


@pytest.mark.parametrize(
    ("text", "method", "target", "host", "found", "body"),
    [
        (b"GET /a?b=1 HTTP/1.1\r\nHost: x.example\r\nAccept: */*\r\n\r\n", "GET", "/a?b=1", "x.example",
         [("Accept", "*/*")], b""),
        (b"GET /a", "GET", "/a", None, [], b""),
        (b"/a\n", "GET", "/a", None, [], b""),
        (b"\n\n# a comment\n\nPOST /a\nX-A: 1\n\n{}\n", "POST", "/a", None, [("X-A", "1")], b"{}"),
        (b"PUT https://API.example:8443/a HTTP/2\nx-a:1\nX-A :  2\n", "PUT", "/a", "api.example:8443",
         [("x-a", "1"), ("X-A", "2")], b""),
        (b"POST /a\nContent-Length: 3\n\nabcdef", "POST", "/a", None, [], b"abc"),
        (b"POST /a\r\nA: 1\r\n\r\nline\r\n\r\nline\r\n", "POST", "/a", None, [("A", "1")], b"line\r\n\r\nline"),
        (b"POST /a\nX: one\n two\n\tthree\n\n", "POST", "/a", None, [("X", "one two three")], b""),
        (b"POST /a\nTransfer-Encoding: chunked\nConnection: close\nX: 1\n\nb", "POST", "/a", None, [("X", "1")], b"b"),
        (b"POST /a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA ; x=1\r\n0123456789\r\n0\r\n\r\n", "POST", "/a",
         None, [], b"abc0123456789"),
        (b"POST /a\nTransfer-Encoding: chunked\n\n0\n\n", "POST", "/a", None, [], b""),
        (b"POST /a\nTransfer-Encoding: chunked\n\n4\nabc", "POST", "/a", None, [], b"4\nabc"),
        (b"POST /a\nContent-Length: 1\nContent-Length: 01\n\nab", "POST", "/a", None, [], b"a"),
        (b"PROPFIND /a%20b HTTP/1.0\n\n\n\nbody", "PROPFIND", "/a%20b", None, [], b"\n\nbody"),
        ("GET /grüße\nX: ü\n".encode(), "GET", "/gr%C3%BC%C3%9Fe", None, [("X", "ü")], b""),
        (b"GET /a\nX: \xff\n", "GET", "/a", None, [("X", "\udcff")], b""),
    ],
)  # fmt: skip
def test_http_as_text(
    text: bytes, method: str, target: str, host: str | None, found: list[tuple[str, str]], body: bytes
) -> None:
    asked = read_request(text)
    assert (asked.method, asked.target, asked.host, fields(asked), asked.body) == (method, target, host, found, body)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "it is empty: write `GET /path`, fields and perhaps a body below"),
        (b"# only a comment\n", "it is empty: write `GET /path`, fields and perhaps a body below"),
        (b"GET /a b c\n", "the first line of it is no request line: write `GET /path HTTP/1.1`"),
        (b"GET, /a\n", "the first line of it is no request line: write `GET /path HTTP/1.1`"),
        (b"GET a\n", "`a` is neither a path nor a URL: write `/a` or `http://api.example/a`"),
        (b"GET http:///a\n", "`http:///a` names no host: write `http://api.example/path`, or the path alone"),
        (b"GET /\nX-A 1\n", "line 2 of it is no field: write `Name: value`"),
        (b"GET /\nX A: 1\n", "`X A` is no name of a header field"),
        (b"GET /\nContent-Length: x\n", "the Content-Length of it is no number"),
        (b"GET /\nContent-Length: " + b"9" * 5000, "the Content-Length of it is no number"),
        (b"GET /\nContent-Length: 1\nContent-Length: 2\n\nabc", "it has two values of Content-Length: 1 and 2"),
        (b"\n# a comment\nGET /\nX-A 1\n", "line 4 of it is no field: write `Name: value`"),
        (b"GET /\nContent-Length: 9\n\nabc", "it ends after 3 bytes of its body, and says that there are 9"),
        (b"GET /\nX: a\0b\n", "the field `X` has a line's end in it"),
    ],
)
def test_what_is_no_request(text: bytes, message: str) -> None:
    with pytest.raises(NotARequest) as raised:
        read_request(text, "it")
    assert str(raised.value) == message


# --- flags ---


def asked(*words: str) -> Incoming:
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?")
    add_request_flags(parser)
    found = parser.parse_args(list(words))
    return incoming_of(found, found.url)


USUAL = [("User-Agent", "pol"), ("Accept", "*/*")]
FORM = ("Content-Type", "application/x-www-form-urlencoded")
JSON = [("Content-Type", "application/json"), ("Accept", "application/json")]


@pytest.mark.parametrize(
    ("words", "method", "target", "found", "body"),
    [
        (["/a"], "", "/a", USUAL, b""),
        (["/a", "-X", "DELETE"], "DELETE", "/a", USUAL, b""),
        (["/a", "-I"], "HEAD", "/a", USUAL, b""),
        (["/a#part"], "", "/a", USUAL, b""),
        (["/a b"], "", "/a%20b", USUAL, b""),
        (["/a", "-H", "X-A: 1", "-H", "x-a:2"], "", "/a", [*USUAL, ("X-A", "1"), ("x-a", "2")], b""),
        (["/a", "-H", "Accept:", "-H", "X-B;", "-H", "X-C:"], "", "/a", [USUAL[0], ("X-B", "")], b""),
        (["/a", "-H", "accept: text/html"], "", "/a", [USUAL[0], ("accept", "text/html")], b""),
        (["/a", "-d", "a=1", "-d", "b=2"], "POST", "/a", [FORM, *USUAL], b"a=1&b=2"),
        (["/a", "-d", "{}", "-H", "Content-Type: application/json", "-X", "PUT"], "PUT", "/a",
         [*USUAL, JSON[0]], b"{}"),
        (["/a", "--data-raw", "@b"], "POST", "/a", [FORM, *USUAL], b"@b"),
        (["/a", "--data-urlencode", "q=a b&c", "--data-urlencode", "x y"], "POST", "/a", [FORM, *USUAL],
         b"q=a%20b%26c&x%20y"),
        (["/a?x=0", "-G", "-d", "a=1", "-d", "b=2"], "", "/a?x=0&a=1&b=2", USUAL, b""),
        (["/a", "--json", '{"a":', "--json", "1}"], "POST", "/a", [*JSON, USUAL[0]], b'{"a":1}'),
        (["/a", "-u", "ann:pw"], "", "/a",
         [*USUAL, ("Authorization", "Basic " + base64.b64encode(b"ann:pw").decode())], b""),
        (["http://a%40b:p%20w@x.example/a"], "", "/a",
         [("Authorization", "Basic " + base64.b64encode(b"a@b:p w").decode()), *USUAL], b""),
        (["/a", "-b", "s=1; t=2"], "", "/a", [*USUAL, ("Cookie", "s=1; t=2")], b""),
        (["/a", "-A", "me", "-e", "http://x"], "", "/a",
         [USUAL[1], ("User-Agent", "me"), ("Referer", "http://x")], b""),
    ],
)  # fmt: skip
def test_as_curl_would(words: list[str], method: str, target: str, found: list[tuple[str, str]], body: bytes) -> None:
    made = asked(*words)
    assert (made.method, made.target, fields(made), made.body) == (method, target, found, body)


def test_data_of_files(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"a=1\r\nb\0=2\n")
    assert asked("/", "-d", f"@{file}").body == b"a=1b=2"
    assert asked("/", "--data-binary", f"@{file}").body == b"a=1\r\nb\0=2\n"
    assert asked("/", "--json", f"@{file}").body == b"a=1\r\nb\0=2\n"
    assert asked("/", "--data-urlencode", f"x@{file}").body == b"x=a%3D1%0D%0Ab%00%3D2%0A"
    file.write_text("X-A: 1\n\nX-B: 2\n")
    assert fields(asked("/", "-H", f"@{file}")) == [*USUAL, ("X-A", "1"), ("X-B", "2")]


def test_flags_change_a_request_that_was_read(tmp_path: Path) -> None:
    file = tmp_path / "r.http"
    file.write_text("PUT /a HTTP/1.1\nHost: one.example\nX-A: 1\nX-B: 1\n\nbody\n")
    made = asked("--request", str(file), "-H", "X-A: 2", "--host", "two.example", "-d", "new")
    assert (made.method, made.target, made.host, made.body) == ("PUT", "/a", "two.example", b"new")
    assert fields(made) == [("X-B", "1"), FORM, ("X-A", "2")]
    made = asked("--request", str(file), "/b", "-X", "GET")
    assert (made.method, made.target, made.host, made.body) == ("GET", "/b", "one.example", b"body")


def test_who_asks_and_whom() -> None:
    made = asked("https://Shop.example/a", "--from", "2001:DB8::1")
    assert (made.scheme, made.host, made.client) == ("https", "shop.example", "2001:db8::1")
    exchange = made.exchange(BenchEnvironment())  # type: ignore[arg-type]
    assert (exchange.request.scheme, exchange.request.header(b"host")) == ("https", "shop.example")
    assert (exchange.client.ip, exchange.request.method) == ("2001:db8::1", "GET")
    made = asked("/", "--cert", "CN=partner,O=Acme")
    exchange = made.exchange(BenchEnvironment())  # type: ignore[arg-type]
    assert exchange.client.cert.subject == "CN=partner,O=Acme" and exchange.request.scheme == "https"
    assert asked("/", "-H", "Host: a.example").host == "a.example"
    made = asked("https://Shop.example./a", "-H", "X-Forwarded-For: 10.0.0.1", "-H", "X-A: 1")
    request = made.exchange(BenchEnvironment()).request  # type: ignore[arg-type]
    assert (request.host, request.header(b"x-forwarded-for"), request.header(b"x-a")) == ("shop.example", None, "1")


def test_a_certificate_in_a_file(tmp_path: Path) -> None:
    import trustme

    file = tmp_path / "client.pem"
    trustme.CA().issue_cert("partner.example").cert_chain_pems[0].write_to_path(file)
    assert list(asked("/", "--cert", str(file)).cert.names) == ["partner.example"]
    file.write_text("nothing")
    with pytest.raises(NotARequest, match="holds no certificate in PEM"):
        asked("/", "--cert", str(file))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing is asked for: give a path or a URL, or `--request FILE`"),
        (["/", "--request", "POST"], "`--request` reads a file, and there is no `POST`: a method is `-X POST`"),
        (["/", "-H", "X"], "`-H X` is no field: write `Name: value`"),
        (["/", "-b", "jar.txt"], "`--cookie jar.txt` is no `name=value`; cookies of a file are not read"),
        (["/", "-d", "a", "--json", "{}"], "`--json` and `--data` are two bodies: give one"),
        (["/", "--from", "here"], "`--from here` is no address: write it as 192.0.2.7 or 2001:db8::7"),
        (["/", "--cert", "=x"], '`=x` is no name: write it as "CN=partner,O=Acme"'),
    ],
)
def test_wrong_flags(words: list[str], message: str) -> None:
    with pytest.raises(NotARequest) as raised:
        asked(*words)
    assert str(raised.value) == message


def test_a_path_that_the_edge_refuses() -> None:
    exchange = asked("/a%2Fb").exchange(BenchEnvironment())  # type: ignore[arg-type]
    assert exchange.failure is not None and exchange.failure.name == "bad-path"
    assert asked("/a/../b//").exchange(BenchEnvironment()).failure is not None  # type: ignore[arg-type]
    assert asked("/a/./../%62").exchange(BenchEnvironment()).request.path == "/b"  # type: ignore[arg-type]
