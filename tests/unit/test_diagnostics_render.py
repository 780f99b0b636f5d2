"""The renderers: the look of a diagnostic on a terminal, and the same facts for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policylang.diagnostics import Diagnostic, Edit, Fix, Label, Severity, as_json, github, sarif, text
from policylang.diagnostics.nearest import nearest
from policylang.source import Source, Span

POLICY = """\
service payments "/payments" {
    any {
        allow_ip "10.0.0.0/8"
        verify_jwt request.bearer, keys: keys -> who
    }

    rate_limit 5/s, per: who.sub
    route payments
}
"""


def span(source: Source, piece: str, nth: int = 0) -> Span:
    start = -1
    for _ in range(nth + 1):
        start = source.text.index(piece, start + 1)
    return Span(source, start, start + len(piece))


def example() -> Diagnostic:
    source = Source("payments.pol", POLICY)
    return Diagnostic(
        "unset-variable", span(source, "who", 1), "`who` may be unset here",
        label="reached also when line 4 was not", labels=(Label(span(source, "who"), "set here, inside this `any`"),),
        help="set `who` in every branch",
    )


def test_the_look() -> None:
    assert text.render([example()]) == """\
error[unset-variable]: `who` may be unset here
 --> payments.pol:7:26
  |
4 |         verify_jwt request.bearer, keys: keys -> who
  |                                                  --- set here, inside this `any`
  |
7 |     rate_limit 5/s, per: who.sub
  |                          ^^^ reached also when line 4 was not
  |
help: set `who` in every branch
more: pol explain unset-variable
"""


def lines(diagnostic: Diagnostic, **options: Any) -> list[str]:
    return text.render([diagnostic], more=False, **options).split("\n")


def test_numbers_of_lines_stand_on_the_right() -> None:
    source = Source("x", "a\n" * 8 + "first\nsecond\n")
    found = Diagnostic("x-y", span(source, "second"), "m", labels=(Label(span(source, "first"), "l"),))
    assert lines(found)[1:-1] == [
        "  --> x:10:1",
        "   |",
        " 9 | first",
        "   | ----- l",
        "10 | second",
        "   | ^^^^^^",
        "   |",
    ]


def test_two_places_on_one_line_and_a_span_over_several() -> None:
    source = Source("x", "f(a, {\n  b\n})\n")
    found = Diagnostic("x-y", Span(source, 5, 12), "m", labels=(Label(span(source, "a"), "l"),))
    assert lines(found)[3:-2] == ["1 | f(a, {", "  |   - l", "  |      ^"]


def test_wide_characters_and_tabs_keep_the_marks_in_place() -> None:
    source = Source("x", 'log\t"日本e\u0301" = b\n')
    assert lines(Diagnostic("x-y", span(source, "="), "m"))[3:5] == [
        '1 | log    "日本e\u0301" = b',
        "  | " + " " * len('log    "----e" ') + "^",
    ]


def test_what_would_move_the_cursor_or_hide_is_shown_as_such() -> None:
    source = Source("x", "a \x1b[2J\u202e b\n")
    found = Diagnostic("x-y", span(source, "b"), "m `\x1b`", label="l \x07", help="h \x9b")
    assert lines(found) == [
        "error[x-y]: m `�`", " --> x:1:9", "  |", "1 | a �[2J� b", "  |         ^ l �", "  |", "help: h �", ""
    ]  # fmt: skip


def test_long_lines_are_cut_around_the_mark() -> None:
    source = Source("x", "a" * 300 + "HERE" + "b" * 300)
    shown = lines(Diagnostic("x-y", span(source, "HERE"), "m"))[3:5]
    assert shown[0].startswith("1 | …") and shown[0].endswith("…") and len(shown[0]) < 130
    assert shown[0].index("HERE") == shown[1].index("^^^^")


def test_an_empty_span_marks_one_column_and_the_end_may_be_marked() -> None:
    source = Source("x", "ab\n")
    assert lines(Diagnostic("x-y", Span(source, 1, 1), "m"))[3:5] == ["1 | ab", "  |  ^"]
    assert lines(Diagnostic("x-y", Span(source, 3, 3), "m"))[1:5] == [" --> x:2:1", "  |", "2 |", "  | ^"]


def test_another_file_has_a_pointer_of_its_own() -> None:
    one, two = Source("one.pol", "let a = 1\n"), Source("two.pol", "\nlet a = 2\n")
    found = Diagnostic("x-y", span(two, "a"), "m", labels=(Label(span(one, "a"), "first here"),))
    assert lines(found)[1:-2] == [
        " --> two.pol:2:5",
        "  |",
        "2 | let a = 2",
        "  |     ^",
        " ::: one.pol:1:5",
        "  |",
        "1 | let a = 1",
        "  |     - first here",
    ]


def test_severities_fixes_and_colours() -> None:
    source = Source("x", "a\n")
    fix = Fix("write `b`", (Edit(Span(source, 0, 1), "b"),))
    found = Diagnostic("x-y", Span(source, 0, 1), "m", Severity.WARNING, fix=fix)
    assert lines(found)[0] == "warning[x-y]: m" and lines(found)[-2] == "help: write `b`"
    both = Diagnostic("x-y", Span(source, 0, 1), "m", help="h", fix=fix)
    assert lines(both)[-3:-1] == ["help: h", "fix: write `b`"]
    colored = text.render([found], color=True)
    assert "\x1b[1;33mwarning[x-y]\x1b[0m" in colored
    assert text.render([]) == "" and text.render([found, found]).count("\n\n") == 1


def test_json() -> None:
    source = Source("x.pol", "a = b\n")
    fix = Fix("write `==`", (Edit(Span(source, 2, 3), "=="),), safe=True)
    data = json.loads(as_json.render([Diagnostic("x-y", Span(source, 2, 3), "m", label="l", help="h", fix=fix)]))
    place = {"file": "x.pol", "line": 1, "column": 3, "end_line": 1, "end_column": 4}
    assert data == {
        "version": 1,
        "diagnostics": [
            {"name": "x-y", "severity": "error", "message": "m", **place, "label": "l", "help": "h",
             "fix": {"title": "write `==`", "safe": True, "edits": [{**place, "replacement": "=="}]}}
        ],
    }  # fmt: skip
    assert json.loads(as_json.render([example()]))["diagnostics"][0]["labels"][0]["line"] == 4


def test_sarif() -> None:
    fix = Fix("t", (Edit(example().span, "x"),))
    found = [example(), Diagnostic("a-b", Span(Source("-", "a"), 0, 1), "m", Severity.INFO, fix=fix)]
    log = json.loads(sarif.render(found, version="0.1"))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0" and run["columnKind"] == "unicodeCodePoints"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["a-b", "unset-variable"]
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("unset-variable", 1, "error")
    location = first["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "payments.pol"
    assert location["region"] == {"startLine": 7, "startColumn": 26, "endLine": 7, "endColumn": 29}
    assert first["relatedLocations"][0]["message"]["text"] == "set here, inside this `any`"
    assert second["level"] == "note"
    assert second["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "stdin"
    (change,) = second["fixes"][0]["artifactChanges"]
    assert change["replacements"][0]["insertedContent"]["text"] == "x"


def test_sarif_has_what_is_read_of_a_rule_in_lists() -> None:
    page = "# unset-variable\n\nA name that is not set. \nMore of it.\n"
    (run,) = json.loads(sarif.render([example()], pages={"unset-variable": page}))["runs"]
    assert run["tool"]["driver"]["rules"][0] == {
        "id": "unset-variable", "shortDescription": {"text": "A name that is not set."},
        "help": {"text": "pol explain unset-variable", "markdown": page},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "uri"), [("a b:c.pol", "a%20b%3Ac.pol"), ("caf\udce9/é.pol", "caf%E9/%C3%A9.pol")]
)
def test_a_file_of_any_name_has_a_uri(name: str, uri: str) -> None:
    found = Diagnostic("a-b", Span(Source(name, "a"), 0, 1), "m")
    (result,) = json.loads(sarif.render([found]))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": uri}


def test_github() -> None:
    assert github.render([example()]) == (
        "::error file=payments.pol,line=7,endLine=7,col=26,endColumn=28,title=unset-variable"
        "::`who` may be unset here (reached also when line 4 was not)%0Ahelp: set `who` in every branch\n"
    )
    source = Source("a,b:c.pol", "x\ny")
    found = Diagnostic("x-y", Span(source, 0, 3), "100%", Severity.INFO)
    assert github.render([found]) == "::notice file=a%2Cb%3Ac.pol,line=1,endLine=2,title=x-y::100%25\n"


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("rate_limt", ["route", "rate_limit"], "rate_limit"),
        ("servcie", ["service", "require"], "service"),
        ("Route", ["route"], "route"),
        ("roue", ["rouge", "route"], "rouge"),
        ("x", ["y"], "y"),
        ("ab", ["xy"], None),
        ("quota", ["rate_limit", "route"], None),
        ("route", ["routes", "route"], "route"),
        ("anything", [], None),
    ],
)
def test_nearest(word: str, known: list[str], meant: str | None) -> None:
    assert nearest(word, known) == meant
