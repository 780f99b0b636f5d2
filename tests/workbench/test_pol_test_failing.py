"""What is said of tests that do not pass, word by word."""

from __future__ import annotations

import re

import pytest
from workbench.suites import ORDERS, results, said, suite_of

from policylang.check.pages import RESULTS
from policylang.testing.running import run
from policylang.testing.suite import load_suite


def message(body: str, policy: str = ORDERS) -> str:
    """Outcome and message alone."""
    lines = said(body, policy).splitlines()
    return lines[0]


ASKED = """
stub orders, status: 200, json: { a: 1, items: [{ n: 1 }, { n: 2 }], t: "hello" }
get "/orders", header: { "X-API-Key": "k1" }
"""
"""Begins with what all of these ask."""

DIFFERENCES = [
    ("expect response.status == 201", "`response.status` is 200, not 201"),
    ('expect response.status == 201, "it is made"', "it is made: `response.status` is 200, not 201"),
    ("let want = 201\nexpect response.status == want", "`response.status` is 200, not 201, as `want` is"),
    ("expect response.status != 200", "`response.status` is 200, which it shall not be"),
    ("expect response.status > 200", "`response.status` is 200, not > 200"),
    ("expect response.status in 300..399", "`response.status` is 200, which is not in 300..399"),
    (
        'expect response.json.t contains "x"',
        '`response.json.t contains "x"` cannot be worked out: `contains` stands after a string:'
        " of JSON it takes a list, and a text as `string(…)`",
    ),
    ('expect string(response.json.t) contains "x"',
     '`string(response.json.t)` is "hello", which does not contain "x"'),
    ('expect response.json.a == "1"', '`response.json.a` is 1, not "1": a number cannot be compared with a string'),
    ("expect response.json.t > 5", '`response.json.t` is "hello", not > 5: a string and a number have no order'),
    ('expect "x" in response.json', '"x" is not in {"a":1,"items":[{"n":1},{"n":2}],"t":"hello"}'),
    (
        'expect response.content_type contains "x"',
        '`response.content_type` is "application/json", which does not contain "x"',
    ),
    ('expect response.text starts_with "["', None),
    ('expect response.json.t matches r"^x"', '`response.json.t` is "hello", which does not match r"^x"'),
    ('expect response.header["X-None"] matches r"^x"',
     '`response.header["X-None"]` is none, which does not match r"^x"'),
    ("expect response.status == 404 or (response.status == 410 or not (response.status in 200..299))",
     "no side of `or` is true: `response.status` is 200, not 404; `response.status` is 200, not 410; "
     "`response.status in 200..299` is true, which it shall not be"),
    ('expect response.header["X-None"] == "1"', '`response.header["X-None"]` is none, not "1"'),
    ("expect not (response.status == 200)", "`response.status == 200` is true, which it shall not be"),
    ('expect response.json.a == 1 and response.json.t == "x"', '`response.json.t` is "hello", not "x"'),
    (
        'expect response.json == { a: 2, items: [{ n: 1 }], t: "hello", more: none }',
        '`response.json` differs: `.a` is 1, not 2; `.items` has 2 elements, not 1: `.items[1]` is {"n":2}, and should '
        "not be there; `.more` is missing, not none",
    ),
    ("expect response.json.items == []",
     '`response.json.items` differs: the list has 2 elements, not 0: `[0]` is {"n":1}, and should not be there'),
    ("expect response.json.items == [{ n: 1 }, { n: 2 }, { n: 3 }]",
     '`response.json.items` differs: the list has 2 elements, not 3: `[2]` is missing, not {"n":3}'),
    (
        "expect response.json == { z: 1, y: 2, x: 3, w: 4 }",
        "`response.json` differs: `.a` is 1, and should not be there; "
        '`.items` is [{"n":1},{"n":2}], and should not be there; `.t` is "hello", and should not be there'
        ", and in 4 places more",
    ),
    (
        "expect response.json == { z: 1 }",
        "`response.json` differs: `.a` is 1, and should not be there; "
        '`.items` is [{"n":1},{"n":2}], and should not be there; `.t` is "hello", and should not be there'
        ", and in 1 place more",
    ),
    ('expect orders.calls[1].path == "/"', '`orders.calls[1].path` is none, not "/": there is 1 request'),
    ('expect orders.mirrored[0].path == "/"', '`orders.mirrored[0].path` is none, not "/": there are no copies'),
    ('expect logs[0].text contains "x"', None),
    ("expect responses[2].status == 200", "`responses[2].status` is none, not 200: there is 1 answer"),
    ('let mine = { calls: [1] }\nexpect mine.calls[1] == 2', "`mine.calls[1]` is none, not 2"),
    ("let calls = [1]\nexpect calls[1] == 2", "`calls[1]` is none, not 2"),
    ("expect elapsed > 1s", "`elapsed` is 0s, not > 1s"),
    ("expect failure != none", "`failure` is none, which it shall not be"),
    ("expect orders.calls == []", None),
    ("expect response.xml == none", None),
    ("require response.status == 201", "`require` has failed with `requirement-not-met`"),
    ('let x = response.header["X-None"]', "`let` has failed with `missing-value`: `x` has no value"),
    ("match response.status { 201 -> expect true }", "`match` has failed with `no-match`"),
]


@pytest.mark.parametrize(("body", "expected"), DIFFERENCES)
def test_differences(body: str, expected: str | None) -> None:
    found = message(ASKED + body)
    if expected is None:
        assert found.startswith("failed: error[not-as-expected]: `")
    else:
        assert found == f"failed: error[not-as-expected]: {expected}"


BROKEN = [
    (
        'get "/orders", header: { "X-API-Key": "k1" }\nexpect true',
        "`orders` is asked for GET /orders, and no `stub orders` says what it answers",
    ),
    ('let who = "anm"\ngiven caller("ann")\nget "/", as: who', "no caller `anm` is given: did you mean `ann`?"),
    ('get "/", at: "b"', "no gateway `b` is given"),
    ('advance to: "2025-12-31T00:00"', "`advance to:` leads back: it is 2026-01-01T00:00:00.000Z already"),
    (
        'get "/"\ngiven time("2026-03-01")',
        "`given time` comes before the first request; `advance to:` moves the clock after it",
    ),
    (
        'given map("seen"), entries: { a: 1 }\ngiven time("2026-03-01")',
        "`given time` comes before the entries of maps in the store, which live by it",
    ),
    ('get "/"\ngiven gateways(["a"])', "`given gateways` comes before the first request"),
    ('let n = length(logs)\nrepeat n { get "/" }', "`repeat` takes a whole number from 1 to 1_000_000, not 0"),
    ('get "/", header: { "a b": "c" }', "`a b` is no name of a header field"),
    ('get "/", header: { "A": "b\\nc" }', "the field `A` has a line's end in it"),
    ('given certificate("a"), subject: "ann"', '`ann` is no name: write it as "CN=partner,O=Acme"'),
]


def test_every_test_comes_to_its_end() -> None:
    assert "all `repeat` of a test have 1_000_000 rounds together, and no more" in said(
        "repeat 100_000 { repeat 100_000 { expect true } }"
    )


@pytest.mark.parametrize(("body", "expected"), BROKEN)
def test_what_cannot_be_asked(body: str, expected: str) -> None:
    assert message(body, ORDERS + "map seen, ttl: 1h\n") == f"broken: error[broken-test]: {expected}"


def test_a_broken_test_does_not_pass_by_what_it_forgives() -> None:
    body = 'try { get "/orders", header: { "X-API-Key": "k1" } } catch e { expect true }'
    assert message(body).startswith("broken: ")


def test_the_whole_of_it() -> None:
    (result,) = results(
        """
        test "gold gets 100 a second" {
            stub orders, status: 200, json: { ok: true }
            repeat 101 { get "/orders/7?a=1", header: { "X-API-Key": "k2" } }
            expect response.status == 200, "there is one left"
        }
        """
    )
    assert (result.outcome, result.name, result.file, result.line, result.requests) == (
        "failed", "gold gets 100 a second", "orders_test.pol", 3, 101,
    )  # fmt: skip
    assert said(
        """
        stub orders, status: 200, json: { ok: true }
        repeat 101 { get "/orders/7?a=1", header: { "X-API-Key": "k2" } }
        expect response.status == 200, "there is one left"
        """
    ) == (
        "failed: error[not-as-expected]: there is one left: `response.status` is 429, not 200\n"
        " --> orders_test.pol:5:8\n"
        "  |\n"
        '5 | expect response.status == 200, "there is one left"\n'
        "  |        ^^^^^^^^^^^^^^^^^^^^^^\n"
        "  |\n"
        "help: request 101, GET /orders/7?a=1, was answered 429: `rate_limit` at orders.pol:8 failed with "
        "`rate-exceeded`\n"
        "more: pol explain not-as-expected\n"
    )
    lines = result.picture.splitlines()
    assert lines[0] == "GET /orders/7?a=1" and lines[-1] == "=> 429 rate-exceeded: more than 100/s"
    (refused,) = (place for place, line in enumerate(lines) if "else   -> rate_limit" in line)
    assert "✗" in lines[refused] and "^^^ 429 rate-exceeded" in lines[refused + 1]


def test_the_policy_may_be_wrong_in_what_is_given() -> None:
    policy = """
    service s "/" {
        allow_ip env("NETWORK")
        respond 200
    }
    """
    suite = suite_of(
        """
        test "right" {
            given env("NETWORK"), value: "192.0.2.0/24"
            get "/"
            expect response.status == 200
        }
        test "wrong" {
            given env("NETWORK"), value: "everywhere"
            get "/"
            expect response.status == 200
        }
        test "missing" {
            get "/"
            expect response.status == 200
        }
        """,
        policy,
    )
    assert suite.diagnostics == []
    found = [run(test) for test in suite.tests]
    assert [each.outcome for each in found] == ["passed", "broken", "broken"]
    assert [each.findings[0].name for each in found[1:]] == ["bad-literal", "missing-environment"]


def test_a_failure_in_a_helper_is_shown_in_it() -> None:
    (result,) = results(
        """
        assertion served {
            get "/orders", header: { "X-API-Key": "k1" }
            expect response.status == 201
        }
        test "it" {
            stub orders, status: 200
            served
        }
        """
    )
    assert (result.findings[0].span.text, result.findings[0].span.line) == ("response.status == 201", 5)
    assert [(each.span.line, each.text) for each in result.findings[0].labels] == [(9, "called here")]


def test_which_call_of_a_helper_has_failed_is_shown_from_the_inside_out() -> None:
    found = results(
        """
        assertion is(status: number) {
            expect response.status == status
        }
        assertion answers(status: number) {
            get "/orders"
            is status
        }
        test "of several" {
            answers 401
            repeat 2 {
                any { answers 200
                      answers 402 }
            }
        }
        test "a policy that is wrong has no calls" {
            given env("NETWORK"), value: "everywhere"
            answers 401
        }
        test "none" {
            answers 401
            get "/", at: "b"
        }
        """,
        "service s \"/\" {\nallow_ip env(\"NETWORK\")\nrespond 200\n}\n" + ORDERS,
        environ={"NETWORK": "192.0.2.0/24"},
    )
    assert [[each.span.line for each in result.findings[0].labels] for result in found] == [[8, 14], [], []]


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_pages_of_results(name: str) -> None:
    for info, outcome in (("pol bad", name), ("pol", "")):
        found = re.search(rf"^```{info}\n(.*?)^```$", RESULTS[name], re.S | re.M)
        assert found is not None
        text = found[1]
        files = {
            "orders.pol": b'upstream orders { server "http://127.0.0.1:1" }\nservice s "/**" { route orders }\n',
            "orders_test.pol": text.encode(),
        }
        suite = load_suite("orders_test.pol", files.__getitem__, {})
        (test,) = suite.tests
        assert [each.name for each in run(test).findings] == ([outcome] if outcome else [])
