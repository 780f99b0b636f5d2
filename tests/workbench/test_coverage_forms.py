"""How coverage is written: beside the source, as a page, for programs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from coverage_of import covered

from policylang.testing.coverage_data import as_json, as_lcov
from policylang.testing.coverage_html import render as as_html
from policylang.testing.coverage_text import render as as_text

POLICY = """\
# <What> it "says" & does.
map clients, file: "clients.json"

assertion known -> who {
    api_key request.header["K"], in: map("clients") -> who
}

assertion forgotten { ignore }

service a "/a/{x}" {
    known -> who
    match who.contract {
        "gold" -> rate_limit 500/s, per: who.id
        else   -> fail 403, "no contract"
    }
    if path.x == "9" { remove request.header["K"] }
    respond 200,
            json: { id: path.x }
}

service b "/b" {
    respond 204
}
"""
ASKED = ("GET /a/1", ("GET /a/1", {"headers": {"K": "k1"}}), ("GET /a/2", {"headers": {"K": "k1"}}))
BESIDE = """\
p.pol: 7 of 14 outcomes seen, 50 %

 1 | # <What> it "says" & does.
 2 | map clients, file: "clients.json"
 3 |
 4 | assertion known -> who {
 5 >     api_key request.header["K"], in: map("clients") -> who  passed 2, no-api-key 1, unknown-api-key never
 6 | }
 7 |
 8 | assertion forgotten { ignore }
 9 |
10 | service a "/a/{x}" {
11 |     known -> who                                            passed 2, failed inside 1
12 |     match who.contract {                                    passed 2
13 >         "gold" -> rate_limit 500/s, per: who.id             taken 2; passed 2, rate-exceeded never
14 >         else   -> fail 403, "no contract"                   not reached: `match` on line 12 never came to
   |                                                             `else`, asked 2 times
15 |     }
16 >     if path.x == "9" { remove request.header["K"] }         if: passed 2; false 2;
   |                                                             remove: not reached: `path.x == "9"` on line 16
   |                                                             was never true, asked 2 times
17 |     respond 200,                                            responded 2
18 |             json: { id: path.x }
19 | }
20 |
21 | service b "/b" {
22 >     respond 204                                             not reached: no test asks for the service `b`
23 | }

p.pol  7 of 14 outcomes seen, 50 %
    `forgotten` on line 8 is never called
coverage: 7 of 14 outcomes seen, 50 %
"""


def test_beside_the_source() -> None:
    assert as_text(covered(POLICY, *ASKED), width=116) == BESIDE


def test_below_it_where_there_is_no_room() -> None:
    lines = as_text(covered(POLICY, *ASKED), width=70).splitlines()
    at = lines.index(' 5 >     api_key request.header["K"], in: map("clients") -> who')
    assert lines[at + 1 : at + 3] == [
        "   |               passed 2, no-api-key 1, unknown-api-key never",
        " 6 | }",
    ]
    assert max(map(len, lines)) <= 70


def test_colours_say_nothing_that_words_do_not() -> None:
    found = covered(POLICY, *ASKED)
    colored = as_text(found, color=True, width=116)
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == BESIDE
    assert "\x1b[1;31munknown-api-key never\x1b[0m" in colored
    assert "\x1b[32mpassed 2,\x1b[0m" in colored


def test_whatever_stands_in_a_policy_stays_in_its_columns() -> None:
    body = '\trequire path.x == "1"\n    require path.x != "日本語" # \x1b[31m\n    require path.x != "é"'
    lines = as_text(covered(f'service a "/a/{{x}}" {{\n{body}\n    respond 204\n}}\n', "GET /a/1")).splitlines()
    assert lines[3:6] == [
        '2 >     require path.x == "1"               passed 1, requirement-not-met never',
        '3 >     require path.x != "日本語" # \ufffd[31m  passed 1, requirement-not-met never',
        '4 >     require path.x != "é"               passed 1, requirement-not-met never',
    ]


def test_nothing_to_cover_is_covered() -> None:
    assert as_text(covered('upstream u { server "http://127.0.0.1:9" }')) == (
        "p.pol  0 of 0 outcomes seen, 100 %\ncoverage: 0 of 0 outcomes seen, 100 %\n"
    )


class Page(HTMLParser):
    """What stands on a page: its tags in order, its attributes, and the lines of source."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.lines: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self._classes: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag in ("meta", "br"):
            return
        if tag == "code" and self.open[-1] == "div":
            self.lines.append("")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "code" in self.open and self.open[-2:] != ["p", "code"] and "p" not in self.open and self.lines:
            self.lines[-1] += data


def test_the_page_needs_nothing_else() -> None:
    text = as_html(covered(POLICY, *ASKED))
    page = Page(text)
    assert page.open == []
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert all(value.startswith("#") for name, value in page.attributes if name in ("href", "src"))
    assert "url(" not in text and "@import" not in text
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    assert {value[1:] for name, value in page.attributes if name == "href"} <= set(ids)
    assert text == as_html(covered(POLICY, *ASKED)), "the same each time"


def test_the_page_can_be_read_by_whoever_sees_little() -> None:
    """Contrast of WCAG 2.2, 1.4.3 (AA), in light and dark; what a colour says is said in words too."""
    style = as_html(covered(POLICY)).partition("<style>")[2].partition("</style>")[0]
    schemes = style.split("prefers-color-scheme")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", scheme)) for scheme in schemes[:2])

    def luminance(color: str) -> float:
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    grounds = {"full": ["page", "full-back"], "part": ["page", "part-back"], "none": ["page", "none-back"]}
    grounds["text"] = grounds["dim"] = ["page", "panel", "full-back", "part-back", "none-back"]
    for colors in (light, {**light, **dark}):
        for front, backs in grounds.items():
            for back in backs:
                one, other = sorted((luminance(colors[front]), luminance(colors[back])))
                assert (other + 0.05) / (one + 0.05) >= 4.5, (front, back)
    assert 'role="img" title="in part">!<' in as_html(covered(POLICY, *ASKED))


def test_the_page_has_the_source_and_all_that_was_seen() -> None:
    text = as_html(covered(POLICY, *ASKED))
    page = Page(text)
    assert page.lines == POLICY.splitlines()
    for part in ("50 %", "7 of 14 outcomes seen", "asked 3 times", "never asked", "unknown-api-key never",
                 "not reached: match on line 12 never came to else, asked 2 times",
                 "forgotten is never called"):  # fmt: skip
        assert part in page.text, part
    states = re.findall(r'<div class="l (\w*)" id="f0l(\d+)"', text)
    assert {int(line): state for state, line in states if state} == {
        4: "part", 5: "part", 10: "part", 11: "full", 12: "part", 13: "part", 14: "none", 16: "part", 17: "full",
        18: "full", 21: "none", 22: "none",
    }  # fmt: skip


def test_json_has_all_of_it() -> None:
    found = json.loads(as_json(covered(POLICY, *ASKED)))
    assert (found["version"], found["met"], found["goals"], found["untested"]) == (1, 7, 14, [])
    (file,) = found["files"]
    assert file["uncalled"] == [{"assertion": "forgotten", "line": 8}]
    assert [(part["kind"], part["name"], part["asked"], part["met"], part["goals"]) for part in file["parts"]] == [
        ("assertion", "known", 0, 2, 3), ("service", "a", 3, 5, 10), ("service", "b", 0, 0, 1),
    ]  # fmt: skip
    fail = next(each for each in file["statements"] if each["word"] == "fail")
    assert fail == {
        "line": 14, "column": 19, "end_line": 14, "end_column": 42, "word": "fail", "reached": 0,
        "why": "`match` on line 12 never came to `else`, asked 2 times",
        "outcomes": [{"line": 14, "name": "failed", "kind": "refusal", "count": 0, "goal": True}],
    }  # fmt: skip


def test_lcov() -> None:
    assert as_lcov(covered('service a "/a/{x}" {\n    require path.x == "1"\n    respond 204\n}\n', "GET /a/2")) == (
        "TN:\nSF:p.pol\nFN:1,service a\nFNDA:1,service a\nFNF:1\nFNH:1\n"
        "BRDA:2,0,0,0\nBRDA:2,0,1,1\nBRDA:3,1,0,-\nBRF:3\nBRH:1\nDA:1,1\nDA:2,1\nDA:3,0\nLF:3\nLH:2\nend_of_record\n"
    )


MANY_FORMS = """\
global before {
    deny_ip "198.51.100.0/24"
}
global before { all { ignore } }
service a "/a/{x}" {
    if path.x == "1" {
        require client.port == 1
    } else if path.x == "2" { respond 200
    } else {
        any {
            require client.port == 2
            all {
                require path.x == "4"
            }
            try { require path.x == "5"
            } catch e { fail 404 }
        }
    }
    match path.x { "4" -> respond 201
        else -> all { require path.x == "6" }
    }
    respond 204
    on failure {
        log "no"
    }
}
service b "/b" { all { for each in [1] { ignore } } respond 204 }
global after { ignore }
"""


@pytest.mark.parametrize("asked", [(), ("GET /a/1",), ("GET /a/2", "GET /a/4"), ("GET /a/3", "GET /b"), ASKED])
@pytest.mark.parametrize("policy", [POLICY, MANY_FORMS.replace(" } respond", " }\n respond")])
def test_lcov_is_as_lcov_2_wants_it(policy: str, asked: tuple[Any, ...]) -> None:
    """`genhtml` refuses what does not agree with itself."""
    found: dict[str, list[list[str]]] = {}
    for line in as_lcov(covered(policy, *asked)).splitlines():
        word, _, rest = line.partition(":")
        found.setdefault(word, []).append(rest.split(","))
    runs = {int(line): int(count) for line, count in found["DA"]}
    assert all(1 <= line <= policy.count("\n") for line in runs)
    evaluated: dict[int, bool] = {}
    for line, _, _, taken in found["BRDA"]:
        evaluated[int(line)] = evaluated.get(int(line), False) or taken != "-"
    assert {line: runs[line] > 0 for line in evaluated} == evaluated
    assert {int(line) for line, _ in found["FN"]} <= set(runs)
    names = [name for _, name in found["FN"]]
    assert len(set(names)) == len(names) and names == [name for _, name in found["FNDA"]]
    assert found["FNF"] == [[str(len(names))]] and found["LF"] == [[str(len(runs))]]
    assert found["LH"] == [[str(sum(count > 0 for count in runs.values()))]]
    assert found["BRF"] == [[str(len(found["BRDA"]))]]
    assert found["BRH"] == [[str(sum(taken not in ("-", "0") for *_, taken in found["BRDA"]))]]


@pytest.mark.parametrize("form", [as_text, as_html, as_json, as_lcov])
def test_numbers_are_the_same_everywhere(form: object) -> None:
    found = covered(POLICY, *ASKED)
    text = form(found)  # type: ignore[operator]
    assert {as_text: "7 of 14", as_html: "7 of 14", as_json: '"met": 7', as_lcov: "BRF:14\nBRH:7"}[form] in text  # type: ignore[index]
