"""Pictures of journals: exact texts, as documentation. `Traced.drawn` leaves out times and the policy's hash."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

sys.path.insert(0, str(Path(__file__).parent))

from traced import Traced

from policylang.source import Source
from policylang.trace.picture import MOST_LINES, picture, time_text, verdict
from policylang.trace.reading import read

HEAD = "{} /{}\nclient 192.0.2.1, host api.example, service s\n\n"


def drawn(text: str, expected: str, method: str = "GET", path: str = "", **request: object) -> Traced:
    found = Traced(dedent(text).strip(), method, f"/{path}", **request)  # type: ignore[arg-type]
    assert found.drawn() == HEAD.format(method, path) + dedent(expected).lstrip("\n")
    return found


def test_a_refusal_has_the_caret_at_its_line() -> None:
    drawn(
        """
        service s "/**" {
            let tier = request.header["X-Tier"] ?? "none"
            require tier in ["gold", "silver"]
            route one
        }
        """,
        """
         --> policy.pol:1
        1   | service s "/**" {
        2 ✓ |     let tier = request.header["X-Tier"] ?? "none"   request.header["X-Tier"] = "tin"   -> tier = "tin"
        3 ✗ |     require tier in ["gold", "silver"]              tier = "tin"
            |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 403 requirement-not-met
        4 · |     route one
        5   | }

        => 403 requirement-not-met
        """,
        headers={"X-Tier": "tin"},
    )


def test_what_a_statement_that_passed_has_left_out() -> None:
    drawn(
        """
        service s "/**" {
            if (request.method == "PUT" or
                request.method == "POST") {
                fail 403,
                    "no"
            } else if request.method == "DELETE" {
                # None of these.
                fail 405
            }
            for x in [] {
                log "x"
            }
            try {
                require (true or
                    false)
            } catch e {
                fail 400
            }
            all { ignore
                ignore }
            respond 200,
                json: {
                    a: 1
                }
        }
        """,
        """
          --> policy.pol:1
         1   | service s "/**" {
         2 ✓ |     if (request.method == "PUT" or   request.method = "GET"
         3   |         request.method == "POST") {
         4 · |         fail 403,
         5 · |             "no"
         6   |     } else if request.method == "DELETE" {
         7   |         # None of these.
         8 · |         fail 405
         9   |     }
        10 ✓ |     for x in [] {
        11 · |         log "x"
        12   |     }
        13 ✓ |     try {
        14 ✓ |         require (true or
        15   |             false)
        16 · |     } catch e {
        17 · |         fail 400
        18   |     }
        19 ✓ |     all { ignore
        20 ✓ |         ignore }
        21 → |     respond 200,
        22   |         json: {
        23   |             a: 1
        24   |         }
        25   | }

        => 200
        """,
    )


def test_a_condition_of_several_lines_before_what_ran() -> None:
    drawn(
        """
        service s "/**" {
            if (request.method == "GET" or
                request.method == "POST") {
                respond 200
            }
            route one
        }
        """,
        """
         --> policy.pol:1
        1   | service s "/**" {
        2 → |     if (request.method == "GET" or   request.method = "GET"
        3   |         request.method == "POST") {
        4 → |         respond 200
        5   |     }
        6 · |     route one
        7   | }

        => 200
        """,
    )


def test_ways_that_were_tried_and_ways_that_were_not() -> None:
    drawn(
        """
        service s "/**" {
            any {
                require request.method == "PUT"
                # A comment is no statement.
                all {
                    tell.refuse
                    ignore
                }
                tell.pause 1ms
                ignore
            }
            none {
                tell.refuse
            }
            if request.method == "PUT" {
                fail 405
            } else {
                respond 204
            }
        }
        """,
        """
          --> policy.pol:1
         1   | service s "/**" {
         2 ✓ |     any {
         3 ~ |         require request.method == "PUT"   403 requirement-not-met   request.method = "GET"
         4   |         # A comment is no statement.
         5 ~ |         all {
         6 ~ |             tell.refuse                   401 refused
         7 · |             ignore
         8   |         }
         9 ✓ |         tell.pause 1ms
        10 · |         ignore
        11   |     }
        12 ✓ |     none {
        13 ~ |         tell.refuse                       401 refused
        14   |     }
        15 → |     if request.method == "PUT" {          request.method = "GET"
        16 · |         fail 405
        17   |     } else {
        18 → |         respond 204
        19   |     }
        20   | }

        => 204
        """,
    )


def test_an_assertion_of_the_policys_own_is_drawn_where_it_is_called() -> None:
    drawn(
        """
        # Whoever is known.
        assertion known(name: string) -> short {
            require name != "eve"
            let short = substring(name, 0, 1)
        }
        service s "/{name}" {
            known path.name -> letter
            for other in ["ann", "eve"] {
                known other
            }
            respond 200
        }
        """,
        """
          --> policy.pol:6
         6   | service s "/{name}" {
         7 ✓ |     known path.name -> letter   path.name = "bob"   -> letter = "b"
          --> ┆ policy.pol:2
         2   | ┆ assertion known(name: string) -> short {
         3 ✓ | ┆     require name != "eve"               name = "bob"
         4 ✓ | ┆     let short = substring(name, 0, 1)   name = "bob"   -> short = "b"
         5   | ┆ }
         8 ✗ |     for other in ["ann", "eve"] {
         9 ✗ |         known other             2 times, 1 failed   other = "eve"
          --> ┆ policy.pol:2
         2   | ┆ assertion known(name: string) -> short {
         3 ✗ | ┆     require name != "eve"               2 times, 1 failed   name = "eve"
             |       ^^^^^^^^^^^^^^^^^^^^^ 403 requirement-not-met
         4 ✓ | ┆     let short = substring(name, 0, 1)   name = "ann"   -> short = "a"
         5   | ┆ }
        10   |     }
        11 · |     respond 200
        12   | }

        => 403 requirement-not-met
        """,
        path="bob",
    )


def test_branches_of_parallel_and_what_was_given_up() -> None:
    drawn(
        """
        service s "/**" {
            parallel {
                tell.pause 10ms
                all {
                    tell.pause 5ms
                    tell.refuse
                }
                tell.pause 1s
            }
            route one
            on failure {
                respond 503, json: { why: failure.name }
            }
        }
        """,
        """
          --> policy.pol:1
         1   | service s "/**" {
         2 ✗ |     parallel {
         3 ✓ |         tell.pause 10ms
         4 ✗ |         all {
         5 ✓ |             tell.pause 5ms
         6 ✗ |             tell.refuse
             |             ^^^^^^^^^^^ 401 refused
         7   |         }
         8 ! |         tell.pause 1s                              cancelled
         9   |     }
        10 · |     route one
        11   |     on failure {
        12 → |         respond 503, json: { why: failure.name }   failure.name = "refused"
        13   |     }
        14   | }

        => 503, after 401 refused
        """,
    )


def test_globals_and_a_body_that_cannot_be_had() -> None:
    drawn(
        """
        global before { limit_size request, 4B }
        service s "/**" {
            require request.json.a == 1
            route one
        }
        global after {
            set response.header["X-Over"] = "1"
        }
        """,
        """
         --> policy.pol:1
        1 ✓ | global before { limit_size request, 4B }

         --> policy.pol:2
        2   | service s "/**" {
        3 ✗ |     require request.json.a == 1
            |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^ 413 body-too-large: over 4 bytes
        4 · |     route one
        5   | }

         --> policy.pol:6
        6   | global after {
        7 ✓ |     set response.header["X-Over"] = "1"   -> response.header["X-Over"] = "1"
        8   | }

        => 413 body-too-large: over 4 bytes
        """,
        "POST",
        body=b'{"a": 1}',
        streams=True,
    )


def test_long_lines_have_their_values_below() -> None:
    drawn(
        """
        service s "/**" {
            let greeting = "Good morning to ${request.header["X-First-Name"] ?? "whoever you are"}, and welcome"
            respond 200
        }
        """,
        """
         --> policy.pol:1
        1   | service s "/**" {
        2 ✓ |     let greeting = "Good morning to ${request.header["X-First-Name"] ?? "whoever you are"}, and welcome"
            |         request.header["X-First-Name"] = "Ann"   -> greeting = "Good morning to Ann, and welcome"
        3 → |     respond 200
        4   | }

        => 200
        """,
        headers={"X-First-Name": "Ann"},
    )


def test_long_stretches_that_did_not_run_are_left_out() -> None:
    body = "\n".join(f'    set request.header["X-{number}"] = "1"' for number in range(40))
    text = Traced(f'service s "/**" {{\n    require request.method == "PUT"\n{body}\n    route one\n}}').drawn()
    assert "\n     | … 37 lines that were not reached\n" in text
    assert text.count("\n") == 15


def test_what_is_in_a_text_cannot_paint_the_terminal() -> None:
    text = Traced('let a = request.query.a ?? ""\nrequire a == ""\nrespond 200', path="/?a=%1b%5b31m%0ax").drawn()
    assert "\x1b" not in text and '"\\x1b[31m\\nx"' in text


def test_an_exchange_without_a_service() -> None:
    found = Traced('service s "/only" {\nrespond 200\n}', path="/other")
    assert found.drawn() == "GET /other\nclient 192.0.2.1, host api.example, no service\n\n=> 404 no-service\n"


def test_without_the_policys_text_the_entries_stand_alone() -> None:
    found = Traced("any {\nrequire request.method == \"PUT\"\nignore\n}\nrespond 200")
    text = picture(found.document, [], times=False)
    assert text.splitlines()[3:] == [
        " --> policy.pol:1",
        "  ✓ | any  policy.pol:2:1",
        '  ~ |     require  policy.pol:3:1   403 requirement-not-met   request.method = "GET"',
        "  ✓ |     ignore  policy.pol:4:1",
        "  → | respond  policy.pol:6:1",
        "",
        "=> 200",
    ]


def test_another_text_than_the_policys_is_drawn_as_well() -> None:
    found = Traced("let a = request.method\nrequire a == \"PUT\"\nrespond 200")
    for text in ("", "x", "\n" * 3, "x\n" * 5000):
        assert "=>" in picture(found.document, [Source("policy.pol", text)])


def test_colours() -> None:
    text = Traced("let a = 1\nfail 403").drawn(color=True)
    assert "\x1b[32m✓\x1b[0m" in text and "\x1b[1;31m=> 403 failed\x1b[0m" in text


def test_of_a_journal_that_was_cut_nobody_knows_what_was_not_reached() -> None:
    rounds = f"for x in [{', '.join('1' * 30)}] {{ for y in [{', '.join('1' * 30)}] {{ require x == y }} }}\n"
    found = Traced(f"{rounds}let between = 1\n{rounds.replace('x', 'v').replace('y', 'w')}respond 200")
    assert not any(entry["word"] == "let" for entry in found.document["entries"])
    text = found.drawn()
    assert "3   | let between = 1\n" in text and "entries in the middle are left out" in text


def test_bounded() -> None:
    found = Traced("let a = 1\nrespond 200").document
    body = {"file": "policy.pol", "line": 1, "column": 1, "end_line": 4, "end_column": 1}
    entry = {**found["entries"][0], "body": body}
    found["entries"] = [{**entry, "depth": 1000 - number} for number in range(1000)]
    text = picture(found, [Source("policy.pol", 'service s "/**" {\nlet a = 1\nrespond 200\n}\n')])
    assert text.count("\n") <= MOST_LINES + 5
    found["parts"][0]["end_line"] = found["entries"][0]["end_line"] = 1 << 60
    assert "=>" in picture(found, [Source("policy.pol", "service")])


def test_times() -> None:
    assert [time_text(ns) for ns in (0, 99, 100, 1500, 25_400, 1_200_000, 80_000_000, 1_500_000_000, 10**12)] == [
        "0 µs", "0 µs", "0.1 µs", "1.5 µs", "25 µs", "1.2 ms", "80 ms", "1.5 s", "1000 s",
    ]  # fmt: skip
    found = Traced("tell.pause 2s\nrespond 200")
    text = picture(found.document, found.program.sources)
    assert "tell.pause 2s   2.0 s" in text and text.endswith("=> 200  in 2.0 s\n")


def test_an_exchange_that_was_given_up() -> None:
    found = Traced("respond 200").document
    del found["status"]
    assert verdict(found) == "given up, without an answer"
    assert verdict({**found, "failure": {"name": "refused", "status": 401}}) == "given up, after 401 refused"


def test_what_was_left_out_is_said() -> None:
    found = Traced("respond 200").document
    found["cut"] = {"after": 0, "entries": 12}
    import json

    text = picture(read(json.dumps(found)), [])
    assert "12 entries in the middle are left out of this journal" in text
