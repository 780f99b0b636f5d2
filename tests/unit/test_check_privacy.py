"""`private` sticks: which expressions are private is known when the policy is checked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from policylang.check import check_text
from policylang.check import program as p

CLIENTS = b'{ "k1": { "id": "ann" } }'


def logged(body: str, before: str = "") -> list[bool]:
    """Whether the text of each `log` of a service is private, in their order."""
    text = f"""{before}
service s "/{{id}}" {{
{body}
    respond 200
}}
map clients, file: "clients.json"
upstream orders {{ server "http://127.0.0.1:9000" }}
"""
    checked = check_text(text, files={"clients.json": CLIENTS}, environ={"KEY": "k"})
    assert checked.program is not None, [(str(d.span), d.message) for d in checked.diagnostics]
    return list(private(checked.program.services[0].body))


def private(node: object) -> Iterator[bool]:
    if isinstance(node, p.Invoke) and node.card.name == "log":
        yield node.args[0].value.private
    elif isinstance(node, (p.Block, p.Case)):
        for each in node.statements if isinstance(node, p.Block) else (node.body,):
            yield from private(each)
    elif isinstance(node, p.Match):
        for case in node.cases:
            yield from private(case)
        yield from private(node.orelse)
    elif isinstance(node, p.If):
        for _, body in node.arms:
            yield from private(body)
        yield from private(node.orelse)
    else:
        for name in ("body", "handler", "left", "right", "block"):
            yield from private(getattr(node, name)) if hasattr(node, name) else ()


@pytest.mark.parametrize(
    "expression",
    [
        'secret("KEY")', "request.bearer", 'request.header["Authorization"]', 'request.header["PROXY-authorization"]',
        'request.header["Cookie"]', "request.cookie.session", 'all(request.header["authorization"])[0]',
        "request.header[request.method]", "lower(request.bearer)", '"x ${request.bearer}"', "key", '"${key}"',
        '[request.bearer][0]', "{ a: request.bearer }.a", 'request.bearer ?? "none"', '"none" ?? request.bearer',
        'if request.bearer == "x" then "a" else "b"', 'map("clients")[request.bearer]', "string(request.bearer == key)",
        '{ a: 1 }[request.bearer]', 'string(1 + length(request.bearer))', "string(request.bearer in [key])",
    ],
)  # fmt: skip
def test_what_is_made_of_a_private_value_is_private(expression: str) -> None:
    assert logged(f'    log "${{{expression}}}"', 'let key = secret("KEY")') == [True]


@pytest.mark.parametrize(
    "expression",
    ["request.method", 'request.header["X-Api-Key"]', "path.id", "user.id", "client.ip", "reveal(request.bearer)",
     'map("clients").k1.id', "response.status", "request.query.a", "string(now)"],
)  # fmt: skip
def test_other_values_are_not(expression: str) -> None:
    assert logged(f'    route orders\n    log "${{{expression}}}"') == [False]


def test_set_cookie_of_a_response() -> None:
    assert logged('    route orders\n    log "${response.header["set-cookie"]} x"') == [True]


def test_names_carry_it() -> None:
    body = """
    let token = request.bearer
    let copy = lower(token)
    let shown = reveal(copy)
    let private account = path.id
    log token
    log copy
    log shown
    log account
    """
    assert logged(body) == [True, True, False, True]


def test_set_makes_a_name_private_from_there_on() -> None:
    body = """
    let note = "a"
    log note
    set note = "${request.bearer}"
    log note
    """
    assert logged(body) == [False, True]


def test_what_a_later_round_reads_is_private_in_every_round() -> None:
    body = """
    let first = "a"
    let second = "b"
    for x in [1, 2, 3] {
        log second
        set second = first
        set first = "${request.bearer}"
    }
    """
    assert logged(body) == [True]


@pytest.mark.parametrize(
    ("place", "reading"),
    [
        ('request.header["X-Token"]', 'request.header["x-token"]'), ("request.body", "request.text"),
        ("request.text", "request.json.a"), ("request.query.a", "request.query.a"), ("request.path", "request.path"),
        ("request.query", "request.query.b"), ("request.method", "request.method"),
        ("request.body", 'jsonpath("$.a", in: request)'), ('request.header["Content-Type"]', "request.content_type"),
        ("request.header[path.id]", 'request.header["X-Any"]'),
    ],
)  # fmt: skip
def test_messages_carry_it(place: str, reading: str) -> None:
    value = '"/${request.bearer}"' if place == "request.path" else '"${request.bearer}"'
    body = f'    log "${{{reading}}}"\n    set {place} = {value}\n    log "${{{reading}}}"'
    assert logged(body) == [False, True]


def test_other_parts_of_the_message_do_not() -> None:
    body = '    set request.header["X-Token"] = request.bearer\n    log "${request.header["X-Other"]} ${request.text}"'
    assert logged(body) == [False]


def test_outputs_carry_it() -> None:
    body = """
    api_key request.bearer, in: map("clients") -> caller
    api_key path.id, in: map("clients") -> other
    api_key path.id, in: map("clients") -> private third
    log "${caller.id}"
    log "${other.id}"
    log "${third.id}"
    """
    assert logged(body) == [True, False, True]


def test_calls_of_users_assertions_carry_it() -> None:
    before = """
    assertion made_of(text: string) -> result { let result = "<${text}>" }
    assertion hidden(text: string) -> private result { let result = text }
    assertion takes(private text: string) -> result { let result = text }
    assertion apart(text: string) -> result { let result = "constant" }
    """
    body = """
    made_of path.id -> a
    made_of request.bearer ?? "none" -> b
    hidden path.id -> c
    takes path.id -> d
    apart path.id -> e
    log a
    log b
    log c
    log d
    log e
    """
    assert logged(body, before) == [False, True, True, True, False]


def test_branches_carry_it() -> None:
    body = """
    if request.method == "GET" { let a = "x" } else { let a = "${request.bearer}" }
    log a
    """
    assert logged(body) == [True]


def test_globals_carry_it_into_services_and_after_them() -> None:
    text = """
global before { set request.header["X-Token"] = request.bearer ?? "none" }
global after { log "${request.header["X-Body"]} ${request.header["X-Token"]}" }
service s "/" {
    log "${request.header["X-Token"]}"
    set request.header["X-Body"] = request.bearer ?? "none"
    respond 200
    on failure { log "${request.header["X-Body"]}" }
}
"""
    program = check_text(text).program
    assert program is not None
    assert list(private(program.services[0].body)) == [True]
    assert list(private(program.services[0].on_failure)) == [True]
    assert list(private(program.after[0])) == [True]
