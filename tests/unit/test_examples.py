"""Every example on a page is right: it checks, and an example that compares is true."""

from __future__ import annotations

import re

import pytest

from policylang.catalog import load_catalog
from policylang.check import check_text
from policylang.sdk.bench import BenchEnvironment, StubUpstream, make_exchange, run
from policylang.tools.docs_command import DECLARATIONS, STATEMENTS
from policylang.tools.reference import special_and_plain, written_pages
from policylang.tree import compile_program

FILES = {"clients.json": b'{ "k1": { "id": "ann" } }', "page.html": b"<p>hello</p>\n"}
AROUND = """
map clients, file: "clients.json"
map sessions, ttl: 30m
upstream orders {{
    server "http://127.0.0.1:9000"
}}
upstream orders_next {{
    server "http://127.0.0.1:9001"
}}
service example "/example/{{id}}" {{
{body}
}}
"""
ENVIRON = {"API_HOST": "api.example", "SIGNING_KEY": "s3cret"}


def findings(body: str) -> list[str]:
    checked = check_text(AROUND.format(body=body), "example.pol", FILES, ENVIRON)
    return [f"{d.span}: {d.message}" for d in checked.diagnostics]


@pytest.mark.parametrize("name", sorted(load_catalog().assertions))
def test_an_assertions_example(name: str) -> None:
    text = load_catalog().assertions[name].example
    after_route = "route orders\n" + text
    assert not findings(text + "\nrespond 200") or not findings(after_route), findings(after_route)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statements_example(name: str) -> None:
    body = example(name)
    assert not findings(body + "\nrespond 200") or not findings(body), findings(body)


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_declarations_example(name: str) -> None:
    checked = check_text(example(name), "example.pol", FILES, ENVIRON)
    assert not [f"{d.span}: {d.message}" for d in checked.diagnostics]


def test_every_written_page_is_in_the_reference() -> None:
    assert sorted(written_pages()) == sorted([*STATEMENTS, *DECLARATIONS, "test"])


@pytest.mark.parametrize("name", sorted(special_and_plain()))
def test_a_functions_example(name: str) -> None:
    card = special_and_plain()[name]
    text = card.example
    compares = re.search(r" (==|!=|in) |^same_secret|^bool|^in_network", text) is not None
    statement = re.match(r"(let|set|require|respond|log|for) ", text) is not None
    body = text if statement else f"require {text}" if compares else f"let x? = {text}"
    assert not findings(body + "\nrespond 200") or not findings(body), findings(body)
    if not compares or statement:
        return
    program = check_text(AROUND.format(body=body + "\nrespond 200"), "example.pol", FILES, ENVIRON).program
    assert program is not None
    environment = BenchEnvironment(upstreams={"orders": StubUpstream()})
    exchange = make_exchange(environment, "GET", "/example/7?tag=a&tag=b")
    response = run(compile_program(program).handle(exchange), environment.clock)
    assert response.status == 200, (text, exchange.failure)


def example(name: str) -> str:
    found = re.search(r"```pol\n(.*?)```", written_pages()[name], re.S)
    assert found is not None
    return found[1]
