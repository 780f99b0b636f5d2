"""`pol bench`: each statement's own cost, by the requests of a policy's tests."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from policylang.testing.cost import AFTER, Costs, measure
from policylang.testing.playing import player
from policylang.testing.suite import load_suite
from policylang.tools.bench_command import saved
from policylang.tools.main import run

POLICY = """
service s "/s" {
    let digest = sha256(request.text)
    require digest != ""
    parallel {
        set request.header["A"] = "a"
        set request.header["B"] = "b"
    }
    route orders
}
upstream orders { server "http://127.0.0.1:9000" }
"""
TESTS = """
import "policy.pol"

test "large bodies" {
    stub orders, delay: 3s
    repeat 3 { post "/s", body: string(file("large.txt")) ?? "" }
}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "policy.pol").write_text(POLICY)
    (tmp_path / "policy_test.pol").write_text(TESTS)
    (tmp_path / "large.txt").write_text("x" * 1_000_000)
    return tmp_path


def costs(place: Path) -> Costs:
    suite = load_suite(str(place / "policy_test.pol"))
    assert not suite.diagnostics, suite.diagnostics
    return measure(player(suite), 1)


def test_each_statement_has_its_own_cost_and_waiting_has_none(place: Path) -> None:
    found = costs(place)
    assert found.requests == 3
    by_line = {cost.row[1]: cost for cost in found.rows}
    assert sorted(by_line) == [0, 3, 4, 5, 9] and by_line[0].row == AFTER, "branches count with their `parallel`"
    assert by_line[3].ns > 20 * by_line[4].ns, "a hash of a megabyte is dearer than a comparison"
    assert by_line[3].bytes > 900_000 > 100_000 > by_line[4].bytes, "the text is a copy of the body"
    assert all(cost.times == 3 for cost in found.rows)
    assert by_line[3].ns < found.evaluation * 1.5 < 1e9, "3 s of waiting are no time"


def test_what_is_made_for_a_test_is_no_cost_of_an_evaluation(place: Path) -> None:
    """A tree is compiled for each test: memory tells, without a clock, whether that is counted."""
    found = []
    for tests in ('test "t" { repeat 20 { ASK } }', 'test "t ${n}" for n in 1..20 { ASK }'):
        asked = tests.replace("ASK", '\nstub orders\nget "/s"\nget "/s/%ff"\n')
        (place / "policy_test.pol").write_text('import "policy.pol"\n' + asked)
        found.append(costs(place))
    often, once = found
    assert often.requests == once.requests == 20
    assert once.allocated < 1.2 * often.allocated


def test_what_it_prints(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", str(place / "policy.pol"), "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.replace(str(place) + "/", "").splitlines()
    shown = [re.sub(r"[\d.]+ (?=µs|KiB)", "N ", re.sub(r"^( +\d+) .* %  ", r"\1  ", line)) for line in lines]
    assert shown == [
        "policy_test.pol: 3 requests",
        "an evaluation: N µs, N KiB",
        "",
        "    times       µs     KiB  share  statement",
        "        3  policy.pol:3 let",
        "        3  policy.pol:4 require",
        "        3  policy.pol:5 parallel",
        "        3  policy.pol:9 route",
        "        3  (the answer)",
    ]


def test_a_saved_run_tells_what_is_slower(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, kept = str(place / "policy_test.pol"), place / "kept.json"
    assert run(["bench", file, "--rounds", "1", "--save", str(kept)]) == 0
    assert run(["bench", file, "--rounds", "1", "--compare", str(kept), "--slower", "1000"]) == 0
    assert capsys.readouterr().out.endswith("nothing is slower\n")
    figures = json.loads(kept.read_text())
    figures["evaluation_us"] *= 1000
    for one in figures["statements"]:
        one["us"] = one["us"] / 1000 if one["line"] == 3 else one["us"] * 1000
    kept.write_text(json.dumps(figures))
    assert run(["bench", file, "--rounds", "1", "--compare", str(kept), "--slower", "10"]) == 1
    told = capsys.readouterr().out.splitlines()[-1]
    assert told == f"slower: {place}/policy.pol:3 let"
    compare = ["bench", file, "--rounds", "1", "--compare", str(kept)]
    assert run([*compare, "--slower", "10", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["slower"] == [f"{place}/policy.pol:3 let"]
    for wrong in ("nan", "0.9", "-1", "x", "inf"):
        with pytest.raises(SystemExit):
            run([*compare, "--slower", wrong])
    capsys.readouterr()
    assert run(["bench", file, "--slower", "2"]) == 2
    assert capsys.readouterr().err.endswith("give `--compare` too\n")


def test_what_cannot_be_measured_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "policy_test.pol").write_text('import "policy.pol"\ntest "nothing" { expect true }\n')
    assert run(["bench", str(place / "policy_test.pol")]) == 2
    assert "nothing is asked in" in capsys.readouterr().err
    (place / "kept.json").write_text("{}")
    assert run(["bench", str(place / "policy.pol"), "--compare", str(place / "kept.json")]) == 2
    assert "is no file that `pol bench --save` wrote" in capsys.readouterr().err
    (place / "policy_test.pol").write_text('import "policy.pol"\ntest "wrong" { gett "/" }\n')
    assert run(["bench", str(place / "policy_test.pol")]) == 1
    assert "did you mean `get`?" in capsys.readouterr().out
    assert run(["bench", str(place / "none.pol")]) == 2
    with pytest.raises(SystemExit):
        run(["bench", str(place / "policy.pol"), "--rounds", "0"])


def test_other_json_is_no_saved_run(tmp_path: Path) -> None:
    for text in ("[]", '{"format": 2}', "{", '{"format": 1, "evaluation_us": 0, "statements": []}'):
        (tmp_path / "x.json").write_text(text)
        assert saved(str(tmp_path / "x.json")) is None, text
