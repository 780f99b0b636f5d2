"""What a policy may be in size: long chains, many mistakes, calls in calls; and how long checking takes."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from policylang.check import Checked, check_text
from policylang.source import Source
from policylang.syntax.parser import parse

PLENTY = 5.0
"""Seconds of processor time that are far too much for each of these."""
CLIENTS = {"clients.json": b'{ "k1": { "id": "ann", "contract": "gold" } }'}
HEAD = """
map clients, file: "clients.json"
let office = ["10.0.0.0/8", "192.168.0.0/16"]
upstream orders { server "http://127.0.0.1:9000" }
assertion guard(limit: rate, who: string) -> tag {
    rate_limit limit, per: who
    let tag = "g-${who}"
}
"""
SERVICE = """
service s%d "/s%d/{id}", methods: ["GET", "POST"] {
    api_key request.header["X-API-Key"], in: map("clients") -> caller
    let account = jsonpath("$.order.account", in: request)
    let note? = request.header["X-Note"]
    require caller.contract != "none" and request.method in ["GET", "POST"]
    match caller.contract {
        "platinum" -> rate_limit 1000/s, per: caller.id, burst: 2s
        "gold"     -> rate_limit 500/s, per: caller.id
        else       -> rate_limit 100/s, per: caller.id
    }
    if client.ip in office {
        set request.header["X-Office"] = "yes"
    } else {
        limit_size request, 1MB
    }
    any {
        require note == "x"
        require path.id matches r"^[a-z]+[0-9]*$"
    }
    guard 10/s, who: "a" -> tag
    try {
        route orders, path: "/items/${path.id}/${account}", timeout: 2s
    } catch e {
        fail e.status, "upstream: ${e.detail}"
    }
    set response.header["X-Account"] = "${account}-${tag}"
    if response.status in 500..599 { respond 502, json: { error: true, code: response.status } }
}
"""


def checked(text: str, files: dict[str, bytes] | None = None) -> Checked:
    began = time.process_time()
    found = check_text(text, files=files)
    assert time.process_time() - began < PLENTY
    return found


def large(lines: int) -> str:
    count = lines // SERVICE.count("\n") + 1
    return HEAD + "".join(SERVICE % (i, i) for i in range(count))


@pytest.fixture(autouse=True)
def as_pol_does() -> Iterator[None]:
    """`pol` collects no garbage. Here collecting would go through all that some thousand tests have left, and say
    nothing about checking."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_ten_thousand_lines_are_checked_in_three_seconds() -> None:
    text = large(10_000)
    check_text(large(30), files=CLIENTS)  # loads what is loaded once
    began = time.process_time()
    found = check_text(text, files=CLIENTS)
    took = time.process_time() - began
    assert found.program is not None
    assert len(found.program.services) > 300
    assert took < 3.0


def test_checking_takes_no_longer_than_twice_as_long_as_reading() -> None:
    text = large(3_000)
    check_text(large(30), files=CLIENTS)
    took = []
    for _ in range(3):
        began = time.process_time()
        parse(Source("large.pol", text))
        middle = time.process_time()
        check_text(text, files=CLIENTS)  # reads it, too
        took.append((time.process_time() - middle) / (middle - began))
    assert min(took) < 4


def test_a_chain_of_constants() -> None:
    text = "".join(f"let a{i} = a{i + 1}\n" for i in range(3000)) + 'let a3000 = "end"\n'
    found = checked(text + 'service s "/" { respond 200, body: a0 }')
    assert found.program is not None
    assert found.program.services[0].body.statements[0].body.value == "end"  # type: ignore[attr-defined]


def test_a_large_circle_of_constants() -> None:
    text = "".join(f"let a{i} = a{(i + 1) % 2000}\n" for i in range(2000))
    found = checked(text + 'service s "/" { respond 200 }')
    assert {d.name for d in found.diagnostics} == {"recursive-constant"}
    assert all(len(d.help) < 200 for d in found.diagnostics)


def test_a_chain_of_imports() -> None:
    files = {f"{i}.pol": f'import "{i + 1}.pol"\n'.encode() for i in range(2000)} | {"2000.pol": b'let x = "end"\n'}
    assert checked('import "0.pol"\nservice s "/" { respond 200, body: x }', files).program is not None


def test_a_chain_of_assertions_has_an_end() -> None:
    text = "".join(f"assertion a{i} {{ a{i + 1} }}\n" for i in range(2000)) + "assertion a2000 { ignore }\n"
    found = checked(f'{text}service s "/" {{\n    a0\n    a1980\n    respond 200\n}}\n')
    assert [(d.name, d.span.text) for d in found.diagnostics] == [("expansion-too-large", "a0")]


def test_assertions_that_multiply_have_an_end() -> None:
    text = "".join(f"assertion a{i} {{\n{f'    a{i + 1}' + chr(10)}{f'    a{i + 1}' + chr(10)}}}\n" for i in range(30))
    found = checked(text + 'assertion a30 { ignore }\nservice s "/" {\n    a0\n    respond 200\n}\n')
    assert [(d.name, d.span.text) for d in found.diagnostics] == [("expansion-too-large", "a0")]


def test_deep_blocks_in_deep_calls_have_an_end() -> None:
    deep, end = "all { " * 30, " }" * 30
    text = "".join(f"assertion a{i} {{ {deep}a{i + 1}{end} }}\n" for i in range(31)) + "assertion a31 { ignore }\n"
    found = checked(text + 'service s "/" {\n    log x\n    a0\n    log y\n    respond 200\n}\n')
    assert [d.name for d in found.diagnostics] in (
        ["unknown-name", "too-deep", "unknown-name"], ["unknown-name", "unknown-name"],
    )  # fmt: skip


def test_many_mistakes() -> None:
    upstreams = "".join(f'upstream some_upstream_{i} {{ server "http://127.0.0.1:9000" }}\n' for i in range(2000))
    services = "".join(f'service s{i} "/s{i}" {{ route other_upstream_{i} }}\n' for i in range(2000))
    found = checked(upstreams + services)
    assert len(found.diagnostics) == 2000
    assert {d.name for d in found.diagnostics} == {"unknown-upstream"}


def test_many_names() -> None:
    text = "".join(f"    let a{i} = {i}\n    if a{i} == 1 {{ log \"x\" }}\n" for i in range(1500))
    assert checked(f'service s "/" {{\n{text}    respond 200\n}}\n').program is not None


@pytest.mark.parametrize("depth", [10, 25, 45])
def test_nested_branches(depth: int) -> None:
    text = "if true { " * depth + "let x = 1" + " }" * depth
    found = checked(f'service s "/" {{\n    {text}\n    log "${{x}}"\n    respond 200\n}}\n')
    assert {d.name for d in found.diagnostics} <= {"unset-variable", "too-deep", "unknown-name"}
    assert found.diagnostics


def test_loops_in_loops_settle() -> None:
    names = [f"n{i}" for i in range(12)]
    lets = "".join(f'    let {name} = "a"\n' for name in names)
    moves = "".join(f"        set {a} = {b}\n" for a, b in pairwise(names))
    opening, closing = "", ""
    for depth in range(6):
        opening += f"    for i{depth} in [1, 2] {{\n"
        closing += "    }\n"
    body = f'{lets}{opening}{moves}        set {names[-1]} = "${{request.bearer}}"\n{closing}    log n0\n'
    found = checked(f'service s "/" {{\n{body}    respond 200\n}}\n')
    assert found.program is not None
    assert found.program.services[0].body.statements[-2].args[0].value.private  # type: ignore[attr-defined]
