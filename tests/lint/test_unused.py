"""What is unused, over several files: neither too much is said nor too little."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from policylang.check import check_files
from policylang.lint.examples import FILES, Anything, catalog, findings, policy
from policylang.lint.run import lint
from policylang.tools.reference import assertion_page

GATEWAY = 'gateway {\n    listen "127.0.0.1:8080"\n}\n'
LIBRARY = """\
let office = ["10.0.0.0/8"]
let nobody = "nobody"
map people, file: "clients.json"
upstream archive {
    server "http://127.0.0.1:9001"
}
assertion from_office { require client.ip in office }
assertion known(name: string) { require name in map("people") }
"""


def unused(files: Mapping[str, str], *roots: str) -> list[str]:
    """What rules of that kind find: the rule, the file, the text."""
    texts = {**FILES, **{name: text.encode() for name, text in files.items()}}

    def load(path: str) -> bytes:
        if path not in texts:
            raise FileNotFoundError(path)
        return texts[path]

    checked = check_files(roots or ("policy.pol",), load, Anything(), catalog=catalog())
    assert checked.program is not None, checked.diagnostics
    found = lint(checked, catalog())
    return [
        f"{each.name.removeprefix('unused-')} {each.span.source.name} {each.span.text}" for each in found
        if each.name.startswith("unused-") or each.name == "repeated-import"
    ]  # fmt: skip


def test_what_an_imported_file_declares_may_be_for_others() -> None:
    policy = f'{GATEWAY}import "lib.pol"\nservice x "/x" {{\n    from_office\n    respond 204\n}}\n'
    assert unused({"policy.pol": policy, "lib.pol": LIBRARY}) == []


def test_a_file_that_is_there_to_be_imported_is_left_alone() -> None:
    assert unused({"policy.pol": LIBRARY}) == []


@pytest.mark.parametrize(
    ("uses", "said"),
    [
        ("respond 204", ['import policy.pol import "lib.pol"']),
        ("require client.ip in office\n    respond 204", []),
        ('known "ann"\n    respond 204', []),
        ('require "k1" in map("people")\n    respond 204', []),
        ("route archive", []),
    ],
)
def test_an_import_is_used_by_a_name_of_any_kind(uses: str, said: list[str]) -> None:
    policy = f'{GATEWAY}import "lib.pol"\nservice x "/x" {{\n    {uses}\n}}\n'
    assert unused({"policy.pol": policy, "lib.pol": LIBRARY}) == said


def test_an_import_is_used_by_what_it_imports_in_turn() -> None:
    policy = f'{GATEWAY}import "both.pol"\nservice x "/x" {{\n    from_office\n    respond 204\n}}\n'
    assert unused({"policy.pol": policy, "both.pol": 'import "lib.pol"\n', "lib.pol": LIBRARY}) == []


def test_an_import_that_brings_a_service_is_used() -> None:
    files = {
        "policy.pol": f'{GATEWAY}import "status.pol"\nservice x "/x" {{\n    respond 204\n}}\n',
        "status.pol": 'service status "/status" {\n    respond 204\n}\n',
    }
    assert unused(files) == []


def test_settings_and_defaults_and_other_constants_are_uses() -> None:
    policy = """\
let port = "127.0.0.1:8080"
let largest = 1MiB
let where = "http://127.0.0.1:9000"
let patience = 5s
let other = "acme"
let name = "a-${other}"
gateway {
    listen port
    limits body: largest
}
upstream orders {
    server where
    timeouts head: patience
}
map people, file: "clients.json"
map guests, file: "clients.json"
let ann = map("people")["k1"].id
assertion tagged(tag: string = name, among: map = map("guests")) { require tag in among }
global before { tagged }
global after { set response.header["X-Owner"] = ann }
service x "/x" {
    mirror orders
    respond 204
}
"""
    assert unused({"policy.pol": policy}) == []


def test_one_that_is_named_by_an_unused_one_is_used_until_that_is_gone() -> None:
    policy = GATEWAY + LIBRARY + 'service x "/x" {\n    from_office\n    route archive\n}\n'
    assert unused({"policy.pol": policy}) == ["constant policy.pol nobody", "assertion policy.pol known"]


def test_what_tests_import_is_judged_as_what_serves() -> None:
    files = {
        "policy_test.pol": 'import "policy.pol"\n\ntest "it answers" {\n    get "/x"\n    expect true\n}\n',
        "policy.pol": f'{GATEWAY}let spare = 1\nservice x "/x" {{\n    respond 204\n}}\n',
    }
    assert unused(files) == ["constant policy.pol spare"]
    assert unused(files, "policy_test.pol") == ["constant policy.pol spare"]


def test_names_of_a_body() -> None:
    policy = GATEWAY + """\
map seen, ttl: 1h
service x "/x/{id}" {
    if path.id == "1" { let a = "1" } else { let a = "2" }
    let b = 1
    set b = 2
    let _unread = request.method
    rate_limit_status 5/s, per: client.ip, name: "n" -> limit, left, reset
    rate_limit 5/s, per: client.ip, name: "n"
    for each in ["x"] { require path.id != "9" }
    try { lookup path.id, in: map("seen") -> entry } catch problem { fail 404 }
    store path.id, { a: a, left: left }, in: map("seen")
    respond 204

    on failure {
        let status = failure.status
        let name = failure.name
        log name
    }
}
"""
    assert unused({"policy.pol": policy}) == [
        f"variable policy.pol {name}" for name in ("b", "reset", "each", "entry", "problem", "status")
    ]


def test_who_a_caller_is_belongs_to_another_rule() -> None:
    policy = GATEWAY + """\
map clients, file: "clients.json"
assertion known -> who { api_key request.header["X-API-Key"], in: map("clients") -> who }
service x "/x" {
    known -> caller
    respond 204
}
"""
    assert unused({"policy.pol": policy}) == []


def test_a_caller_is_read_by_whatever_name_assertions_hand_it_out() -> None:
    found = findings(policy("""\
assertion known -> who {
    api_key request.header["X-API-Key"], in: map("clients") -> who
    remove request.header["X-API-Key"]
}
assertion counted -> whom { known -> whom }
service x "/x" {
    counted -> caller
    rate_limit 10/s, per: caller.id
    route orders
}
"""))
    assert not found, [(each.name, str(each.span)) for each in found]


def test_a_file_is_imported_once_whatever_its_path_is_called() -> None:
    twice = 'import "lib.pol"\nimport "a/../lib.pol"\n'
    policy = f'{GATEWAY}{twice}service x "/x" {{\n    from_office\n    respond 204\n}}\n'
    assert unused({"policy.pol": policy, "lib.pol": LIBRARY}) == ['repeated-import policy.pol import "a/../lib.pol"']


def test_the_page_of_a_deprecated_assertion_says_so() -> None:
    assert "**Deprecated**: use `limit_size`." in assertion_page(catalog().assertions["acme.check_size"])
