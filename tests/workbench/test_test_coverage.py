"""`pol test --coverage`: what is counted, and where it is written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from asked import POLICY, TESTS, Pol


def test_coverage_as_text(folder: Path, pol: Pol) -> None:
    code, out, err = pol("--coverage", "--filter", "nothing")
    assert (code, err) == (0, "")
    assert out == """\
orders_test.pol  1 passed

1 test: 1 passed; 1 request in 0.00 s

orders.pol: 1 of 3 outcomes seen, 33 %

1 | upstream orders { server "http://127.0.0.1:9000" }
2 |
3 | service orders "/orders/{id}" {
4 >     require path.id != "0"  passed never, requirement-not-met 1
5 >     route orders            not reached: `require` on line 4 always failed, with `requirement-not-met`
6 | }

orders.pol  1 of 3 outcomes seen, 33 %
coverage: 1 of 3 outcomes seen, 33 %
"""


def test_what_is_whole_is_one_line_unless_all_is_asked_for(folder: Path, pol: Pol) -> None:
    assert pol("--coverage")[1].endswith(
        "s\n\norders.pol  3 of 3 outcomes seen, 100 %\ncoverage: 3 of 3 outcomes seen, 100 %\n"
    )
    assert "4 |     require path.id != \"0\"  passed 1, requirement-not-met 1\n" in pol("--coverage", "--verbose")[1]


def test_coverage_to_files(folder: Path, pol: Pol) -> None:
    assert pol("--coverage", "html")[2] == "coverage is in coverage.html\n"
    assert (folder / "coverage.html").read_text().startswith("<!doctype html>")
    assert pol("--coverage", "lcov", "--output", "out.info")[2] == "coverage is in out.info\n"
    assert (folder / "out.info").read_text().startswith("TN:\nSF:orders.pol\nFN:3,service orders\n")
    pol("--coverage", "json")
    assert json.loads((folder / "coverage.json").read_text())["met"] == 3
    pol("--coverage", "text", "--output", "out.txt")
    assert (folder / "out.txt").read_text().endswith("coverage: 3 of 3 outcomes seen, 100 %\n")


def test_a_document_on_standard_output_stays_one(folder: Path, pol: Pol) -> None:
    _, out, err = pol("--coverage", "--format", "json")
    assert json.loads(out)["passed"] == 2
    assert err.endswith("coverage: 3 of 3 outcomes seen, 100 %\n")


def test_coverage_stands_well_before_a_path(folder: Path, pol: Pol) -> None:
    assert pol("--coverage", "orders_test.pol")[1].endswith("coverage: 3 of 3 outcomes seen, 100 %\n")
    said = "is no form of coverage, and no file"
    assert pol("--coverage", "htlm") == (2, "", f"pol: `htlm` {said}; did you mean `html`?\n")
    assert pol("--coverage", "nosuch") == (2, "", f"pol: `nosuch` {said}; it is one of text, html, lcov, json\n")


def test_where_coverage_cannot_be_written(folder: Path, pol: Pol) -> None:
    code, out, err = pol("--coverage", "html", "--output", "none/c.html")
    assert (code, err) == (2, "pol: cannot write `none/c.html`: no such file or directory\n")
    assert out.endswith("2 requests in 0.00 s\n"), "the tests were run"
    said = "pol: `--output` says where coverage is written: give `--coverage` too\n"
    assert pol("--output", "c.html") == pol("--output", "c.html", "--min", "3") == (2, "", said)


def test_too_little_is_a_failure(folder: Path, pol: Pol) -> None:
    assert pol("--min", "100")[0] == 0
    assert pol("--min", "34%", "--filter", "nothing") == (
        1, "orders_test.pol  1 passed\n\n1 test: 1 passed; 1 request in 0.00 s\n",
        "pol: 33 % of the outcomes were seen (1 of 3), and `--min` wants 34 %\n",
    )  # fmt: skip
    assert pol("--min", "33.3", "--filter", "nothing")[0] == 0
    assert pol("--min", "101")[0] == 2


def test_a_policy_that_no_test_reads_is_not_seen(folder: Path, pol: Pol) -> None:
    (folder / "forgotten.pol").write_text('service a "/a" { respond 204 }\n')
    (folder / "part.pol").write_text('assertion part { deny_ip other }\n')
    code, out, _ = pol("--coverage", "--min", "80")
    assert code == 1
    assert "1 > service a \"/a\" { respond 204 }  not reached: no test asks for the service `a`\n" in out
    assert out.endswith("\nforgotten.pol: no test reads it\npart.pol: no test reads it\n"
                        "coverage: 3 of 4 outcomes seen, 75 %\n")  # fmt: skip
    assert pol("--coverage", "--min", "80", "orders_test.pol")[0] == 0, "only folders are looked through"


def test_flags_come_from_the_environment_too(folder: Path, pol: Pol, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POL_MIN", "50")
    monkeypatch.setenv("POL_FILTER", "nothing")
    assert pol()[2] == "pol: 33 % of the outcomes were seen (1 of 3), and `--min` wants 50 %\n"


def test_there_is_no_share_while_tests_cannot_be_run(folder: Path, pol: Pol) -> None:
    (folder / "wrong_test.pol").write_text('import "orders.pol"\ntest "a" { gett "/" }\n')
    code, out, err = pol("--coverage", "--min", "0")
    assert (code, err) == (1, "pol: no coverage, as not all tests can be run\n")
    assert "outcomes" not in out


def test_a_policy_by_two_names_is_counted_once(folder: Path, pol: Pol, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "link.pol").symlink_to("orders.pol")
    (folder / "tests").mkdir()
    (folder / "tests/b_test.pol").write_text(TESTS.split("\ntest \"Nothing")[0].replace("orders.pol", "../link.pol"))
    (folder / "orders_test.pol").write_text('import "orders.pol"\ntest "Nothing' + TESTS.split('test "Nothing')[1])
    seen = "orders.pol  3 of 3 outcomes seen, 100 %\ncoverage: 3 of 3 outcomes seen, 100 %\n"
    assert pol("--coverage")[1].endswith("s\n\n" + seen)
    (folder / "alone.pol").write_text('service a "/a" { respond 204 }\n')
    (folder / "also.pol").symlink_to("alone.pol")
    assert pol("--coverage")[1].endswith("\nalone.pol: no test reads it\ncoverage: 3 of 4 outcomes seen, 75 %\n")
    (folder / "alone.pol").unlink()
    (folder / "also.pol").unlink()
    monkeypatch.chdir(folder / "tests")
    (folder / "tests/b_test.pol").write_text(TESTS.replace("orders.pol", f"{folder}/orders.pol"))
    assert pol("--coverage", "..")[1].endswith("\ncoverage: 3 of 3 outcomes seen, 100 %\n")
    assert pol("--coverage", ".")[1].endswith("\ncoverage: 3 of 3 outcomes seen, 100 %\n")


BY_SURROUNDINGS = """\
assertion strictly(only: boolean) {
    if only { require request.header["S"] == "1" }
}

map flags, file: "flags.json"

service a "/a" {
    strictly env("MODE") == "strict"
    strictly map("flags")["on"] == "yes"
    respond 204
}
"""


def test_what_tests_give_makes_goals(folder: Path, pol: Pol, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is possible where tests take a policy is asked of them, besides what is possible here."""
    (folder / "a.pol").write_text(BY_SURROUNDINGS)
    (folder / "flags.json").write_text('{ "on": "no" }')

    def shares(given: str) -> list[str]:
        ask = 'get "/a"\nexpect response.status != 500\n'
        (folder / "a_test.pol").write_text(
            f'import "a.pol"\ntest "lax" {{\ngiven env("MODE"), value: "lax"\n{ask}}}\n'
            f'test "given" {{\ngiven env("MODE"), value: "lax"\n{given}\n{ask}}}\n'
        )
        found = []
        for here in ("lax", "strict"):
            monkeypatch.setenv("MODE", here)
            found.append(pol("--coverage", "a_test.pol")[1].splitlines()[-1])
        return found

    assert shares("")[0] == "coverage: 4 of 4 outcomes seen, 100 %"
    more = "coverage: 6 of 7 outcomes seen, 85 %"
    assert shares('given env("MODE"), value: "strict"') == [more, more]
    assert shares('given map("flags"), entries: { on: "yes" }')[0] == more


def test_a_policy_that_nobody_tests_needs_no_secrets_to_be_counted(folder: Path, pol: Pol) -> None:
    (folder / "forgotten.pol").write_text('service a "/a" { respond 200, body: env("NOWHERE") }\n')
    assert pol("--min", "80")[2] == (
        "pol: 75 % of the outcomes were seen (3 of 4), and `--min` wants 80 %\n"
    )
    (folder / "forgotten.pol").write_text('service a "/a" { respnd 200 }\n')
    assert pol("--min", "80")[2] == "pol: `forgotten.pol` is not counted: `pol check` says what is wrong with it\n"


def test_names_of_files_need_be_no_utf_8(folder: Path, pol: Pol) -> None:
    (folder / os.fsdecode(b"b\xe9.pol")).write_text(POLICY)
    for form in ("html", "lcov", "json"):
        assert pol("--coverage", form)[0] == 0
        assert b"b\xe9.pol" in (folder / f"coverage.{form}").read_bytes()
