"""Expressions and statements that are asked of an exchange by somebody else than its policy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from traced import Traced

from policylang.diagnostics.text import render
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failed
from policylang.trace.expression import LONGEST, Floor, Wrong, question

POLICY = """
map clients, file: "clients.json"
let office = ["192.0.2.0/24"]
let salt = secret("SALT") ?? "none"
assertion short(text: string) -> out { let out = substring(text, 0, 1) }
global before { let early = 1 }
service s "/s/{id}" {
    let tier = request.header["X-Tier"]
    let private account = path.id
    short tier -> letter
    if tier == "gold" { let more = { a: [1, 2] } }
    require tier != "tin"
    route one
    limit_size response, 1MB
}
service t "/t" {
    respond 204
}
""".replace('let salt = secret("SALT") ?? "none"\n', "")
FILES = {"clients.json": b'{"k1": {"id": "ann"}}'}


def exchanged(path: str = "/s/7", tier: str | None = "gold", **request: Any) -> Traced:
    headers = {} if tier is None else {"X-Tier": tier}
    return Traced(POLICY, path=path, files=FILES, headers=headers, **request)


def value(text: str, found: Traced | None = None) -> Any:
    found = found or exchanged()
    return question(text, found.program, found.exchange.service)(found.exchange)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("response.status >= 200 and response.status < 300", True),
        ("response.status == 200", True), ("response.status", 200), ('response.header["X-From"]', "one"),
        ("failure == none", True), ('failure.name ?? "fine"', "fine"), ("client.ip in office", True),
        ('map("clients").k1.id', "ann"), ("user == none", True), ("service.name", "s"), ("path.id", "7"),
        ("tier", "gold"), ("more.a[1] + 1", 3), ("letter", "g"), ('account == "7"', True), ("early", 1),
        ('"${tier}-${path.id}"', "gold-7"), ("request.query.a", None), ("  1 + 1  ", 2), ("[1,\n2]", [1, 2]),
        ('tier matches r"^g"', True), ("length(request.text)", 0),
    ],
)  # fmt: skip
def test_what_an_exchange_says(text: str, expected: Any) -> None:
    assert value(text) == expected


def test_of_one_that_failed() -> None:
    found = exchanged(tier="tin")
    assert value('failure.status >= 400 and failure.name == "requirement-not-met"', found) is True
    assert value("response.status == 403", found) is True
    assert value("failure.line", found) == 11
    assert value("more", found) is None
    with pytest.raises(Failed, match="wrong-type"):
        question("failure.status > 1", found.program)(exchanged().exchange)


def test_of_one_that_never_ran() -> None:
    found = exchanged()
    fresh: Exchange = found.policy.exchange("GET", "/s/7")
    asked = question("tier", found.program, "s")
    with pytest.raises(Failed) as raised:
        asked(fresh)
    assert raised.value.failure.detail == "it reads what this exchange does not have"
    assert question("response.status == 200", found.program)(fresh) is False
    assert question("response.status", found.program)(fresh) is None
    with pytest.raises(Failed):
        question("response.status >= 500", found.program)(fresh)


def test_a_body_that_is_not_held() -> None:
    found = exchanged()
    fresh = found.policy.exchange("POST", "/s/7", body=b"{}", streams=True)
    asked = question("request.json.a == 1", found.program)
    assert asked.holds
    with pytest.raises(Failed):
        asked(fresh)


@pytest.mark.parametrize(
    ("text", "private"),
    [("request.bearer", True), ("account", True), ("tier", False), ('request.cookie.a == "1"', True),
     ("reveal(account)", False)],
)  # fmt: skip
def test_what_must_not_be_shown(text: str, private: bool) -> None:
    assert question(text, exchanged().program, "s").private is private


@pytest.mark.parametrize(
    ("text", "service", "name", "message"),
    [
        ("responce.status", "s", "unknown-name", "nothing here is called `responce`"),
        ("response.status == \"a\"", "s", "different-types", "`==` compares a number with a string"),
        ("request.header", "s", "unknown-member", "`request.header` needs the name of the one that is meant"),
        ("tier", "", "unknown-name", "nothing here is called `tier`"),
        ("tier", "t", "unknown-name", "nothing here is called `tier`"),
        ("path.id", "", "unknown-name", "`path` is known in a service only"),
        ("path.nr", "s", "unknown-capture", "the service's path captures no `nr`"),
        ("request", "s", "not-a-value", "`request` is a whole message, not a value"),
        ("", "s", "unexpected-text", "nothing is asked"),
        ("1 + ", "s", "missing-value", "expected a value after `+`, found the end of the file"),
        ("1 }", "s", "extra-brace", "this `}` closes nothing"),
        ("1\nlet y = 2", "s", "unexpected-text", "this is not one expression"),
        ("1\nservice u \"/u\" { respond 200 }", "s", "unexpected-text", "this is not one expression"),
        ("1 # c\nmap m, ttl: 1s", "s", "unexpected-text", "this is not one expression"),
        ("a" * (LONGEST + 1), "s", "unexpected-text", f"this has over {LONGEST} characters"),
        ("file(\"/etc/hostname\")", "s", "missing-file", "there is no file `/etc/hostname`"),
        ("map(\"others\")", "s", "unknown-map", "there is no map `others`"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(text: str, service: str, name: str, message: str) -> None:
    with pytest.raises(Wrong) as raised:
        question(text, exchanged().program, service)
    first = raised.value.diagnostics[0]
    assert (first.name, first.message) == (name, message)
    assert first.span.source.text in (text, text[:80])
    assert 0 <= first.span.start <= first.span.end <= len(text)


def test_a_mistake_is_shown_in_what_was_asked() -> None:
    with pytest.raises(Wrong) as raised:
        question("path.id == 1 or nowt", exchanged().program, "s")
    text = render(raised.value.diagnostics, more=False)
    assert "1 | path.id == 1 or nowt\n  | ^^^^^^^^^^^^" in text
    assert "  |                 ^^^^\n" in text


def test_the_environment_is_what_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "of ours")
    program = exchanged().program
    assert question('env("WORD")', program)(exchanged().exchange) == "of ours"
    with pytest.raises(Wrong, match="WORD"):
        question('env("WORD")', program, environ={})
    assert question('env("WORD")', program, environ={"WORD": "w"})(exchanged().exchange) == "w"


# --- statements ---


def test_statements_bind_what_later_ones_read() -> None:
    floor = Floor(exchanged().program, "s", variables=False)
    assert floor.names == []
    floor.statement("let a = request.method")
    floor.statement('short "xyz" -> a')
    floor.statement("let private b = a")
    assert floor.names == ["a", "b"]
    assert floor.expression("b").private


def test_a_wrong_statement_binds_nothing() -> None:
    floor = Floor(exchanged().program, "s")
    for text in ("let a = nothing", "let a = 1\nlet b = 2", "}", "service x \"/x\" { respond 200 }", "1 + 1",
                 "on failure { respond 200 }"):  # fmt: skip
        with pytest.raises(Wrong):
            floor.statement(text)
        assert "a" not in floor.names


def test_after_respond_and_fail_there_is_more_to_say() -> None:
    floor = Floor(exchanged().program, "s")
    floor.statement("respond 200")
    floor.statement("fail 403")
    floor.statement("let a = 1")
