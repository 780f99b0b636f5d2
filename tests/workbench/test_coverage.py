"""What coverage counts: outcomes of statements, ways through them, and what kept tests from the rest."""

from __future__ import annotations

from time import process_time

import pytest
from coverage_of import covered, told, why

from policylang.check import check_text
from policylang.sdk.bench import StubUpstream
from policylang.sdk.outcome import Failure, Kind
from policylang.source import Source
from policylang.syntax.printer import fmt_text
from policylang.testing.coverage import Coverage, key_of
from policylang.testing.coverage_report import percent, report


def service(body: str, more: str = "") -> str:
    return f'service a "/a/{{x}}" {{\n{body}\n    respond 204\n}}\n{more}'


# --- outcomes --------------------------------------------------------------------------------------


def test_outcomes_of_calls_are_those_of_their_cards() -> None:
    text = service('    api_key request.header["K"], in: map("clients") -> who', 'map clients, file: "clients.json"')
    found = covered(text, "GET /a/1", ("GET /a/1", {"headers": {"K": "k1"}}), "GET /a/1")
    assert told(found) == ["2 api_key: *passed 1, *no-api-key 2, *unknown-api-key 0", "3 respond: *responded 1"]
    assert (found.met, found.goals) == (3, 4)


@pytest.mark.parametrize(
    ("call", "goals"),
    [
        ("rate_limit 1/s", ["passed", "rate-exceeded"]),
        ("rate_limit 1/s, blackout: 1m", ["passed", "rate-exceeded", "in-blackout"]),
        ("rate_limit 1/s, log_only: true", ["passed"]),
        ("quota 1/day", ["passed", "quota-exceeded"]),
        ("quota 1/day, log_only: true", ["passed"]),
        ("concurrency_limit 1", ["passed", "too-many-concurrent"]),
        ("concurrency_limit 1, log_only: true", ["passed"]),
        ('not_replayed path.x, within: 1m, log_only: true', ["passed"]),
        ("limit_size request, 1KB", ["passed", "request-too-large"]),
        ('lookup path.x, in: map("kept")', ["passed", "no-entry"]),
        ('lookup path.x, in: map("kept"), optional: true', ["passed"]),
        ('let y = request.header["Y"]', ["passed", "missing-value"]),
        ('let y? = request.header["Y"]', ["passed"]),
        ("let y = path.x", ["passed"]),
        ('require path.x == "1"', ["passed", "requirement-not-met"]),
        ("none { deny_ip \"10.0.0.1\" }", ["passed", "not-refused"]),
        ("none { fail 403 }", ["passed"]),
        ("none { all { fail 403 } else ignore }", ["passed", "not-refused"]),
        ("none { try { fail 403 } catch e { ignore } }", ["passed", "not-refused"]),
        ('match path.x { "1" -> ignore }', ["taken", "no-match"]),
        ('match path.x == "1" { true -> ignore\n false -> ignore }', ["taken", "taken"]),
        ("cache ttl: 1m { respond 200 }", ["passed", "block run", "block skipped"]),
    ],
)  # fmt: skip
def test_goals_are_what_this_very_call_can_come_to(call: str, goals: list[str]) -> None:
    found = covered(service(f"    {call}", "map kept, ttl: 1m"))
    (first, *_) = found.files[0].statements
    assert sorted(mark.label for mark in first.marks if mark.goal) == sorted(goals)


def test_errors_and_what_is_away_are_shown_and_no_goals() -> None:
    text = 'upstream u { server "http://127.0.0.1:9" }\nservice a "/a/**" { route u }'
    down = Failure("upstream-unreachable", 502, kind=Kind.ERROR)
    found = covered(text, "GET /a/1", "GET /a/2", "GET /a/3", upstreams={"u": StubUpstream(down, down)})
    assert told(found) == ["2 route: *passed 0, upstream-unreachable 3"]


def test_who_passes_a_failure_on_has_not_said_no() -> None:
    text = service("    all {\n        lockout client.ip, after: 1, within: 1m, for: 1m {\n"
                   "            require path.x == \"1\"\n        }\n    }")  # fmt: skip
    found = covered(text, "GET /a/2", "GET /a/1", "GET /a/1")
    assert told(found) == [
        "2 all: failed inside 3",
        "3 lockout: *passed 0, *locked-out 2, failed inside 1",
        "4 require: *passed 0, *requirement-not-met 1",
        "7 respond: *responded 0",
    ]


# --- ways ------------------------------------------------------------------------------------------


def test_an_else_that_is_not_written_is_a_way() -> None:
    found = covered(service('    if path.x == "1" { ignore }'), "GET /a/1", "GET /a/2", "GET /a/3")
    assert told(found)[0] == "2 if: *true 1, *false 2, passed 3"


def test_ways_through_nested_statements() -> None:
    text = service("""\
    for each in request.json {
        if each == 1 {
            match path.x {
                "a" -> any {
                    require each == 2
                    all { ignore }
                }
                else -> try {
                    require client.port == 1
                } catch e {
                    ignore
                }
            }
        } else if each == 2 {
            require path.x == "b" else ignore
        }
    }""")
    found = covered(text, ("POST /a/a", {"body": b"[1, 2, 3, 1]"}), ("POST /a/b", {"body": b"[1, 2, 2]"}),
                    ("POST /a/b", {"body": b"[]"}), ("POST /a/b", {"body": b"{}"}))  # fmt: skip
    assert told(found) == [
        "2 for: *passed 3, no round 1, wrong-type 1",
        "3 if: *true 3, passed 7, *true 3, *none true 1",
        "4 match: passed 3, *taken 2, *taken 1",
        "5 any: passed 2, *sufficed 2",
        "6 require: *passed 0, *requirement-not-met 2",
        "7 all: passed 2",
        "7 ignore: *passed 2",
        "9 try: *body passed 0, passed 1, *caught 1",
        "10 require: *passed 0, *requirement-not-met 1",
        "12 ignore: *passed 1",
        "16 else: *fallen to 1, passed 3",
        "16 require: *passed 2, *requirement-not-met 1",
        "16 ignore: *passed 1",
        "19 respond: *responded 3",
    ]


def test_branches_side_by_side() -> None:
    text = service("""\
    parallel {
        if path.x == "1" { require client.port == 1 }
        all {
            allow_ip "192.0.2.1"
            if path.x == "1" { ignore }
        }
    }""")
    found = covered(text, "GET /a/1", "GET /a/2", ("GET /a/2", {"client": "10.0.0.1"}))
    assert told(found) == [
        "2 parallel: passed 1, failed inside 2",
        "3 if: *true 1, *false 2, passed 2, failed inside 1",
        "3 require: *passed 0, *requirement-not-met 1",
        "4 all: passed 1, failed inside 1",
        "5 allow_ip: *passed 1, *ip-not-allowed 1",
        "6 if: *true 0, *false 1, passed 1",
        "6 ignore: *passed 0",
        "9 respond: *responded 1",
    ]


def test_branches_with_nothing_in_them_are_told_apart_from_others_only() -> None:
    found = covered(service('    if path.x == "1" { } else if path.x == "2" { ignore }'), "GET /a/1", "GET /a/2")
    assert told(found)[0] == "2 if: *true 1, *one of the empty branches 1, passed 2"


def test_shares_of_a_split() -> None:
    body = "        50 -> ignore\n        50 -> remove request.query.q\n"
    text = service(f"    split by: path.x, name: \"s\" {{\n{body}    }}")
    found = covered(text, *[f"GET /a/{x}" for x in range(10)])
    taken = [mark.count for mark in found.files[0].statements[0].marks if mark.goal]
    assert sum(taken) == 10
    assert all(taken)


def test_a_block_that_may_be_skipped() -> None:
    text = 'upstream u { server "http://127.0.0.1:9" }\nservice a "/a/**" { cache ttl: 1m { route u } }'
    found = covered(text, "GET /a/1", "GET /a/1", "GET /a/1")
    assert told(found)[0] == "2 cache: *passed 3, *block run 1, *block skipped 2"


# --- assertions of one's own -----------------------------------------------------------------------

OWN = """\
assertion of(name: string, strict: boolean = false) -> found {
    if strict { require path_of == "x" }
    let found = name
}
assertion forgotten { ignore }
let path_of = "x"
service a "/a/{x}" {
    of path.x -> one
    respond 204
}
service b "/b/{x}" {
    of path.x, strict: true -> one
    respond 204
}
"""


def test_calls_of_an_assertion_are_counted_together_and_each_apart() -> None:
    found = covered(OWN, "GET /a/1", "GET /a/2")
    assert told(found) == [
        "2 if: *true 0, *false 2, passed 2",
        "2 require: *passed 0",
        "3 let: *passed 2",
        "8 of: *passed 2",
        "9 respond: *responded 2",
        "12 of: *passed 0",
        "13 respond: *responded 0",
    ]
    assert found.files[0].uncalled == (("forgotten", 5),)
    assert why(found)[12] == "no test asks for the service `b`"


def test_a_service_of_the_same_name_calls_no_assertion() -> None:
    found = covered("assertion a { ignore }\n" + service("    ignore"), "GET /a/1")
    assert found.files[0].uncalled == (("a", 1),)


def test_many_statements_in_a_row_have_one_reason() -> None:
    count = 2500
    body = "\n".join(f'    require path.x != "{number}"' for number in range(count))
    checked = check_text(service(body), "p.pol")
    assert checked.program is not None
    coverage = Coverage()
    key = key_of(checked.program.services[0].body.statements[0])
    coverage.add({key: {"refusal:requirement-not-met": 1}})
    began = process_time()
    found = report([checked.program], coverage.counts)
    assert process_time() - began < 0.6, "of the processor: far from a pass over all for each"
    reasons = set(why(found).values())
    assert reasons == {"`require` on line 2 always failed, with `requirement-not-met`"}


def test_what_no_call_can_come_to_is_no_goal() -> None:
    text = OWN.replace(", strict: true", "")
    found = covered(text, "GET /a/1", "GET /b/1")
    assert found.met == found.goals


# --- what does not change it -----------------------------------------------------------------------


def words(lines: list[str]) -> list[list[str]]:
    """Without lines, and what stands on which."""
    return [sorted(line.partition(" ")[2].replace(":", ",").split(", ")) for line in lines]


def test_layout_does_not_matter() -> None:
    wide = """\
service a "/a/{x}" {
    if path.x == "1" {
        require client.port == 1
    } else {
        respond 200
    }
    match path.x {
        "1" -> {
            respond 201
        }
        else -> {
            respond 202
        }
    }
}
"""
    narrow = 'service a "/a/{x}" {\n    if path.x == "1" { require client.port == 1 } else { respond 200 }\n' \
             '    match path.x {\n        "1" -> respond 201\n        else -> respond 202\n    }\n}\n'
    requests = ("GET /a/1", "GET /a/2")
    one, other = covered(wide, *requests), covered(narrow, *requests)
    assert words(told(one)) == words(told(other))
    assert (one.met, one.goals) == (other.met, other.goals) == (4, 9)
    laid_out = fmt_text(Source("p.pol", narrow.replace("\n    ", "\n  ")))
    assert isinstance(laid_out, str)
    assert told(covered(laid_out, *requests)) == told(other)


def test_shares_are_rounded_down() -> None:
    assert [percent(999, 1000), percent(1000, 1000), percent(0, 3), percent(0, 0)] == ["99 %", "100 %", "0 %", "100 %"]


# --- why not ---------------------------------------------------------------------------------------

ASKED = ("GET /a/1", "GET /a/1")


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        ('    require path.x == "2"', 3, "`require` on line 2 always failed, with `requirement-not-met`"),
        ("    respond 200, body: path.x\n    }\n    service b \"/b\" {", 5, "no test asks for the service `b`"),
        ('    if path.x == "2" {\n        ignore\n    }', 3, '`path.x == "2"` on line 2 was never true, asked 2 times'),
        ('    if path.x == "1" { ignore } else {\n        ignore\n    }', 3,
         "`if` on line 2 always took another branch, asked 2 times"),
        ('    match path.x {\n        "1" -> ignore\n        "2" -> ignore\n    }', 4,
         "`match` on line 2 never came to this case, asked 2 times"),
        ('    match path.x {\n        "1" -> ignore\n        else -> ignore\n    }', 4,
         "`match` on line 2 never came to `else`, asked 2 times"),
        ("    any {\n        ignore\n        require path.x == \"3\"\n    }", 4,
         "a branch before it always ended `any` on line 2"),
        ('    none {\n        require path.x == "1"\n        require path.x == "3"\n    }', 4,
         "a branch before it was never refused in `none` on line 2"),
        ("    require path.x == \"1\" else {\n        fail 404\n    }", 3,
         "what stands left of `else` on line 2 never failed, asked 2 times"),
        ("    try {\n        ignore\n    } catch e {\n        fail 404\n    }", 5,
         "nothing failed in `try` on line 2, asked 2 times"),
        ("    for each in all(request.query.q) {\n        ignore\n    }", 3,
         "`for` on line 2 never had a round, asked 2 times"),
        ('    if path.x == "2" {\n        all {\n            ignore\n        }\n    }', 4,
         '`path.x == "2"` on line 2 was never true, asked 2 times'),
        ('    if path.x == "1" { respond 200 }', 3, "`if` on line 2 always responded"),
        ('    all {\n        require path.x == "3"\n    }', 5, "`all` on line 2 always failed inside"),
        ('    if path.x == "2" {\n        later\n    }', 7, "`later` was never called: line 3 was not reached"),
        ('    if path.x == "2" {\n        later\n        later\n    }', 8,
         "`later` was never called: neither of line 3 and line 4 was reached"),
    ],
)  # fmt: skip
def test_why_nothing_came_to_it(body: str, line: int, reason: str) -> None:
    more = "assertion later { ignore }" if "later" in body else ""
    assert why(covered(service(body, more), *ASKED))[line] == reason


def test_why_nothing_came_to_what_stands_around_services() -> None:
    text = 'global before { deny_ip "192.0.2.1" }\nservice a "/a/{x}" {\n    ignore\n    respond 204\n' \
           '    on failure {\n        ignore\n    }\n}\nglobal after { ignore }'
    assert why(covered(text)) == {
        1: "no test asks for anything",
        3: "no test asks for the service `a`",
        4: "no test asks for the service `a`",
        6: "no test asks for the service `a`",
        9: "no test had an answer",
    }
    assert why(covered(text, *ASKED)) == {
        3: "`global before` ended each of the 2 requests to `a`",
        4: "`global before` ended each of the 2 requests to `a`",
        6: "none of the 2 requests to `a` failed after `global before`",
    }
