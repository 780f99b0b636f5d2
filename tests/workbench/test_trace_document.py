"""Documents: their shape, their bounds, and reading them back."""

from __future__ import annotations

import json
import sys
import zlib
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from traced import Traced

from policylang.source import Source
from policylang.trace.document import LONGEST_TEXT, MOST_ENTRIES, document
from policylang.trace.picture import picture
from policylang.trace.reading import NotAJournal, from_field, read, read_all, shortened, to_field
from policylang.trace.shown import LONGEST, shown

ROOT = Path(__file__).parents[2]


def simple() -> dict[str, Any]:
    return Traced("let a = request.query.a ?? \"-\"\nrequire a != \"2\"\nrespond 200", path="/x?a=2", id="r-1").document


def test_the_whole_of_one() -> None:
    found = simple()
    for entry in found["entries"]:
        del entry["took"]
    policy = found.pop("policy")
    assert len(policy) == 12
    place = {"file": "policy.pol", "column": 1}
    failure = {"name": "requirement-not-met", "status": 403, "kind": "refusal"}
    required = {**place, "line": 3, "end_line": 3, "end_column": 17}
    assert found == {
        "version": 1,
        "service": "s",
        "time": "2026-01-01T00:00:00.000Z",
        "request": {"method": "GET", "path": "/x", "query": "a=2", "host": "api.example", "id": "r-1"},
        "client": {"ip": "192.0.2.1", "port": 40000},
        "status": 403,
        "elapsed": 0,
        "failure": {**failure, "title": "Requirement not met", "assertion": "require", **required},
        "parts": [{"word": "service", "name": "s", **place, "line": 1, "end_line": 5, "end_column": 2}],
        "entries": [
            {"word": "let", **place, "line": 2, "end_line": 2, "end_column": 31, "depth": 0, "outcome": "passed",
             "at": 0, "reads": {"request.query.a": '"2"'}, "binds": {"a": '"2"'}},
            {"word": "require", **required, "depth": 0, "outcome": "failed", **failure, "at": 0,
             "reads": {"a": '"2"'}},
        ],
    }  # fmt: skip


def test_what_the_page_says_is_so() -> None:
    page = (ROOT / "docs/journal.md").read_text()
    example = page.split("```json\n")[1].split("```")[0]
    policy = page.split("```pol\n")[1].split("```")[0]
    drawn = page.split("```text\n")[1].split("```")[0]
    found = read(example)
    assert picture(found, [Source("shop.pol", policy)], times=False) == drawn
    named = set(names_of(found))
    for name in named - {"reads", "binds"}:
        assert f"`{name}`" in page, name


def names_of(value: Any) -> list[str]:
    if isinstance(value, list):
        return [name for each in value for name in names_of(each)]
    if not isinstance(value, dict):
        return []
    inner = [name for key, each in value.items() if key not in ("reads", "binds") for name in names_of(each)]
    return [*value, *inner]


def test_a_plain_journal_and_none_have_no_times_and_no_values() -> None:
    found = Traced("let a = 1\nrespond 200")
    found.exchange.journal = list(found.journal)
    entries = document(found.exchange, found.program)["entries"]
    assert [entry["word"] for entry in entries] == ["let", "respond"]
    assert not any({"at", "took", "reads", "binds"} & entry.keys() for entry in entries)
    found.exchange.journal = None
    assert document(found.exchange, found.program)["entries"] == []


def test_an_exchange_that_was_given_up() -> None:
    found = Traced("respond 200")
    found.exchange.response = None
    assert "status" not in read(json.dumps(document(found.exchange, found.program)))


def test_surroundings_that_are_away_are_told_by_name_only() -> None:
    found = Traced("tell.away\nrespond 200").document
    assert found["failure"]["name"] == "key-set-away" and "detail" not in found["failure"]
    assert "10.0.0.7" not in json.dumps(found)


# --- bounds ---


def test_of_many_entries_those_in_the_middle_are_left_out() -> None:
    rounds = "[" + ", ".join(str(number) for number in range(900)) + "]"
    found = Traced(f"for x in {rounds} {{ require x >= 0\nrequire x < 900 }}\nfail 403").document
    assert len(found["entries"]) == MOST_ENTRIES
    assert found["cut"] == {"after": 500, "entries": 802}
    assert found["entries"][499]["reads"] == {"x": "249"}
    assert found["entries"][500]["reads"] == {"x": "651"}
    assert found["entries"][-1]["word"] == "fail"
    assert read(json.dumps(found)) == found


def test_long_texts_are_cut() -> None:
    found = Traced("let a = request.text\nfail 403, a", "POST", f"/{'x' * 5000}?{'y' * 5000}", body=b"z" * 90_000)
    assert len(found.document["request"]["path"]) == len(found.document["request"]["query"]) == LONGEST_TEXT
    assert len(found.document["failure"]["detail"]) == LONGEST_TEXT
    assert len(json.dumps(found.document)) < 10_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"), (True, "true"), (7, "7"), (0.5, "0.5"), ("a\n\"b\"", '"a\\n\\"b\\""'), ([], "[]"), ({}, "{}"),
        ([1, "b", [None]], '[1, "b", [none]]'), ({"a": 1, "x-y": {}}, '{ a: 1, "x-y": {} }'), (b"abc", "3 bytes"),
        (range(1, 4), "1..3"), (10**400, "a long number"), ([[[[[[[[1]]]]]]]], "[[[[[[[…]]]]]]]"),
    ],
)  # fmt: skip
def test_values_as_short_texts(value: Any, text: str) -> None:
    assert shown(value, lambda text: False) == text


def test_no_value_is_long() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    wide = {str(number): number for number in range(10**5)}
    for value in ("x" * 10**6, ["x"] * 10**6, wide, [["y" * 70] * 9] * 9, deep):
        text = shown(value, lambda text: False)
        assert len(text) <= LONGEST and "…" in text


# --- read back ---


def test_a_field_and_back() -> None:
    found = simple()
    assert from_field(to_field(found).decode()) == found
    assert b"=" not in to_field(found)


def test_a_field_that_is_too_long_loses_entries_in_the_middle() -> None:
    rounds = "[" + ", ".join(f'"{number * 7919 % 9973}"' for number in range(400)) + "]"
    found = Traced(f"let a = 1\nfor x in {rounds} {{ log x }}\nrespond 200").document
    assert len(to_field(found)) > 3000
    field = to_field(found, 3000)
    assert 1500 < len(field) <= 3000
    short = from_field(field.decode())
    assert short["cut"]["entries"] + len(short["entries"]) == 403
    assert short["entries"][0]["word"] == "let" and short["entries"][-1]["word"] == "respond"
    assert to_field(found, 10) == b""


def test_shortening_twice_counts_all() -> None:
    found = {"entries": list(range(100))}
    once = shortened(found, 40)
    assert once == {"entries": [*range(20), *range(80, 100)], "cut": {"after": 20, "entries": 60}}
    twice = shortened(once, 10)
    assert twice == {"entries": [*range(5), *range(95, 100)], "cut": {"after": 5, "entries": 90}}


def damaged(change: Any) -> str:
    found = simple()
    change(found)
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is no journal: it is not JSON (line 1, column 1)"),
        ("[1]", "this is no journal: it is no JSON object with a `version`"),
        ("{}", "this is no journal: it is no JSON object with a `version`"),
        ("[" * 100_000, "this is no journal: it is not JSON (nesting)"),
        ('{"version": 7}', "this journal has version 7, and version 1 is read here"),
        ('{"version": 1}', "this journal is damaged: `policy` is missing"),
        (damaged(lambda found: found["entries"][1].pop("line")),
         "this journal is damaged: `entries[1].line` is missing"),
        (damaged(lambda found: found["entries"][0].update(line=True)),
         "this journal is damaged: `entries[0].line` is not a whole number"),
        (damaged(lambda found: found["entries"][0].update(line=1 << 80)),
         "this journal is damaged: `entries[0].line` is not a whole number"),
        (damaged(lambda found: found["entries"][0].update(outcome="fine")),
         "this journal is damaged: `entries[0].outcome` is no outcome"),
        (damaged(lambda found: found["entries"][0]["reads"].update(x=1)),
         "this journal is damaged: `entries[0].reads.x` is not text"),
        (damaged(lambda found: found.update(client=[])), "this journal is damaged: `client` is not an object"),
    ],
)  # fmt: skip
def test_what_is_no_journal(text: str, message: str) -> None:
    with pytest.raises(NotAJournal) as raised:
        read(text)
    assert str(raised.value) == message


def test_names_that_are_new_are_left_alone() -> None:
    found = {**simple(), "mood": "good"}
    assert read(json.dumps(found)) == found


@pytest.mark.parametrize("value", ["", "x", "?", "eJwD", urlsafe_b64encode(b"{}").decode()])
def test_what_is_no_field(value: str) -> None:
    with pytest.raises(NotAJournal):
        from_field(value)


def test_a_field_that_was_cut() -> None:
    with pytest.raises(NotAJournal, match="damaged: the field was cut"):
        from_field(to_field(simple()).decode()[:-8])


def test_a_field_that_unpacks_to_far_more() -> None:
    bomb = urlsafe_b64encode(zlib.compress(b" " * (20 << 20))).decode()
    with pytest.raises(NotAJournal, match="the field was cut"):
        from_field(bomb)


def test_all_that_a_text_holds() -> None:
    found = simple()
    line, field = json.dumps(found), to_field(found).decode()
    assert list(read_all(json.dumps(found, indent=2))) == [found]
    assert list(read_all(f'{line}\n\n{{"trace":"lost","journals":3}}\n{line}\n')) == [found, found]
    several = "\n".join(json.dumps(each, indent=2) for each in (found, {"trace": "lost", "journals": 3}, found))
    assert list(read_all(several)) == [found, found]
    reading = read_all(f"{several}\ngarbage\n")
    assert [next(reading), next(reading)] == [found, found]
    with pytest.raises(NotAJournal, match=f"^line {several.count(chr(10)) + 2}: this is no journal: it is not JSON"):
        next(reading)
    assert list(read_all(field + "\n")) == [found]
    head = f"HTTP/1.1 403 Forbidden\r\nPolgate-Journal: {field}\r\nDate: x\r\n\r\n{{}}"
    assert list(read_all(head)) == list(read_all(f"< polgate-journal: {field}\n")) == [found]
    with pytest.raises(NotAJournal, match="line 2: this is no journal"):
        list(read_all(f"{line}\n{{x\n"))
    with pytest.raises(NotAJournal, match="no `Polgate-Journal` field: the request showed no token of this gateway"):
        list(read_all("HTTP/1.1 200 OK\r\n\r\n"))
    with pytest.raises(NotAJournal, match="the gateway says of its token `expired`"):
        list(read_all("HTTP/1.1 200 OK\r\nPolgate-Trace: expired\r\n\r\n"))
    with pytest.raises(NotAJournal, match="it is empty"):
        list(read_all("\n"))
