"""`pol run` as it is called."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from policylang.tools.main import run

SHOP = """\
map clients, file: "clients.json"

upstream orders {
    server "http://127.0.0.1:9000"
}

service orders "/orders/{id}" {
    api_key request.header["X-Key"], in: map("clients") -> caller
    rate_limit 2/s, per: caller.id
    set request.header["X-Client"] = caller.id
    remove request.header["X-Key"]
    route orders, path: "/v1/${path.id}", timeout: 2s
}

service echo "/echo" {
    respond 201, json: request.json, header: { "X-A": "b" }
}

service clock "/clock" {
    respond 200, body: "${now}"
}
"""
CLIENTS = '{ "k-ann": { "id": "ann" } }'


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.pol").write_text(SHOP)
    (tmp_path / "clients.json").write_text(CLIENTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Pol:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        """Standard output, without times and hashes; with another code than 0 standard error."""
        assert run([*words]) == code
        out, error = self._capsys.readouterr()
        if code:
            assert not out, out
        else:
            assert not error, error
        text = re.sub(r" +[0-9.]+ (µs|ms)$", "", out if not code else error, flags=re.M)
        return re.sub(r"policy [0-9a-f]{12}", "policy 0123456789ab", text)


@pytest.fixture
def pol(capsys: pytest.CaptureFixture[str]) -> Pol:
    return Pol(capsys)


def test_the_annotated_tree_what_the_upstream_received_and_the_verdict(shop: Path, pol: Pol) -> None:
    assert pol("run", "shop.pol", "/orders/7?a=1", "-H", "X-Key: k-ann") == """\
GET /orders/7?a=1
client 192.0.2.1, host api.example, user ann, service orders, policy 0123456789ab

  --> shop.pol:7
 7   | service orders "/orders/{id}" {
 8 ✓ |     api_key request.header["X-Key"], in: map("clients") -> caller
     |         request.header["X-Key"] = [private]   -> caller = { id: "ann" }
 9 ✓ |     rate_limit 2/s, per: caller.id                      caller.id = "ann"
10 ✓ |     set request.header["X-Client"] = caller.id
     |         caller.id = "ann"   -> request.header["X-Client"] = "ann"
11 ✓ |     remove request.header["X-Key"]
12 ✓ |     route orders, path: "/v1/${path.id}", timeout: 2s   path.id = "7"
13   | }

orders received GET /v1/7?a=1
    Host: api.example
    Via: 1.1 polgate
    Forwarded: for=192.0.2.1;host=api.example;proto=http
    X-Forwarded-For: 192.0.2.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: api.example
    X-Request-ID: 00000001
    User-Agent: pol
    Accept: */*
    X-Client: ann

=> 200
"""


def test_a_refusal(shop: Path, pol: Pol) -> None:
    lines = pol("run", "shop.pol", "/orders/7", "-H", "X-Key: k-eve-long").splitlines()
    place = lines.index(f"     |     {'^' * 61} 401 unknown-api-key: nobody has this API key")
    assert lines[place - 1].startswith(' 8 ✗ |     api_key request.header["X-Key"], in: map("clients") -> caller')
    assert " 9 · |     rate_limit 2/s, per: caller.id" in lines
    assert lines[-1] == "=> 401 unknown-api-key: nobody has this API key"


def test_several_requests_and_the_last_of_them(shop: Path, pol: Pol) -> None:
    text = pol("run", "shop.pol", "/orders/7", "-H", "X-Key: k-ann", "--repeat", "5", "--upstream", "orders=503")
    assert text.startswith("1 to 2  503\n3 to 5  429 rate-exceeded: more than 2/s\n\nGET /orders/7\n")
    assert text.endswith("=> 429 rate-exceeded: more than 2/s\n")


def test_the_answer_as_curl_shows_it(shop: Path, pol: Pol) -> None:
    assert pol("run", "shop.pol", "/echo", "--json", '{"a": [1]}', "-i") == """\
HTTP/1.1 201 Created
Content-Type: application/json
X-A: b
Content-Length: 9

{"a":[1]}
"""
    text = pol("run", "shop.pol", "/orders/7", "-i")
    assert text.startswith("HTTP/1.1 401 Unauthorized\nContent-Type: application/problem+json\n")
    assert "\n\n{" in text
    assert pol("run", "shop.pol", "/echo", "-I", "-i").startswith("HTTP/1.1 400 Bad Request\n")


def test_a_request_of_a_file_and_of_standard_input(shop: Path, pol: Pol, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "req.http").write_text('POST /echo\nContent-Type: application/json\n\n"text"\n')
    assert pol("run", "shop.pol", "--request", "req.http", "-i").endswith('\n\n"text"\n')

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"POST /echo\n\n[1]\n")))
    assert pol("run", "shop.pol", "--request", "-", "-i").endswith("\n\n[1]\n")


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        ("200", 200, "{}"), ("204", 204, ""), ("503", 503, ""), ('200:{"a": 1}', 200, '{"a": 1}'),
        ("404:", 404, ""), ("200:x:y", 200, "x:y"), ("200@body.xml", 200, "<a/>"), ("200:@body.xml", 200, "<a/>"),
    ],
)  # fmt: skip
def test_what_an_upstream_answers(shop: Path, pol: Pol, said: str, status: int, body: str) -> None:
    (shop / "body.xml").write_text("<a/>")
    words = ["run", "shop.pol", "/orders/7", "-H", "X-Key: k-ann", "--upstream", f"orders={said}"]
    found = json.loads(pol(*words, "--format", "json"))
    assert (found["status"], found["answer"].get("body", "")) == (status, body)


@pytest.mark.parametrize(
    ("how", "expected", "elapsed"),
    [("unreachable", "502 upstream-unreachable", 0), ("timeout", "504 upstream-timeout", 2 * 10**9),
     ("broken", "502 upstream-broken", 0)],
)  # fmt: skip
def test_upstreams_that_fail(shop: Path, pol: Pol, how: str, expected: str, elapsed: int) -> None:
    words = ["run", "shop.pol", "/orders/7", "-H", "X-Key: k-ann", "--upstream", f"orders={how}"]
    assert f"=> {expected}" in pol(*words)
    assert json.loads(pol(*words, "--format", "json"))["elapsed"] == elapsed


def test_answers_in_turn(shop: Path, pol: Pol) -> None:
    words = ["run", "shop.pol", "/orders/7", "-H", "X-Key: k-ann", "--repeat", "3", "--format", "json"]
    lines = pol(*words, "--upstream", "orders=500", "--upstream", "orders=201").splitlines()
    assert [json.loads(line)["status"] for line in lines] == [500, 201, 429]


def test_it_is_now_unless_something_else_is_said(shop: Path, pol: Pol) -> None:
    shown = pol("run", "shop.pol", "/clock", "-i").split("\n\n")[1].strip()
    assert abs(datetime.fromisoformat(shown).timestamp() - datetime.now().timestamp()) < 60


@pytest.mark.parametrize(
    ("at", "body"),
    [("2026-03-31T23:59:58", "2026-03-31T23:59:58.000Z"), ("2026-03-31T23:59:58+02:00", "2026-03-31T21:59:58.000Z"),
     ("2026-03-31", "2026-03-31T00:00:00.000Z")],
)  # fmt: skip
def test_what_time_it_is(shop: Path, pol: Pol, at: str, body: str) -> None:
    assert pol("run", "shop.pol", "/clock", "-i", "--at", at).endswith(f"\n\n{body}\n")


def test_the_document(shop: Path, pol: Pol) -> None:
    found: dict[str, Any] = json.loads(pol("run", "shop.pol", "/orders/7", "-H", "X-Key: k-ann", "--format", "json"))
    (call,) = found["received"]
    assert call == {
        "upstream": "orders", "copy": False, "method": "GET", "target": "/v1/7", "host": "api.example",
        "fields": [["Host", "api.example"], ["Via", "1.1 polgate"],
                   ["Forwarded", "for=192.0.2.1;host=api.example;proto=http"], ["X-Forwarded-For", "192.0.2.1"],
                   ["X-Forwarded-Proto", "http"], ["X-Forwarded-Host", "api.example"], ["X-Request-ID", "00000001"],
                   ["User-Agent", "pol"], ["Accept", "*/*"], ["X-Client", "ann"]],
    }  # fmt: skip
    assert found["answer"]["status"] == 200


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["/x", "--repeat", "0"], "`--repeat 0` is no number from 1 to 100000"),
        (["/x", "--at", "noon"], "`--at noon` is no time: write it as 2026-03-31T23:59:58"),
        (["/x", "--upstream", "orders"], "`--upstream orders` is no `NAME=STATUS`"),
        (["/x", "--upstream", "order=200"], "the policy has no upstream `order`: did you mean `orders`?"),
        (["/x", "--upstream", "zzzzz=200"], "the policy has no upstream `zzzzz`: it has `orders`"),
        (["/x", "--upstream", "orders=100"],
         "`--upstream orders=100` has no status from 200 to 599: write `NAME=503`, or NAME=unreachable"),
        (["/x", "-X", "G E T"], "`G E T` is no method: it is one word, as in `PATCH`"),
        (["/x", "--at", "\x1b[31m"], "`--at \ufffd[31m` is no time: write it as 2026-03-31T23:59:58"),
        ([], "nothing is asked for: give a path or a URL, or `--request FILE`"),
    ],
)  # fmt: skip
def test_wrong_words(shop: Path, pol: Pol, words: list[str], message: str) -> None:
    assert pol("run", "shop.pol", *words, code=2) == f"pol: {message}\n"


def test_a_file_that_is_not_there(shop: Path, pol: Pol) -> None:
    said = pol("run", "shop.pol", "/x", "-d", "@nothing", code=2)
    assert said == "pol: cannot read `nothing`: no such file or directory\n"


def test_a_policy_that_is_wrong(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "wrong.pol").write_text('service s "/" { rout orders }\n')
    assert run(["run", "wrong.pol", "/"]) == 1
    assert "error[unknown-assertion]" in capsys.readouterr().out


def test_a_defect_of_ours_is_told_and_drawn(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(self: object, exchange: object, call: object) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr("policylang.testing.stubs.StubbedUpstream.send", send)
    assert run(["run", "shop.pol", "/orders/7", "-H", "X-Key: k-ann"]) == 3
    out, error = capsys.readouterr()
    assert "^^^^ 500 defect" in out
    assert error.startswith("pol: a defect of ours: ZeroDivisionError: of nothing\nplease report it")


# --- `pol explain --journal` ---


def test_a_journal_drawn_again(shop: Path, pol: Pol) -> None:
    words = ["run", "shop.pol", "/orders/7", "-H", "X-Key: k-ann"]
    (shop / "journal").write_text(pol(*words, "--format", "json", "--repeat", "2"))
    text = pol("explain", "--journal", "journal")
    one, two = text.split("\n" + "-" * 78 + "\n\n")
    assert one == two.replace("00000002", "00000001") == pol(*words)


def test_a_policy_that_is_elsewhere_or_another_now(
    shop: Path, pol: Pol, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "journal").write_text(pol("run", "shop.pol", "/orders/7", "--format", "json"))
    (shop / "elsewhere").mkdir()
    monkeypatch.chdir(shop / "elsewhere")
    assert run(["explain", "--journal", "../journal"]) == 0
    out, error = capsys.readouterr()
    assert "✗ | api_key  shop.pol:8:5" in out
    assert error == "pol: there is no `shop.pol` here: name the policy behind the journal, or start in its folder\n"
    assert "8 ✗ |     api_key request.header" in pol("explain", "--journal", "../journal", "../shop.pol")
    (shop / "shop.pol").write_text("# Another line.\n" + SHOP)
    assert run(["explain", "--journal", "../journal", "../shop.pol"]) == 0
    assert "this journal is of" in capsys.readouterr().err


def test_an_answers_head(shop: Path, pol: Pol) -> None:
    from policylang.trace.reading import to_field

    found = json.loads(pol("run", "shop.pol", "/clock", "--format", "json"))
    (shop / "head").write_bytes(b"HTTP/1.1 200 OK\r\nPolgate-Journal: " + to_field(found) + b"\r\n\r\n")
    assert pol("explain", "--journal", "head").startswith("GET /clock\n")


def test_what_is_no_journal(shop: Path, pol: Pol) -> None:
    (shop / "journal").write_text("{}")
    said = pol("explain", "--journal", "journal", code=2)
    assert said == "pol: this is no journal: it is no JSON object with a `version`\n"
