"""What is private, or came as a credential, stands in no document, no picture and no answer of the tools."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from traced import Traced, offline

from policylang.sdk.bench import make_fields
from policylang.testing.stubs import Planned
from policylang.trace.conversation import Conversation
from policylang.trace.incoming import Incoming
from policylang.trace.offline import Offline
from policylang.trace.picture import picture

TOKEN, PASSWORD, SESSION, KEY = "tok-5f3a9c1e7b", "pass-77ab03", "sess-19cc42d8", "key-of-zoe-1"
BASIC = base64.b64encode(f"zoe:{PASSWORD}".encode()).decode()
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Cookie": f'session="{SESSION}"; theme=dark'}
WITH_KEY = {**HEADERS, "X-Pass": KEY}
CLIENTS = {"clients.json": json.dumps({KEY: {"id": "zoe"}, TOKEN: {"id": "tom"}}).encode()}
MAP = 'map clients, file: "clients.json"\n'


def told(
    text: str, before: str = MAP, path: str = "/7", headers: dict[str, str] | None = None, body: bytes = b""
) -> str:
    """All that the tools say of an exchange: its document, its picture, what its upstream received, its answer."""
    world = offline(f'{before}service s "/**" {{\n{text}\n}}\n', CLIENTS, {"KEY": "config-secret-1"})
    asked = Incoming()
    asked.ask_for(path)
    asked.body = body
    for name, value in (HEADERS if headers is None else headers).items():
        asked.add_field(name, value)
    document = world.send(asked).document
    return json.dumps(document) + picture(document, ()) + picture(document, world.program.sources, True)


def clean(text: str) -> None:
    for secret in (TOKEN, PASSWORD, BASIC, SESSION, KEY, "config-secret-1"):
        assert secret not in text, secret


@pytest.mark.parametrize(
    "expression",
    [
        'secret("KEY")', 'request.bearer ?? ""', 'request.header["Authorization"]', 'request.header["Cookie"]',
        "request.cookie.session", 'all(request.header["authorization"])[0]', 'lower(request.bearer ?? "")',
        'request.header["${lower("AUTHORIZATION")}"]', '"x ${request.bearer}"', "[request.bearer][0]",
        "[{ a: request.bearer }][0].a", "key", 'substring(request.bearer ?? "", 0, 20)', 'reveal(request.bearer ?? "")',
        'request.bearer ?? "x"',
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "statement",
    [
        "let a = {}\nrequire \"${{a}}\" != \"x\"", "let a = {}\nlet b = a\nset request.header[\"X-B\"] = \"${{b}}\"",
        "require {} == none", "match {} {{ \"a\" -> ignore\n else -> ignore }}",
        "for a in [{}] {{ log \"${{a ?? \"-\"}}\" }}", "set request.path = \"/${{{}}}\"", "log \"${{{}}}\"",
        "rate_limit 5/s, per: {}", "api_key {}, in: map(\"clients\") -> caller\nlog \"${{caller.id}}\"",
        "fail 403, \"${{{}}}\"", "give {} -> b\nlet c = b", "respond 200, json: {}",
        "respond 200, header: {{ \"X-A\": \"${{{}}}\" }}", "set request.json = {}",
        "route one, query: {{ a: {} }}", "let private a = request.method\nset request.body = \"${{a}}${{{}}}\"",
    ],
)  # fmt: skip
def test_private_expressions_wherever_they_stand(statement: str, expression: str) -> None:
    given = MAP + 'let key = secret("KEY")\nassertion give(text: string) -> out { let out = text }\n'
    body = statement.format(expression)
    if "route" not in body and "respond" not in body and "fail" not in body:
        body += "\nroute one"
    text = told(body, given)
    clean(text)
    assert "[private]" in text or expression in ('secret("KEY")', "key")  # a constant is not read


def test_what_is_worked_out_of_something_private_is_so_too() -> None:
    hashed = "b2f1"  # the bytes in the middle of the digest below
    body = 'let a = sha256(request.bearer ?? "")\nlet b = "${a}"\nset request.header["X-B"] = b\nroute one'
    from hashlib import sha256

    digest = sha256(TOKEN.encode()).hexdigest()
    assert hashed not in digest
    for text in (told(body), told('respond 200, body: sha256(request.bearer ?? "")'),
                 told('route one, path: "/${sha256(request.bearer ?? "")}"')):  # fmt: skip
        assert digest not in text and "[private]" in text


def test_a_field_that_somebody_authenticates_by_is_a_credential_everywhere() -> None:
    clean(told('let plain = request.header["X-Pass"]\nlimit_size request, 1MB\nrequire plain != "a"\n'
               'api_key plain, in: map("clients") -> caller\nlog "${caller.id}"\nroute one',
               headers=WITH_KEY))  # fmt: skip


def test_also_where_it_is_never_come_to() -> None:
    text = told('let plain = request.header["X-Pass"]\nfail 403\n}\nservice t "/t" {\n'
                'api_key request.header["X-Pass"], in: map("clients")\nroute one', headers=WITH_KEY)  # fmt: skip
    clean(text)


def test_a_query_is_shown_without_its_credentials() -> None:
    text = told("route one", path=f"/7?api_key={KEY}&a=1&b={TOKEN}&token=x7", headers=HEADERS)
    clean(text)
    assert "api_key=[private]&a=1&b=[private]&token=[private]" in text


def test_a_path_is_shown_without_them() -> None:
    text = told("route one", path=f"/{TOKEN}/7")
    clean(text)
    assert "/[private]/7" in text


@pytest.mark.parametrize(
    ("key", "path", "body"),
    [("path.key", f"/keys/{KEY}", b""), ("request.json.key", "/keys/x", json.dumps({"key": KEY}).encode()),
     ("request.json.in.side", "/keys/x", json.dumps({"in": {"side": KEY}}).encode()),
     ("request.query.other", f"/keys/x?other={KEY}", b""),
     ("given.in.side", "/keys/x", json.dumps({"in": {"side": KEY}}).encode())],
)  # fmt: skip
def test_credentials_of_the_path_and_the_body(key: str, path: str, body: bytes) -> None:
    world = offline(f'{MAP}service s "/keys/{{key}}" {{\nlet given = request.json\n'
                    f'api_key {key} ?? "", in: map("clients") -> caller\n'
                    'let again = path.key\nlet whole = request.json\nlog "${caller.id}"\nroute one\n}\n',
                    CLIENTS)  # fmt: skip
    asked = Incoming()
    asked.ask_for(path)
    asked.body = body or b"{}"
    document = world.send(asked).document
    assert document["user"] == "zoe"
    clean(json.dumps(document) + picture(document, world.program.sources))


@pytest.mark.parametrize("gone", ["set request.json = {{}}", 'set request.body = "-"', "remove request.query.other"])
def test_credentials_that_are_taken_out_before_it_goes_on(gone: str) -> None:
    text = told('let plain? = request.json.key\nlet other? = request.query.other\n'
                'api_key request.json.key ?? "", in: map("clients")\n'
                'api_key request.query.other ?? "", in: map("clients")\n' + gone.format() + "\nroute one",
                path=f"/7?other={KEY}", headers={}, body=json.dumps({"key": KEY}).encode())  # fmt: skip
    clean(text)
    assert "request.json.key = [private]" in text


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (rb'{"key": "key-of\u002dzoe-1", "n": [1]}', "application/json", '{"key": "[private]", "n": [1]}'),
        (b'{"a": "x", "key": 1, "key": ["y"]}', "application/json", '{"a": "x", "key": 1, "key": ["y"]}'),
        (b'{"key": "key-of-zoe-1", "key": 1} ', "application/json", None),
        (b"a=1&key=key%2Dof%2Dzoe%2D1&b=x", "application/x-www-form-urlencoded", "a=1&key=[private]&b=x"),
        (b"a=1&password=short", "application/x-www-form-urlencoded", "a=1&password=[private]"),
        (b"a key%2Dof%2Dzoe%2D1", "text/plain", "[private]"),
        (b"<a>key-of&#45;zoe-1</a>", "application/xml", "[private]"),
        (b"<a>key-of-zoe-1</a>", "application/xml", "<a>[private]</a>"),
        (b"[1e400, " + b"9" * 5000 + b"]", "application/json", None),
        (b"[" * 100_000, "application/json", None),
    ],
)  # fmt: skip
def test_bodies_that_write_a_credential_in_their_own_way(body: bytes, kind: str, expected: str | None) -> None:
    world = offline(f'{MAP}service s "/**" {{\napi_key request.header["X-Pass"], in: map("clients")\nroute one\n}}\n',
                    CLIENTS)  # fmt: skip
    asked = Incoming()
    asked.method, asked.body = "POST", body
    asked.add_field("X-Pass", KEY)
    asked.add_field("Content-Type", kind)
    (call,) = world.send(asked).document["received"]
    clean(json.dumps(call))
    assert expected is None or call["body"] == expected


def test_a_query_that_nobody_can_read() -> None:
    text = told("route one", path=f"/7?token=%ff{KEY}&a=1")
    clean(text)
    assert "token=[private]&a=1" in text


def test_what_an_upstream_repeats_of_a_secret() -> None:
    body = 'route one, query: { k: secret("KEY") }'
    checked = offline(f'service s "/**" {{\n{body}\n}}\n', None, {"KEY": "config-secret-1"}).program
    world = Offline(checked, {"one": [Planned(200, (), b"you have sent config-secret-1 to me")]})
    asked = Incoming()
    text = json.dumps(world.send(asked).document)
    clean(text)
    assert "you have sent [private] to me" in text


def test_what_an_upstream_repeats_of_a_cookie_that_it_sets() -> None:
    checked = offline('service s "/**" {\nroute one\n}\n').program
    fields = make_fields({"Set-Cookie": f"id={SESSION}; Path=/", "X-Id": SESSION, "X-Path": "Path=/"})
    world = Offline(checked, {"one": [Planned(200, tuple(fields), f"welcome {SESSION}".encode())]})
    answer = world.send(Incoming()).document["answer"]
    clean(json.dumps(answer))
    assert answer["body"] == "welcome [private]" and ["X-Path", "Path=/"] in answer["fields"]


def test_an_address_and_a_host_are_no_credentials() -> None:
    text = told('require "${request.host} ${client.ip}" != secret("KEY")\n'
                'require request.host != secret("KEY")\nroute one')  # fmt: skip
    assert "host api.example" in text and "client 192.0.2.1" in text and "Host: api.example" in text


def test_private_and_other_values_of_one_statement_are_told_apart() -> None:
    found = Traced('require request.bearer == "x" or request.method == "GET"\nrespond 200')
    assert found.entry("require")["reads"] == {"request.bearer": "[private]", "request.method": '"GET"'}


def test_basic_credentials() -> None:
    clean(told('let a = request.header["Authorization"]\nset request.header["X-A"] = "${a}"\nroute one',
               headers={"Authorization": f"Basic {BASIC}"}))  # fmt: skip


def test_set_cookie_and_a_body_that_repeats_a_credential() -> None:
    text = told('respond 200, body: "you sent ${reveal(request.bearer ?? "")}",\n'
                'header: { "Set-Cookie": "session=${request.cookie.session}" }')  # fmt: skip
    clean(text)
    assert "you sent [private]" in text


def test_a_body_of_private_parts() -> None:
    text = told('let private note = "n-${request.method}"\nset request.json = { note: note }\nroute one')
    assert "n-GET" not in text


def test_details_of_failures_that_quote() -> None:
    clean(told('fail 403, "not ${reveal(request.bearer ?? "")}"'))


def test_what_is_not_private_is_shown() -> None:
    found = Traced('let private a = request.header["X-A"]\nlet b = request.header["X-B"]\nrespond 200',
                   headers={"X-A": "1", "X-B": "2"})  # fmt: skip
    assert found.entries[1]["binds"] == {"b": '"2"'}
    assert found.entries[0]["binds"] == {"a": "[private]"}


def test_outputs_that_were_bound_as_private() -> None:
    found = Traced('tell.both "abc" -> private first, second\ntell.key per: request.bearer -> hex\nrespond 200',
                   headers={"Authorization": "Bearer t"})  # fmt: skip
    assert found.entries[0]["binds"] == {"first": "[private]", "second": "3"}
    assert found.entries[1]["binds"] == {"hex": "[private]"}


def test_a_conversation_does_not_show_them_either() -> None:
    world = offline(MAP + 'let key = secret("KEY")\nservice s "/**" {\napi_key request.header["X-Pass"], in: '
                    'map("clients") -> caller\nroute one\n}\n', CLIENTS, {"KEY": "config-secret-1"})  # fmt: skip
    asked = Incoming()
    asked.ask_for(f"/7?token={TOKEN}")
    for name, value in WITH_KEY.items():
        asked.add_field(name, value)
    talk = Conversation(world, asked, lambda words: asked)
    assert talk.answer("sha256(request.bearer ?? \"\")") == "[private]"
    assert talk.answer("let private m = request.method") == "passed\n    m = [private]"
    assert talk.answer("m") == "[private]"
    said = [talk.answer(line) for line in (
        "request.bearer", "lower(request.bearer)", "let a = request.bearer", "a", "request.header[\"X-Pass\"]",
        "request.query.token", "request.cookie.session", "key", ":request", ":names", ":send", "caller", ":tree",
        "fail 403, \"${request.bearer}\"", "request.header", "reveal(request.bearer ?? \"\")",
        "respond 200, body: request.bearer", "response.text", "response.json",
    )]  # fmt: skip
    clean("\n".join(said))
    assert said[0] == said[1] == said[3] == "[private]"


@pytest.mark.parametrize(
    "statement",
    [
        'require same_secret(secret("KEY"), request.header["X-Sign"])',
        'require request.header["X-Sign"] == secret("KEY")', 'require secret("KEY") != request.header["X-Sign"]',
        'require request.header["X-Sign"] in [secret("KEY")]',
        'let expected = sha256(secret("KEY"))\nlet sign? = request.header["X-Sign"]\n'
        'require sign != none\nrequire expected == sign or same_secret(sign, secret("KEY"))',
    ],
)  # fmt: skip
def test_what_is_held_against_a_secret_may_be_it(statement: str) -> None:
    text = told(f"{statement}\nroute one", headers={"X-Sign": "config-secret-1"})
    clean(text)
    assert "[private]" in text
    text = told(f"{statement}\nroute one", headers={"X-Sign": "a-good-guess-2"})
    assert "a-good-guess-2" not in text
