"""Each word of a test does what its page says."""

from __future__ import annotations

import re

import pytest
from workbench.suites import CLIENTS, ORDERS, passes, results, suite_of, wrong

from policylang.check import check_text
from policylang.diagnostics.text import render
from policylang.testing.vocabulary import CARDS, GIVEN
from policylang.tools.reference import page, written_pages

ECHO = """
upstream orders { server "http://127.0.0.1:9000" }
service echo "/**" {
    respond 200, json: {
        method: request.method, path: request.path, host: request.host, scheme: request.scheme, ip: client.ip,
        a: request.query.a, x: request.header["X-A"], all: all(request.header["X-A"]), type: request.content_type,
        text: request.text, node: gateway.node, length: request.header["Content-Length"],
    }, header: { "X-B": "b" }
}
"""


def test_the_contracts_example_runs_as_it_stands() -> None:
    found = re.search(r"```pol\n(.*?)```", written_pages()["test"], re.S)
    assert found is not None
    first, *rows = results(found[1].replace('import "orders.pol"\n', ""))
    assert (first.outcome, first.requests) == ("passed", 502)
    assert [(row.name, row.outcome) for row in rows] == [
        ("a request without a key is answered 401", "passed"),
        ("a request with a key that nobody has is answered 401", "passed"),
    ]


PAGED = """
map clients, file: "clients.json"
upstream orders {{ server "http://127.0.0.1:9000" }}
upstream prices {{ server "http://127.0.0.1:9001" }}
service whole "/**" {{
    let a? = env("REGION", default: "eu")
    let private b? = secret("SIGNING_KEY")
    let c? = file("page.html")
    let d? = map("clients")[request.path]
    route orders
}}
"""


@pytest.mark.parametrize("name", [*CARDS, *[card.name for card in GIVEN.values()]])
def test_the_example_on_the_page_of(name: str) -> None:
    card = CARDS.get(name) or GIVEN[name.removeprefix("given ")]
    before = "" if name == "stub" else "stub orders, status: 200\n"
    before += 'get "/"\n' if name == "expect" else ""
    files = {"page.html": b"<p>"}
    (result,) = results('test "it" {\n' + before + card.example + "\n}", PAGED.format(), files, {"SIGNING_KEY": "s"})
    assert result.outcome == "passed", render(result.findings)
    assert card.doc in (page(name) or "")


def test_what_can_be_given_is_on_one_page() -> None:
    text = page("given") or ""
    assert all(f"# {card.name}\n" in text for card in GIVEN.values())


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_methods(method: str) -> None:
    passes(
        f"""
        {method} "/a/b?a=1"
        expect response.json.method == "{method.upper()}" and response.json.path == "/a/b" and response.json.a == "1"
        """,
        ECHO,
    )


def test_head_has_no_body_and_any_method_can_be_sent() -> None:
    passes(
        """
        head "/"
        expect response.status == 200 and response.text == "" and response.header["X-B"] == "b"
        send "PROPFIND", "/"
        expect response.json.method == "PROPFIND"
        """,
        ECHO,
    )


def test_what_a_request_says() -> None:
    passes(
        """
        get "/"
        expect response.json.ip == "192.0.2.1" and response.json.host == "api.example"
        expect response.json.scheme == "http" and response.json.node == "gateway"
        expect response.json.type == none and response.json.x == none
        post "/x", from: "2001:db8::7", host: "shop.example", scheme: "https", json: { a: [1, none] },
             header: { "X-A": ["1", "2"], "X-None": none }
        expect response.json.ip == "2001:db8::7" and response.json.host == "shop.example"
        expect response.json.scheme == "https" and response.json.all == ["1", "2"]
        expect response.json.type == "application/json" and response.json.text == "{\\"a\\":[1,null]}"
        expect response.json.length == "14"
        post "/x", body: "a=1", header: { "Content-Type": "application/x-www-form-urlencoded" }
        expect response.json.text == "a=1" and response.json.type == "application/x-www-form-urlencoded"
        """,
        ECHO,
    )


def test_paths_are_normalised_as_on_the_edge() -> None:
    passes(
        """
        get "/a/%7Eb/./c/../d"
        expect response.json.path == "/a/~b/d"
        get "/a/%2Fb"
        expect response.status == 400 and failure.name == "bad-path"
        get "//a"
        expect response.status == 400 and response.json.title == "Bad path"
        """,
        ECHO,
    )


def test_a_caller_carries_what_is_given_and_the_request_goes_before_it() -> None:
    passes(
        """
        given caller("ann"), header: { "X-A": "1", "X-B": "b" }, from: "192.0.2.7", host: "ann.example"
        get "/", as: "ann"
        expect response.json.x == "1" and response.json.ip == "192.0.2.7" and response.json.host == "ann.example"
        get "/", as: "ann", header: { "x-a": "2" }, from: "192.0.2.8"
        expect response.json.x == "2" and response.json.ip == "192.0.2.8"
        """,
        ECHO,
    )


def test_certificates_are_real_ones() -> None:
    policy = """
    service who "/" {
        require client.cert != none
        respond 200, json: { subject: client.cert.subject, issuer: client.cert.issuer, names: client.cert.names,
                             serial: client.cert.serial, print: client.cert.fingerprint,
                             end: "${client.cert.not_after}", scheme: request.scheme }
    }
    """
    passes(
        """
        given certificate("partner"), subject: "CN=partner,O=Acme", names: ["partner.example", "192.0.2.1"],
              issuer: "CN=ca", not_after: "2030-01-01T00:00:00", serial: 255
        given caller("p"), cert: "partner"
        get "/"
        expect response.status == 403
        get "/", cert: "partner"
        expect response.json == {
            subject: "CN=partner,O=Acme", issuer: "CN=ca", names: ["partner.example", "192.0.2.1"], serial: "ff",
            print: "7b8908e779a04982fe30216becefe1c9575a4ef7d0b2179273e404516befa3e0",
            end: "2030-01-01T00:00:00.000Z", scheme: "https",
        }
        get "/", as: "p"
        expect response.status == 200
        """,
        policy,
    )


def test_answers_of_stubs() -> None:
    passes(
        """
        stub orders, status: 201, json: { ok: true }, header: { "X-A": ["1", "2"], "X-None": none }
        get "/orders", header: { "X-API-Key": "k1" }
        expect response.status == 201 and response.json.ok and response.content_type == "application/json"
        expect response.header["X-A"] == "1, 2" and response.header["X-None"] == none
        stub orders, body: "hello"
        get "/orders", header: { "X-API-Key": "k1" }
        expect response.text == "hello" and response.content_type == "text/plain"
        stub orders, delay: 250ms
        get "/orders", header: { "X-API-Key": "k1" }
        expect response.status == 200 and elapsed == 250ms
        """
    )


@pytest.mark.parametrize(
    ("how", "status", "name", "elapsed"),
    [
        ("unreachable", 502, "upstream-unreachable", "0s"), ("broken", 502, "upstream-broken", "0s"),
        ("timeout", 504, "upstream-timeout", "2s"),
    ],
)  # fmt: skip
def test_failures_of_stubs(how: str, status: int, name: str, elapsed: str) -> None:
    policy = ORDERS.replace("route orders", "route orders, timeout: 2s")
    passes(
        f"""
        stub orders, fails: {how}
        get "/orders", header: {{ "X-API-Key": "k1" }}
        expect response.status == {status} and failure.name == "{name}" and elapsed == {elapsed}
        """,
        policy,
    )


def test_a_stub_that_takes_longer_than_the_policy_waits() -> None:
    passes(
        """
        stub orders, delay: 31s
        get "/orders", header: { "X-API-Key": "k1" }
        expect response.status == 504 and elapsed == 30s
        """
    )


def test_a_sequence_whose_last_answer_stays() -> None:
    passes(
        """
        stub orders, sequence: [{ fails: unreachable }, { status: 404, json: { a: 1 } }, { body: "x", delay: 1s }]
        for status in [502, 404, 200, 200] {
            get "/orders", header: { "X-API-Key": "k1" }
            expect response.status == status
        }
        expect elapsed == 1s and length(orders.calls) == 4
        """
    )


def test_what_a_stub_received() -> None:
    policy = """
    upstream orders { server "http://127.0.0.1:9000" }
    upstream copies { server "http://127.0.0.1:9001" }
    service s "/s/{id}" {
        mirror copies
        set request.header["X-Id"] = path.id
        route orders, path: "/items/${path.id}", method: "PUT", host: "b.example"
    }
    """
    passes(
        """
        stub orders, status: 200
        post "/s/7?a=1", json: { n: 1 }, header: { "X-B": "b" }
        let call = orders.calls[0]
        expect call.method == "PUT" and call.path == "/items/7" and call.query == "a=1" and call.host == "b.example"
        expect call.header["x-id"] == "7" and call.header["X-B"] == "b" and call.header["X-None"] == none
        expect call.json.n == 1 and call.text == "{\\"n\\":1}"
        expect orders.calls[1] == none and orders.mirrored == []
        expect copies.calls == [] and copies.mirrored[0].path == "/s/7" and copies.mirrored[0].query == "a=1"
        """,
        policy,
    )


def test_calls_and_answers_are_values() -> None:
    passes(
        """
        stub orders, json: { ok: true }, delay: 10ms
        together {
            get "/orders", header: { "X-API-Key": "k1" }
            get "/orders/7?a=1", header: { "X-API-Key": "k2" }
        }
        for call in orders.calls { expect call.method == "GET" and call.header["X-Api-Key"] in ["k1", "k2"] }
        let header = orders.calls[1].header
        let name = "X-API-KEY"
        expect header["X-API-Key"] == "k2" and header[name] == "k2"
        let last = responses[1]
        expect last.json.ok and last.elapsed == 10ms and last.header["content-type"] == "application/json"
        expect length(orders.calls) == 2 and json(responses) contains "application/json"
        expect "${orders.calls[1].path}?${orders.calls[1].query ?? ""}" == "/orders/7?a=1"
        """
    )


def test_maps_env_secrets_and_files_are_given() -> None:
    policy = """
    map clients, file: "not-there.json"
    service s "/" {
        let name? = map("clients")["a"].name
        respond 200, body: "${name ?? "nobody"} ${env("REGION")} ${reveal(secret("KEY"))} ${file("page.html")}"
    }
    """
    passes(
        """
        given map("clients"), entries: { a: { name: "ann" } }
        given env("REGION"), value: "eu"
        given secret("KEY"), value: "s3cret"
        given file("page.html"), text: "<p>"
        get "/"
        expect response.text == "ann eu s3cret <p>"
        given env("REGION"), value: "us"
        get "/"
        expect response.text == "ann us s3cret <p>"
        """,
        policy,
    )


def test_what_no_test_gives_is_the_policys_own() -> None:
    policy = """
    map clients, file: "clients.json"
    let ann = map("clients")["k1"].id
    service s "/" { respond 200, body: "${ann} ${env("REGION")} ${file("page.html")}" }
    """
    first, second = results(
        """
        test "given" {
            given map("clients"), entries: { k1: { id: "eve" } }
            given env("REGION"), value: "eu"
            given file("page.html"), text: "given"
            get "/"
            expect response.text == "eve eu given"
        }
        test "found" {
            get "/"
            expect response.text == "ann us found"
        }
        """,
        policy,
        {"page.html": b"found"},
        {"REGION": "us"},
    )
    assert (first.outcome, second.outcome) == ("passed", "passed"), render([*first.findings, *second.findings])


def test_entries_of_a_map_in_the_store() -> None:
    policy = """
    map sessions, ttl: 30m
    service s "/{id}" {
        lookup path.id, in: map("sessions") -> session else fail 404
        respond 200, json: session
    }
    """
    passes(
        """
        given map("sessions"), entries: { a: { user: "ann" }, "b c": 7 }
        get "/a"
        expect response.json == { user: "ann" }
        get "/b%20c"
        expect response.json == 7
        advance 30m
        get "/a"
        expect response.status == 404
        """,
        policy,
    )


def test_what_the_policy_logs_and_fails_with() -> None:
    policy = """
    service s "/" {
        log "hello ${client.ip}", level: warning
        fail 409, "not now", name: "not-now"
    }
    """
    passes(
        """
        expect logs == []
        get "/"
        expect logs == [{ level: "warning", text: "hello 192.0.2.1", service: "s", gateway: "gateway" }]
        expect failure != none and failure.name == "not-now" and failure.status == 409 and failure.detail == "not now"
        get "/nowhere"
        expect failure.name == "no-service"
        """,
        policy,
    )


def test_together_begins_all_before_the_clock_moves() -> None:
    policy = """
    upstream bank { server "http://127.0.0.1:9000" }
    service s "/" {
        concurrency_limit 1, per: request.query.a
        route bank
    }
    """
    passes(
        """
        stub bank, sequence: [{ status: 201, delay: 2s }, { status: 202, delay: 1s }]
        together {
            get "/?a=1"
            get "/?a=1"
            get "/?a=2"
        }
        expect statuses == [201, 429, 202] and length(responses) == 3
        expect responses[0].status == 201 and responses[1].header["Content-Type"] == "application/problem+json"
        expect response.status == 202 and elapsed == 1s and length(bank.calls) == 2
        get "/?a=1"
        expect response.status == 202 and statuses == [202]
        """,
        policy,
    )


def test_a_queue_is_left_in_order_and_in_time() -> None:
    policy = """
    upstream bank { server "http://127.0.0.1:9000" }
    service s "/" {
        concurrency_limit 1, over: wait, wait: 2500ms
        route bank
    }
    """
    passes(
        """
        stub bank, status: 200, delay: 1s
        together { repeat 4 { get "/" } }
        expect statuses == [200, 200, 200, 429] and elapsed == 2500ms
        """,
        policy,
    )


def test_a_thousand_that_wait_for_each_other() -> None:
    policy = """
    upstream bank { server "http://127.0.0.1:9000" }
    service s "/" {
        concurrency_limit 1, over: wait, wait: 1m, queue: 2000
        route bank
    }
    """
    passes(
        """
        stub bank, status: 200
        together { repeat 1000 { get "/" } }
        expect length(statuses) == 1000 and response.status == 200
        """,
        policy,
    )


def test_the_languages_own_statements() -> None:
    passes(
        """
        stub orders, status: 200
        let key = "k1"
        get "/orders", header: { "X-API-Key": key }
        let first = response.status
        if first == 200 { expect failure == none } else { expect false }
        match response.status {
            200..299 -> expect true
            else     -> expect false
        }
        for each in ["k1", "k2"] {
            get "/orders", header: { "X-API-Key": each }
            require response.status == 200
        }
        none { expect response.status == 404 }
        any {
            expect response.status == 404
            expect response.status == 200
        }
        try { expect false } catch e { expect e.name == "not-as-expected" }
        expect response.status == 404 else expect response.status == 200
        """
    )


def test_assertions_of_the_file_are_words_of_its_tests() -> None:
    first, second = results(
        """
        let usual_key = "k1"
        assertion asked(key: string, where: string = "/orders") -> status {
            stub orders, status: 200, json: { ok: true }
            get where, header: { "X-API-Key": key }
            let status = response.status
        }
        test "one" {
            asked usual_key -> status
            expect status == 200 and response.json.ok
        }
        test "two" {
            asked "nobody's", where: "/orders/7" -> status
            expect status == 401 and failure.name == "unknown-api-key"
        }
        """
    )
    assert (first.outcome, second.outcome) == ("passed", "passed"), render([*first.findings, *second.findings])


def test_tables() -> None:
    found = results(
        """
        test "${row.key ?? "no key"} gets ${row.status} after ${row.wait}" for row in [
            { key: "k1", status: 200, wait: 1s },
            { key: none, status: 401, wait: 2s },
        ] {
            stub orders, status: 200
            advance row.wait
            get "/orders", header: { "X-API-Key": row.key }
            expect response.status == row.status
        }
        test "number ${n}" for n in [1, 2, 2, 3] {
            expect n < 3
        }
        """
    )
    assert [(each.name, each.outcome) for each in found] == [
        ("k1 gets 200 after 1s", "passed"), ("no key gets 401 after 2s", "passed"),
        ("number 1", "passed"), ("number 2", "passed"), ("number 2 (2)", "passed"), ("number 3", "failed"),
    ]  # fmt: skip


def test_each_test_has_a_world_of_its_own() -> None:
    found = results(
        """
        test "one" {
            stub orders, status: 200
            repeat 100 { get "/orders", header: { "X-API-Key": "k2" } }
            get "/orders", header: { "X-API-Key": "k2" }
            expect response.status == 429
        }
        test "two" {
            stub orders, status: 200
            get "/orders", header: { "X-API-Key": "k2" }
            expect response.status == 200
        }
        """
    )
    assert [each.outcome for each in found] == ["passed", "passed"]


def test_imported_files_of_tests_lend_their_assertions_and_keep_their_tests() -> None:
    shared = b'assertion served {\n get "/orders", header: { "X-API-Key": "k1" }\n}\ntest "its own" { expect true }\n'
    suite = suite_of('import "shared_test.pol"\ntest "it" { stub orders, status: 200\n served\n expect true }',
                     files={"shared_test.pol": shared})  # fmt: skip
    assert suite.diagnostics == [] and [test.name for test in suite.tests] == ["it"]


def test_the_policy_is_what_it_is_without_its_tests() -> None:
    suite = suite_of('let more = 1\ntest "it" { expect true }')
    assert suite.program is not None
    alone = check_text(ORDERS, "orders.pol", {"clients.json": CLIENTS}, {}).program
    assert alone is not None
    assert (suite.program.hash, suite.program.files) == (alone.hash, alone.files)
    assert suite.program.services == alone.services or len(suite.program.services) == 1


def test_answers_and_calls_in_lists_and_maps_are_json() -> None:
    passes(
        """
        stub orders, json: { a: 1 }
        together { get "/orders/1", header: { "X-API-Key": "k1" } }
        let seen = { r: responses, c: [orders.calls, 5] }
        expect seen.r[0].status == 200 and seen.r[0].json == { a: 1 } and seen.c[0][0].path == "/orders/1"
        expect json(seen) starts_with "{\\"r\\":[{\\"status\\":200,"
        stub orders, json: { was: orders.calls }
        get "/orders/2", header: { "X-API-Key": "k1" }
        expect response.json.was[0].method == "GET"
        """
    )
    assert wrong('test "it" { together { get "/" }\nlet a = [responses[0]] }')[0] == (
        "not-a-value", "no list or map can hold an answer", "take a part of it, such as `responses[0].json`"
    )  # fmt: skip


def test_entries_of_a_map_are_what_a_file_could_say() -> None:
    policy = """
    map m, file: "m.json"
    service s "/" {
        let found? = map("m")[request.header["K"] ?? "k"]
        respond 200, json: { m: found }
    }
    """
    passes(
        """
        given map("m"), entries: { k: { a: 5s, b: now } }
        get "/"
        expect response.json.m == { a: "5s", b: "2026-01-01T00:00:00.000Z" }
        """,
        policy, {"m.json": b"{}"},
    )  # fmt: skip
