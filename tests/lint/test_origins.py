"""Where the value of a `log` comes from, and whether a client may choose it freely."""

from __future__ import annotations

import pytest

from policylang.catalog import load_catalog
from policylang.check import program as p
from policylang.lint.examples import check
from policylang.lint.look import Visit, argument, calls
from policylang.lint.origins import SENT, Way
from policylang.lint.policy import Policy

AROUND = """
map clients, file: "clients.json"
map sessions, ttl: 30m, private: true
upstream orders { server "http://127.0.0.1:9000" }
assertion wrapped(text: string) -> out { let out = "<${text}>" }
service s "/{id}" {
"""


def logged(body: str) -> tuple[Way, Visit, p.Expr]:
    checked = check(AROUND + body + "\n    respond 204\n}\n")
    assert checked.program is not None, [(str(each.span), each.message) for each in checked.diagnostics]
    policy = Policy(checked.program, checked.files, load_catalog())
    way = policy.origins.of(checked.program.services[0])
    visit = next(each for each in way.visits if calls(each.statement, "log"))
    text = argument(visit.statement, "text")
    assert text is not None
    return way, visit, text


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ('log "x"', {"constant"}),
        ('log "${request.header["X-A"]} ${client.ip}"', {"header", "client"}),
        ("let a = request.query.a ?? path.id\nlog a", {"query", "path"}),
        ("let a = request.query.a\nwrapped a -> b\nlog b", {"query"}),
        ('let a = "x"\nif request.query.a == "1" { set a = request.text }\nlog a', {"constant", "body"}),
        ('api_key request.bearer, in: map("clients") -> caller\nlog "${caller.id}"', {"identity"}),
        ('lookup request.cookie.sid, in: map("sessions") -> entry\nlog "${entry.user}"', {"stored"}),
        ('log "${map("clients")[request.query.a].id}"', {"constant"}),
        ('log if request.query.a == "1" then user.id ?? "none" else "x"', {"user", "constant"}),
        ("log random_hex(4)", {"random"}),
        ('log hmac_sha256(request.text, key: secret("KEY"))', {"signature", "body", "secret"}),
        ('log url_encode(request.query.a ?? "")', {"encoded"}),
        ("for x in request.json.items { log string(x) ?? \"\" }", {"body", "constant"}),
    ],
)  # fmt: skip
def test_what_a_text_is_made_of(body: str, kinds: set[str]) -> None:
    way, _, text = logged(body)
    assert {kind for kind, _ in way.flows(text)} == kinds


KNOWN = [
    'require a in ["x", "y"]', 'require a == "x"', 'match a { "x", "y" -> { } }', 'require a in map("clients")',
    'let entry = map("clients")[a]\nrequire entry.id != none', 'api_key a, in: map("clients")',
    'lookup a, in: map("sessions")', 'require same_secret(a, hmac_sha256(request.text, key: secret("KEY")))',
]  # fmt: skip
OPEN = ['require a != none', 'require a != ""', "require length(a) < 9", 'require request.query.b in ["x"]', ""]


@pytest.mark.parametrize(("check_of_it", "free"), [(each, False) for each in KNOWN] + [(each, True) for each in OPEN])
def test_what_is_held_against_something_known_is_no_longer_chosen(check_of_it: str, free: bool) -> None:
    way, visit, text = logged(f'let a = request.query.a\n{check_of_it}\nlog "${{a}}"')
    assert bool(way.chosen(text, visit, SENT)) is free


def test_a_check_behind_it_is_too_late() -> None:
    way, visit, text = logged('let a = request.query.a\nlog a\nrequire a in ["x"]')
    assert way.chosen(text, visit) == [("query", "a")]


def test_a_pattern_of_the_whole_says_what_a_text_looks_like_and_no_more() -> None:
    way, visit, text = logged('let a = request.query.a\nrequire a matches r"^[a-z]+$"\nlog a')
    assert way.chosen(text, visit) and not way.chosen(text, visit, formed=True)
