"""`set` and `remove`, and the targets of `route`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tree_policies import Policy


def sent(statements: str, method: str = "GET", path: str = "/p", **request: Any) -> Any:
    """What the upstream received; the failure's name and status where nothing was sent."""
    policy = Policy(f"{statements}\nroute one")
    answer = policy.handle(method, path, **request)
    return policy.one.calls[0] if policy.one.calls else (answer.name, answer.status)


def test_headers() -> None:
    headers = [("X-A", "1"), ("x-a", "2"), ("X-B", "3")]
    assert sent('set request.header["X-A"] = "new"', headers=headers).headers == [
        (b"x-b", b"X-B", b"3"), (b"x-a", b"X-A", b"new"),
    ]  # fmt: skip
    assert sent('remove request.header["X-a"]', headers=headers).headers == [(b"x-b", b"X-B", b"3")]
    assert sent('set request.header["X-A"] = ["a", "b"]', headers=headers).headers[1:] == [
        (b"x-a", b"X-A", b"a"), (b"x-a", b"X-A", b"b"),
    ]  # fmt: skip
    assert sent('set request.header[request.query.n] = "v"', path="/?n=X-Name").header("x-name") == "v"


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "a\r\nX-Admin: 1"])
def test_no_value_ends_its_field(value: str) -> None:
    body = value.encode()
    assert sent('set request.header["X-A"] = request.text', "POST", body=body) == ("bad-header", 400)
    assert sent('set request.header["X-A"] = "b${request.text}"', "POST", body=body) == ("bad-header", 400)
    assert sent("set request.cookie.a = request.text", "POST", body=body) == ("unsafe-value", 400)
    policy = Policy('route one\nset response.header["X-A"] = response.text')
    policy.one.answers[0].body = body  # type: ignore[union-attr]
    assert policy.handle().status == 502


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "Content-Length", "transfer-encoding", "Connection"])
def test_names_that_cannot_be_set(name: str) -> None:
    assert sent("set request.header[request.text] = \"1\"", "POST", body=name.encode()) == ("bad-header", 400)


def test_unicode_values() -> None:
    assert sent('set request.header["X-A"] = request.text', "POST", body="é\tü".encode()).header("X-A") == "é\tü"


def test_types() -> None:
    body = b'{"n": 1, "s": "x"}'
    assert sent('set request.header["X-A"] = request.json.n', "POST", body=body) == ("wrong-type", 400)
    assert sent('set request.header["X-A"] = request.json.z', "POST", body=body) == ("missing-value", 400)
    assert sent('set request.header["X-A"] = request.json.s', "POST", body=body).header("X-A") == "x"


def test_query() -> None:
    path = "/p?a=1&b=%20x&a=2&c"
    assert sent('set request.query.a = "n w"', path=path).query_string == b"b=%20x&c&a=n+w"
    assert sent("remove request.query.b", path=path).query_string == b"a=1&a=2&c"
    assert sent("remove request.query.z").query_string is None
    assert sent('remove request.query.a', path="/p?a=1").query_string is None
    assert sent('set request.query.a = "é&="').query_string == b"a=%C3%A9%26%3D"
    assert sent('set request.query = "x=1&y"').query_string == b"x=1&y"
    assert sent("set request.query = request.text", "POST", body=b"a b") == ("unsafe-value", 400)
    assert sent("remove request.query", path=path).query_string is None
    assert sent("remove request.query.b", path="/p?a=%FF&b=1").query_string == b"a=%FF"


def test_cookies() -> None:
    headers = {"Cookie": 'a=1; b="2"; c=3'}
    assert sent('set request.cookie.b = "new"', headers=headers).header("cookie") == "a=1; c=3; b=new"
    assert sent("remove request.cookie.a", headers=headers).header("cookie") == "b=2; c=3"
    assert sent("remove request.cookie.a", headers={"Cookie": "a=1"}).header("cookie") is None
    assert sent('set request.cookie.a = "x;y"') == ("unsafe-value", 400)
    policy = Policy('set request.cookie.a = "2"\nrespond 200, json: request.cookie.a')
    assert policy.handle(headers=headers).json == "2"


def test_the_rest_of_a_request() -> None:
    assert sent('set request.method = "PUT"').method == "PUT"
    assert sent("set request.method = request.text", "POST", body=b"A B") == ("unsafe-value", 400)
    assert sent('set request.path = "/a b/é%20"').path == "/a%20b/%C3%A9%20"
    for path in (b"x", b"/a/../b", b"/%2e%2e/b", b"/a%2Fb", b"/a/.", b"/a\\b", b"/\0"):
        assert sent("set request.path = request.text", "POST", body=path) == ("unsafe-path", 400)
    assert sent('set request.text = "tü"', "POST", body=b"x").body == "tü".encode()
    assert sent('set request.json = { a: [1s, none] }', "POST", body=b"x").body == b'{"a":["1s",null]}'
    assert sent("remove request.body", "POST", body=b"x").body == b""
    coded = sent('set request.text = "t"', "POST", body=b"x", headers={"Content-Encoding": "gzip", "X-A": "1"})
    assert [name for name, _, _ in coded.headers] == [b"x-a"]


def test_a_response() -> None:
    policy = Policy("""
        route one
        set response.status = int(request.query.s) ?? 201
        set response.json = { was: response.text }
        remove response.header["X-From"]
    """)
    answer = policy.handle()
    assert (answer.status, answer.json, answer.header("X-From")) == (201, {"was": "one"}, None)
    assert policy.handle(path="/?s=99").name == "wrong-type"


def test_variables() -> None:
    policy = Policy("""
        let a = 1
        let b? = request.query.b
        if b == none { set b = "none" } else { remove b }
        set a = a + 1
        respond 200, json: [a, b]
    """)
    assert policy.handle().json == [2, "none"]
    assert policy.handle(path="/?b=1").json == [2, None]


# --- targets ---


@pytest.mark.parametrize(
    ("path", "given", "target"),
    [
        ('"/items/${path.id}"', "/7", b"/items/7"),
        ('"/items/${path.id}/x"', "/a%20b%C3%A9", b"/items/a%20b%C3%A9/x"),
        ('"/items/${path.id}"', "/a;b", b"/items/a%3Bb"),
        ('"/v1${request.path}"', "/a%20b", b"/v1/a%20b"),
        ('"/v1/${request.path}"', "/a", b"/v1/a"),
        ("request.path", "/a", b"/a"),
        ('"/x?q=${path.id}&r=1"', "/a&b", b"/x?q=a%26b&r=1"),
        ('"/x?q=${request.query.q}"', "/a?q=", b"/x?q="),
        ('"/x/é"', "/a", b"/x/%C3%A9"),
        ('"/x/${path.id}.json"', "/a", b"/x/a.json"),
    ],
)  # fmt: skip
def test_targets(path: str, given: str, target: bytes) -> None:
    policy = Policy(f'service s "/{{id}}" {{\nroute one, path: {path}\n}}')
    policy.handle(path=given)
    assert policy.one.calls[0].target == target


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_no_value_climbs(value: str) -> None:
    for template in ('"/a/${request.text}"', '"/a/${request.text}/b"', '"/${request.text}"', '"/a/${request.text}?x"'):
        policy = Policy(f"route one, path: {template}")
        answer = policy.handle("POST", body=value.encode())
        assert (answer.name, answer.status, policy.one.calls) == ("unsafe-path", 400, [])


def test_two_values_in_one_segment_do_not_climb_either() -> None:
    policy = Policy('route one, path: "/a/${request.text}${request.text}"')
    assert policy.handle("POST", body=b".").name == "unsafe-path"
    policy.handle("POST", body=b"../")
    assert policy.one.calls[0].target == b"/a/..%2F..%2F"
