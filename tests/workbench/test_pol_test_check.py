"""What the checker finds in files of tests: each mistake with its cure."""

from __future__ import annotations

import pytest
from workbench.suites import CLIENTS, ORDERS, suite_of, wrong

from policylang.check import check_text
from policylang.testing import WORDS
from policylang.testing.vocabulary import CARDS


def in_test(body: str, policy: str = ORDERS) -> list[tuple[str, str, str]]:
    return wrong('test "it" {\n' + body + "\n}", policy)


MISTAKES = [
    ("stubb orders, status: 200", "unknown-assertion", "there is no assertion `stubb`", "did you mean `stub`?"),
    ("stub order, status: 200", "unknown-upstream", "there is no upstream `order`", "did you mean `orders`?"),
    ("stub orders, statsu: 200", "unknown-parameter", "`stub` has no parameter `statsu`", "did you mean `status`?"),
    (
        "stub orders, status: 99",
        "bad-literal",
        "`status` is a whole number from 200 to 599",
        "`pol explain stub` says what it takes",
    ),
    (
        "stub orders, fails: unreachble",
        "unknown-symbol",
        "`fails` takes `unreachable`, `timeout` or `broken`, not `unreachble`",
        "did you mean `unreachable`?",
    ),
    (
        'stub orders, json: 1, body: "x"',
        "bad-literal",
        "an answer has `json` or `body`, not both",
        "`pol explain stub` says what it takes",
    ),
    (
        "stub orders, sequence: [{ statsu: 200 }]",
        "unknown-parameter",
        "`stub` has no parameter `statsu`",
        "did you mean `status`?",
    ),
    (
        "stub orders, sequence: [{ status: 200, fails: timeout }]",
        "bad-literal",
        "what `fails` gives no answer: leave the rest of it out",
        "`pol explain stub` says what it takes",
    ),
    (
        "stub orders, sequence: [200]",
        "wrong-type",
        "`sequence` takes a list of answers that are written out",
        "write it as in `sequence: [{ status: 503 }, { status: 200 }]`",
    ),
    (
        "stub orders, status: 200, sequence: [{ status: 200 }]",
        "duplicate-parameter",
        "`sequence` holds whole answers",
        "put `status` into them",
    ),
    (
        'get "orders"',
        "bad-literal",
        '`path` begins with a slash: write "/orders"',
        "`pol explain get` says what it takes",
    ),
    ('get "/", haeder: {}', "unknown-parameter", "`get` has no parameter `haeder`", "did you mean `header`?"),
    ('get "/", from: "here"', "bad-literal", '`here` is no address: write one such as "192.0.2.7"',
     "`pol explain get` says what it takes"),
    ('post "/", json: 1, body: "x"', "bad-literal", "a request has `json` or `body`, not both",
     "`pol explain post` says what it takes"),
    (
        'given time("2026-03-29T02:30", zone: "Europe/Berlin")',
        "bad-literal",
        "`at`: no clock in Europe/Berlin shows `2026-03-29T02:30`: it goes on to 03:30 there",
        "`pol explain given` says what it takes",
    ),
    (
        'advance to: "2026-03-08T02:00", zone: "America/New_York"',
        "bad-literal",
        "`to`: no clock in America/New_York shows `2026-03-08T02:00`: it goes on to 03:00 there",
        "`pol explain advance` says what it takes",
    ),
    ('expect now == "2026-01-01"', "different-types", "`==` compares a time with a string",
     "read a time from text with `parse_time(…)`, or compare `string(…)` of it"),
    ('get "/"\nexpect response.body == "x"', "different-types", "`==` compares bytes with a string",
     "compare the text of it, such as `response.text`"),
    ('get "/", as: "ann"', "unknown-given", "no caller `ann` is given", 'write `given caller("ann"), …` before it'),
    ('given caller("ann")\nget "/", as: "anm"', "unknown-given", "no caller `anm` is given", "did you mean `ann`?"),
    (
        'get "/", cert: "ann"',
        "unknown-given",
        "no certificate `ann` is given",
        'write `given certificate("ann"), …` before it',
    ),
    ('get "/" -> x', "too-many-outputs", "`get` has no output", "leave this name out"),
    ('get "/" { }', "unexpected-block", "", ""),
    ('given map("client"), entries: {}', "unknown-given", "there is no map `client`", "did you mean `clients`?"),
    ('given mop("clients"), entries: {}', "unknown-given", "`mop` cannot be given", "did you mean `map`?"),
    (
        "given",
        "unknown-given",
        "`given` does not say what",
        'write it as in `given map("clients"), entries: { … }`; there are `map`, `env`, `secret`, `file`, '
        "`certificate`, `caller`, `time`, `gateways`",
    ),
    (
        'given env("REGION"), value: "eu"',
        "unknown-given",
        "the policy reads no environment variable `REGION`",
        "leave it out, or let the policy read it",
    ),
    (
        'given map("clients")',
        "missing-parameter",
        "`given map` needs `entries`",
        "write `entries: …`, a map: its entries, by their keys",
    ),
    (
        'given time("yesterday")',
        "bad-literal",
        '`at`: `yesterday` is no time: write it as "2026-03-31T23:59:58"',
        "`pol explain given` says what it takes",
    ),
    (
        'given time("2026-03-31", zone: "Europe/Istambul")',
        "bad-literal",
        '`zone`: there is no time zone `Europe/Istambul`; write one such as "Europe/Istanbul" or "UTC"',
        "`pol explain given` says what it takes",
    ),
    (
        "given gateways([])",
        "bad-literal",
        "`names` is a list of one name or more, each another one",
        "`pol explain given` says what it takes",
    ),
    (
        'given gateways(["a", 5])',
        "bad-literal",
        "`names` is a list of one name or more, each another one",
        "`pol explain given` says what it takes",
    ),
    (
        "advance",
        "bad-literal",
        'say how long, as in `advance 1s`, or until when, as in `advance to: "2026-04-01T00:00"`',
        "`pol explain advance` says what it takes",
    ),
    ("advance 1", "missing-unit", "", ""),
    (
        'repeat 0 { get "/" }',
        "bad-literal",
        "`times` is a whole number from 1 to 1_000_000",
        "`pol explain repeat` says what it takes",
    ),
    ("repeat 3", "missing-block", "`repeat` needs a block", "write `repeat … { … }`"),
    ("expect 1", "not-boolean", "a condition is true or false, not a number", "compare it: `1 != 0`"),
    ("expect", "missing-parameter", "`expect` needs `condition`", "`condition` is a boolean: what has to be true"),
]


@pytest.mark.parametrize(("body", "name", "message", "help"), MISTAKES)
def test_words(body: str, name: str, message: str, help: str) -> None:
    found = in_test(body)
    assert [each[0] for each in found] == [name], found
    if message:
        assert found == [(name, message, help)]


NAMES = [
    (
        'get "/"\nexpect logs[0].texts == "x"',
        "unknown-member",
        "a line of `logs` has no member `texts`",
        "did you mean `text`?",
    ),
    (
        "expect response.status == 200",
        "unset-response",
        "no request was sent yet",
        '`response` is known after a request, such as `get "/"`',
    ),
    (
        'together { get "/"\nexpect response.status == 200 }',
        "unset-response",
        "nothing is answered before the end of `together`",
        "read `response`, `responses` or `statuses` after the block",
    ),
    ('let n = 1\nif n == 1 { get "/" }\nexpect response.status == 200', "unset-response", "", ""),
    (
        'get "/"\nexpect respons.status == 200',
        "unknown-name",
        "nothing here is called `respons`",
        "did you mean `response`?",
    ),
    (
        'get "/"\nexpect response.statsu == 200',
        "unknown-member",
        "`response` has no member `statsu`",
        "did you mean `status`?",
    ),
    ("expect order.calls == []", "unknown-name", "nothing here is called `order`", "did you mean `orders`?"),
    ("expect orders.call == []", "unknown-member", "`orders` has no member `call`", "did you mean `calls`?"),
    (
        "expect orders == none",
        "not-a-value",
        "`orders` is an upstream, and no value",
        "what it received is `orders.calls`",
    ),
    ('expect orders.calls[0].paht == "/"', "unknown-member", "a call has no member `paht`", "did you mean `path`?"),
    (
        'get "/"\nexpect responses[0].statsu == 1',
        "unknown-member",
        "an answer has no member `statsu`",
        "did you mean `status`?",
    ),
    ("expect status == []", "unknown-name", "nothing here is called `status`", "did you mean `statuses`?"),
    ('expect failure.naem == "x"', "unknown-member", "a failure has no member `naem`", "did you mean `name`?"),
    (
        'expect request.path == "/"',
        "not-in-tests",
        "`request` belongs to policies: it cannot stand in a test",
        "a test reads `response`; what an upstream received is `orders.calls[0]`",
    ),
    (
        'expect user.id == "ann"',
        "not-in-tests",
        "`user` belongs to policies: it cannot stand in a test",
        "read what the policy made of it: `response`, or what a stub received",
    ),
    (
        'let x = map("clients")',
        "not-in-tests",
        "`map` belongs to policies: it cannot stand in a test",
        'a test says what the policy finds: `given map("clients"), entries: { … }`',
    ),
    (
        "rate_limit 5/s",
        "not-in-tests",
        "`rate_limit` belongs to policies: it cannot stand in a test",
        'a test sends a request, such as `get "/"`, to the policy that has it',
    ),
    (
        "respond 200",
        "not-in-tests",
        "`respond` belongs to policies: it cannot stand in a test",
        "say what an upstream answers: `stub orders, status: 200`",
    ),
    (
        "fail 400",
        "not-in-tests",
        "`fail` belongs to policies: it cannot stand in a test",
        'say what has to be true: `expect …, "why"`',
    ),
    (
        'parallel { get "/" }',
        "not-in-tests",
        "`parallel` belongs to policies: it cannot stand in a test",
        "begin requests side by side with `together { … }`",
    ),
    (
        'split { 50 -> get "/"\n50 -> get "/" }',
        "not-in-tests",
        "`split` belongs to policies: it cannot stand in a test",
        "say what is sent: a test leaves nothing to chance",
    ),
    (
        'get "/"\nset response.status = 200',
        "not-in-tests",
        "a test cannot set a part of `response`",
        "say what is sent with the request, and what is answered with `stub`",
    ),
    (
        'get "/"\nremove response.header["X"]',
        "not-in-tests",
        "a test cannot remove a part of `response`",
        "say what is sent with the request, and what is answered with `stub`",
    ),
    ('any { let a = 1\nget "/" }\nexpect b == 1', "unknown-name", "", ""),
]


@pytest.mark.parametrize(("body", "name", "message", "help"), NAMES)
def test_names(body: str, name: str, message: str, help: str) -> None:
    found = in_test(body)
    assert [each[0] for each in found] == [name], found
    if message:
        assert found == [(name, message, help)]


FILES = [
    (
        'service s "/" { respond 200 }',
        "policy-in-tests",
        "a file of tests declares tests, constants and assertions",
        "move this into a file of its own, and import that",
    ),
    (
        "map more, ttl: 1m",
        "policy-in-tests",
        "a file of tests declares tests, constants and assertions",
        "move this into a file of its own, and import that",
    ),
    ("assertion get { expect true }", "redefined-builtin", "`get` is a word that is built in", "choose another name"),
    (
        "assertion rate_limit { expect true }",
        "redefined-builtin",
        "`rate_limit` is a word that is built in",
        "choose another name",
    ),
    ("let a = 1\nlet a = 2", "duplicate-name", "a constant called `a` is declared already", "rename one of them"),
    (
        'test "a" { expect true }\ntest "a" { expect true }',
        "duplicate-name",
        "there is a test of this name already",
        "say what this one is about",
    ),
    (
        'test "a" for row in [] { expect true }',
        "wrong-type",
        "a table is a list of rows, of one at least",
        "write it as `for row in [{ … }, { … }]`",
    ),
    (
        'test "a" for row in 7 { expect true }',
        "wrong-type",
        "a table is a list of rows, of one at least",
        "write it as `for row in [{ … }, { … }]`",
    ),
    (
        'test "a" for row in [{ name: 1 }] { expect row.naem == 1 }',
        "unknown-member",
        "a row of the table has no member `naem`",
        "did you mean `name`?",
    ),
    (
        'test "a ${row}" for row in [] { expect true }',
        "wrong-type",
        "a table is a list of rows, of one at least",
        "write it as `for row in [{ … }, { … }]`",
    ),
    ('test "a" {}', "empty-test", "this test holds nothing: it cannot fail",
     "ask for something, and expect what is to come of it"),
    ('test " " { expect true }', "empty-test", "this test has no title", "say what it is about"),
    ("assertion a { b }\nassertion b { a }", "recursive-assertion", "", ""),
]


@pytest.mark.parametrize(("text", "name", "message", "help"), FILES)
def test_files(text: str, name: str, message: str, help: str) -> None:
    found = wrong(text)
    assert {each[0] for each in found} == {name}, found
    if message:
        assert found == [(name, message, help)]


def test_a_policy_is_imported() -> None:
    def found(text: str, shared: str = "") -> list[str]:
        files = {"shared_test.pol": shared.encode(), "orders.pol": ORDERS.encode(), "clients.json": CLIENTS}
        return [each.name for each in check_text(text, "a_test.pol", files).diagnostics]

    test = 'test "a" { expect true }'
    assert found(test) == found('import "shared_test.pol"\n' + test) == ["no-policy"]
    assert found('import "orders.pol"\n' + test) == found("let a = 1") == []
    assert found('import "shared_test.pol"\n' + test, 'import "orders.pol"') == []
    assert found('import "nowhere.pol"\n' + test) == ["missing-file"]


def test_the_words_of_tests_are_known() -> None:
    assert {*CARDS, "given"} == WORDS


def test_words_of_tests_are_none_in_a_policy() -> None:
    found = check_text('service s "/" { expect true\n respond 200 }').diagnostics
    assert [(each.name, each.help) for each in found] == [
        ("unknown-assertion", "`expect` is a word of tests: it stands in a file whose name ends in `_test.pol`")
    ]


def test_a_policy_does_not_import_its_tests() -> None:
    found = check_text('import "a_test.pol"', "a.pol", {"a_test.pol": b""}).diagnostics
    assert [each.name for each in found] == ["imported-tests"]


def test_errors_of_the_policy_are_found_too_and_nothing_runs() -> None:
    suite = suite_of('test "it" { expect true }', ORDERS.replace("route orders", "route order"))
    assert [each.name for each in suite.diagnostics] == ["unknown-upstream"] and suite.tests == ()


def test_a_file_without_tests_is_a_suite_of_none() -> None:
    suite = suite_of("let a = 1")
    assert (suite.diagnostics, suite.tests) == ([], ())
    assert suite.program is not None


@pytest.mark.parametrize(
    ("policy", "name", "help"),
    [
        ('map c, file: "nix.json"', "missing-file",
         'a test may do without it: `given map("…"), entries: { … }`, or `given file("nix.json"), text: "…"`'),
        ('let s = secret("NIX")', "missing-secret", 'a test gives it: `given secret("NIX"), value: "…"`'),
        ('let e = env("NIX")', "missing-environment", 'a test gives it: `given env("NIX"), value: "…"`'),
        ('import "nix.pol"', "missing-file", "a path is relative to the file that names it"),
    ],
)  # fmt: skip
def test_what_the_surroundings_lack_a_test_gives(policy: str, name: str, help: str) -> None:
    service = '\nservice s "/" { respond 200 }'
    assert [(each[0], each[2]) for each in wrong('test "it" { expect true }', policy + service)] == [(name, help)]
