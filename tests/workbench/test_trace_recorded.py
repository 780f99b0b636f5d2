"""What a journal notes beside its entries: when they came, what was read and bound."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from time import monotonic_ns

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from traced import Traced
from tree_policies import Policy

from policylang.sdk.bench import run
from policylang.trace.plan import MOST_VALUES
from policylang.trace.recorded import MOST_NOTES, Recorded

CLIENTS = {"clients.json": b'{"k1": {"id": "ann", "contract": "gold", "limits": {"calls": 5}}}'}
KNOWN = 'map clients, file: "clients.json"\nservice s "/{id}" {\nlet caller = map("clients").k1\n%s\nrespond 200\n}'


def reads(statement: str, **request: object) -> dict[str, str]:
    """What the last statement but `respond` read."""
    found = Traced(KNOWN % statement, path="/7?a=1", files=CLIENTS, **request)
    return dict(found.entries[-2].get("reads", {}))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ('require caller.contract == "gold"', {"caller.contract": '"gold"'}),
        ("require caller.limits.calls > 1", {"caller.limits.calls": "5"}),
        ('require caller["contract"] != path.id', {'caller["contract"]': '"gold"', "path.id": '"7"'}),
        ('require map("clients")[path.id] == none', {'map("clients")[path.id]': "none", "path.id": '"7"'}),
        ('require request.query.a == "1" and client.port > 0', {"request.query.a": '"1"', "client.port": "40000"}),
        ('require "${caller.id}/${request.method}" != ""', {"caller.id": '"ann"', "request.method": '"GET"'}),
        ("require length(keys(caller)) == 3",
         {"caller": '{ id: "ann", contract: "gold", limits: { calls: 5 } }'}),
        ("require user == none", {"user": "none"}),
        ("require [1, 2] == [1, 2]", {}),
        ('if request.method == "GET" { ignore }', {"request.method": '"GET"'}),
        ('match caller.contract { "gold" -> ignore\n else -> ignore }', {"caller.contract": '"gold"'}),
        ("rate_limit 5/s, per: caller.id", {"caller.id": '"ann"'}),
    ],
)  # fmt: skip
def test_the_longest_paths_that_its_own_expressions_read(statement: str, expected: dict[str, str]) -> None:
    assert reads(statement) == expected


def test_what_a_block_has_written_is_no_longer_what_its_condition_read() -> None:
    found = Traced("""
        if request.header["X-A"] == none and request.method == "GET" { set request.header["X-A"] = "1" }
        respond 200
    """)
    assert found.entry("if")["reads"] == {"request.method": '"GET"'}


def test_what_is_bound() -> None:
    found = Traced(KNOWN % """
        tell.both "abc" -> first, second
        let list = [first, 2]
        set list = [3]
        set request.header["X-A"] = first
        set request.path = "/x"
        let none_there? = request.query.b
    """, path="/7", files=CLIENTS)  # fmt: skip
    assert [entry.get("binds") for entry in found.entries[1:]] == [
        {"first": '"abc"', "second": "3"}, {"list": '["abc", 2]'}, {"list": "[3]"}, {'request.header["X-A"]': '"abc"'},
        {"request.path": '"/x"'}, {"none_there": "none"}, None,
    ]  # fmt: skip
    assert found.document["request"]["path"] == "/7"  # as it came


def test_a_statement_that_fails_binds_nothing() -> None:
    found = Traced("any {\nlet a = request.json.b\nignore\n}\nrespond 200", "POST", body=b"{}")
    assert "binds" not in found.entry("let") and found.entry("let")["reads"] == {"request.json.b": "none"}


def test_what_cannot_be_read_is_left_out_and_the_rest_is_there() -> None:
    text = 'if request.method == "PUT" and request.query.a == "1" { ignore }\nrespond 200'
    found = Traced(text, path="/?a=1&a=2")
    assert found.entry("if")["reads"] == {"request.method": '"GET"'}


def test_a_body_that_fails_to_load() -> None:
    found = Traced("limit_size request, 2B\nrequire request.json.a == 1 and request.method == \"POST\"\nrespond 200",
                   "POST", body=b'{"a": 1}', streams=True)  # fmt: skip
    entry = found.entry("require")
    assert (entry["outcome"], entry["name"], entry["status"]) == ("failed", "body-too-large", 413)
    assert entry["reads"] == {"request.method": '"POST"'}


def test_times_by_both_clocks() -> None:
    found = Traced("tell.pause 30ms\nlet a = 1\ntell.pause 1s\nrespond 200")
    assert [entry["at"] for entry in found.entries] == [30_000_000, 30_000_000, 1_030_000_000, 1_030_000_000]
    assert all(0 < entry["took"] < 10**9 for entry in found.entries)
    assert found.document["elapsed"] == 1_030_000_000


def test_branches_of_parallel_are_noted_side_by_side() -> None:
    found = Traced("""
        let before = "b"
        parallel {
            all {
                tell.pause 20ms
                let one = before
            }
            let two = "${before}2"
            tell.pause 10ms
        }
        let after = one
        respond 200
    """)
    noted = [(entry["word"], entry["at"] // 10**6, entry.get("binds")) for entry in found.entries[1:]]
    assert noted == [
        ("tell.pause", 20, None), ("let", 20, {"one": '"b"'}), ("all", 20, None), ("let", 0, {"two": '"b2"'}),
        ("tell.pause", 10, None), ("parallel", 20, None), ("let", 20, {"after": '"b"'}), ("respond", 20, None),
    ]  # fmt: skip
    assert all(entry["took"] >= 0 for entry in found.entries)


RUN = """
    let a = request.method
    require a == "GET"
    if request.path == "/y" { fail 404 }
    match client.port { 40000 -> require a != "%s"
    else -> fail 400 }
    let b? = request.query.b
    set request.path = "/z"
    require request.path == "/z" and a != "x"
    respond 200
"""


@pytest.mark.parametrize(("word", "outcome"), [("POST", "passed"), ("GET", "failed")])
def test_what_stands_in_a_row_and_only_looks_is_read_together_and_told_apart(word: str, outcome: str) -> None:
    found = Traced(RUN % word, path="/x")
    noted = [(entry["word"], entry.get("reads"), entry.get("binds")) for entry in found.entries]
    whole = [
        ("let", {"request.method": '"GET"'}, {"a": '"GET"'}), ("require", {"a": '"GET"'}, None),
        ("if", {"request.path": '"/x"'}, None), ("require", {"a": '"GET"'}, None),
        ("match", {"client.port": "40000"}, None), ("let", {"request.query.b": "none"}, {"b": "none"}),
        ("set", None, {"request.path": '"/z"'}), ("require", {"request.path": '"/z"', "a": '"GET"'}, None),
        ("respond", None, None),
    ]  # fmt: skip
    assert noted == whole[: 5 if outcome == "failed" else 9]
    assert found.entries[4]["outcome"] == outcome
    assert [place.goes_on for place, _ in found.journal][:3] == [True, True, True]
    assert all(entry["took"] > 0 for entry in found.entries)


def test_what_waits_has_its_own_moment_and_so_has_what_stands_before_it() -> None:
    text = 'require request.method != ""\nrequire request.json.a == 1\nrequire request.path != ""\nrespond 200'
    found = Traced(text, "POST", body=b'{"a": 1}', streams=True)
    assert [place.goes_on for place, _ in found.journal] == [False, True, False, False]


def test_a_value_that_cannot_be_read_hides_none_of_its_row() -> None:
    found = Traced('let a = request.method\nif a == "PUT" and request.query.a == "1" { ignore }\nrespond 200',
                   path="/?a=1&a=2")  # fmt: skip
    assert found.entry("let")["binds"] == {"a": '"GET"'}
    assert found.entry("if")["reads"] == {"a": '"GET"'}


def test_by_a_clock_that_runs_each_has_its_own_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy("require request.method == \"GET\"\n" * 3 + "respond 200")
    exchange = policy.exchange("GET", "/")
    monkeypatch.setattr(policy.environment.clock, "monotonic", monotonic_ns)
    journal = exchange.journal = Recorded(exchange)
    run(policy.tree.handle(exchange), policy.environment.clock)
    moments = [at for at, _, _ in journal.notes]
    assert moments == sorted(set(moments)) and len(moments) == 4


def test_bounded_in_values_and_entries() -> None:
    many = " or ".join(f'request.query.a{number} == "1"' for number in range(MOST_VALUES + 5))
    found = Traced(f"if {many} {{ ignore }}\nrespond 200")
    assert len(found.entry("if")["reads"]) == MOST_VALUES
    rounds = "[" + ", ".join(["1"] * 120) + "]"
    found = Traced(f"let list = {rounds}\nfor x in list {{ for y in list {{ require y == x }} }}\nrespond 200")
    assert len(found.journal) == 120 * 121 + 3
    assert len(found.journal.notes) == MOST_NOTES


def test_the_exchange_is_let_go() -> None:
    found = Traced("let a = request.method\nrespond 200")
    gc.collect()
    gc.disable()
    try:
        del found.exchange, found.policy
        journal, found.journal = found.journal, Recorded.__new__(Recorded)
        assert gc.collect() == 0
        assert not any(type(each).__name__ == "Exchange" for each in gc.get_referents(journal))
    finally:
        gc.enable()


def test_nothing_more_is_noted_then() -> None:
    found = Traced("respond 200")
    found.journal.append(found.journal[0])
    assert (len(found.journal), len(found.journal.notes)) == (2, 1)
