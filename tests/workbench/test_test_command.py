"""`pol test`: what is run, in which processes, and what is told of it."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import pytest
from asked import POLICY, TESTS, TIME, Pol

from policylang.testing.results import Result
from policylang.testing.suite import load_suite
from policylang.tools import test_command, test_processes, test_runs

FAILING = 'import "orders.pol"\n\n' + "".join(
    f'test "{name}" {{\n    get "/orders/0"\n    expect response.status == {status}\n}}\n'
    for name, status in (("one", 403), ("two", 404), ("three", 403), ("four", 500))
)
# --- running ---------------------------------------------------------------------------------------


def test_all_pass(folder: Path, pol: Pol) -> None:
    assert pol() == (0, "orders_test.pol  2 passed\n\n2 tests: 2 passed; 2 requests in 0.00 s\n", "")


def test_each_test_by_its_name(folder: Path, pol: Pol) -> None:
    assert pol("--verbose")[1] == (
        "passed  an order is asked for  1 request, 0.00 ms\n"
        "passed  Nothing is no order  1 request, 0.00 ms\n"
        "orders_test.pol  2 passed\n\n2 tests: 2 passed; 2 requests in 0.00 s\n"
    )


def test_what_does_not_pass_is_shown_behind_the_rest(folder: Path, pol: Pol) -> None:
    (folder / "orders_test.pol").write_text(FAILING)
    code, out, err = pol()
    assert (code, err) == (1, "")
    assert out.startswith(
        "orders_test.pol  2 passed, 2 failed\n\n"
        "failed: two  (orders_test.pol:7)\n\n"
        "error[not-as-expected]: `response.status` is 403, not 404\n"
        " --> orders_test.pol:9:12\n"
    )
    assert "\n4 ✗ |     require path.id != \"0\"" in out, "the exchange on the policy's text"
    assert "\nfailed: four  (orders_test.pol:15)\n" in out
    assert out.endswith("\n4 tests: 2 passed, 2 failed; 4 requests in 0.00 s\n")


def test_the_first_failure_may_end_it(folder: Path, pol: Pol) -> None:
    (folder / "orders_test.pol").write_text(FAILING)
    code, out, _ = pol("--fail-fast", "--jobs", "3")
    assert code == 1
    assert out.startswith("orders_test.pol  1 passed, 1 failed\n")
    assert out.endswith("\n2 tests: 1 passed, 1 failed; 2 not run; 2 requests in 0.00 s\n")


def test_names_choose(folder: Path, pol: Pol) -> None:
    assert pol("--filter", "nothing")[1] == "orders_test.pol  1 passed\n\n1 test: 1 passed; 1 request in 0.00 s\n"
    assert pol("--filter", "everything") == (2, "", "pol: no test's name holds `everything`, of 2\n")


def test_the_order_does_not_hang_on_processes(folder: Path, pol: Pol) -> None:
    many = "".join(
        f'test "{number}" {{\n    repeat {1 + 7 * number % 40} {{ get "/orders/0" }}\n'
        f"    expect response.status == {403 if number % 5 else 404}\n}}\n"
        for number in range(40)
    )
    (folder / "many_test.pol").write_text('import "orders.pol"\n' + many)
    told = []
    for jobs in ("1", "2", "7"):
        code, out, _ = pol("--format", "json", "--jobs", jobs)
        document = json.loads(re.sub(r'"seconds": [\d.e-]+', '"seconds": 0', out))
        told.append((code, document))
    assert told[0] == told[1] == told[2]
    names = [test["name"] for test in told[0][1]["tests"] if test["file"] == "many_test.pol"]
    assert names == [str(number) for number in range(40)]


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[[], Any]) -> None:
    """In place of the test of that name something else happens."""
    real = test_runs.run_test

    def one(test: Any, observe: Any = None) -> Result:
        if test.name == name:
            instead()
        return real(test, observe)

    monkeypatch.setattr(test_runs, "run_test", one)


def raised() -> None:
    raise ZeroDivisionError("a mistake\nof ours")


@pytest.mark.parametrize(
    ("instead", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "its process ended with signal 9"),
        (lambda: os._exit(3), "its process ended with status 3"),
        (raised, "a defect of ours: ZeroDivisionError: a mistake of ours"),
        (signal.pause, "it was not done after 0.00 s of real time"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_test_that_takes_its_process_with_it_takes_no_other(
    folder: Path, pol: Pol, monkeypatch: pytest.MonkeyPatch, instead: Callable[[], Any], how: str, jobs: str
) -> None:
    (folder / "orders_test.pol").write_text(FAILING)
    monkeypatch.setattr(test_processes, "SECONDS", 1.5 if instead is signal.pause else 60.0)
    stand_in(monkeypatch, "three", instead)
    code, out, _ = pol("--jobs", jobs)
    assert code == 1
    assert out.startswith("orders_test.pol  1 passed, 2 failed, 1 broken\n")
    assert f"broken: three  (orders_test.pol:11)\n\nerror[broken-test]: nothing came of this test: {how}\n" in out


# --- files -----------------------------------------------------------------------------------------


def test_files_and_folders(folder: Path, pol: Pol) -> None:
    for place in ("sub/deeper", ".hidden"):
        (folder / place).mkdir(parents=True)
        (folder / place / "b_test.pol").write_text(TESTS.replace("orders.pol", "../" * (1 + place.count("/")) +
                                                                 "orders.pol"))  # fmt: skip
    assert pol()[1].startswith("orders_test.pol  2 passed\nsub/deeper/b_test.pol  2 passed\n\n4 tests")
    assert pol("sub")[1].startswith("sub/deeper/b_test.pol  2 passed\n\n2 tests")
    assert pol("orders.pol")[1].startswith("orders_test.pol  2 passed\n\n2 tests"), "the tests of a policy"
    assert pol("orders_test.pol", "orders.pol", ".")[1].count("passed\n") == 2, "each file once"


def test_where_there_are_no_tests(folder: Path, pol: Pol) -> None:
    (folder / "empty").mkdir()
    (folder / "other.pol").write_text(POLICY)
    assert pol("empty") == (2, "", "pol: no tests in `empty`: they stand in files named `…_test.pol`\n")
    assert pol("other.pol") == (2, "", "pol: `other.pol` has no tests: they would stand in `other_test.pol`\n")
    (folder / "mixed.pol").write_text(POLICY + 'test "it" { expect true }\n')
    assert pol("mixed.pol") == (
        2, "", "pol: the tests in `mixed.pol` are none: move them to `mixed_test.pol`, and `import` the policy there\n"
    )
    (folder / "shared_test.pol").write_text('import "orders.pol"\nassertion shared { get "/orders/0" }\n')
    assert pol("shared_test.pol") == (2, "", "pol: there is no `test` in `shared_test.pol`\n")
    assert pol()[1].startswith("orders_test.pol  2 passed\n\n2 tests"), "what tests share need hold none"
    assert pol("nowhere") == (2, "", "pol: cannot read `nowhere`: no such file or directory\n")


def test_a_file_that_is_wrong_keeps_no_other_from_being_run(folder: Path, pol: Pol) -> None:
    (folder / "wrong_test.pol").write_text('import "orders.pol"\ntest "a" { gett "/" }\n')
    code, out, _ = pol()
    assert code == 1
    assert out.startswith("error[unknown-assertion]: ")
    assert "\norders_test.pol  2 passed\n\n2 tests: 2 passed; 1 finding; 2 requests in 0.00 s\n" in out


# --- formats ---------------------------------------------------------------------------------------


def test_json(folder: Path, pol: Pol) -> None:
    (folder / "orders_test.pol").write_text(FAILING)
    code, out, err = pol("--format", "json", "--filter", "t")
    found = json.loads(out)
    assert (code, err, found["version"], found["passed"], found["failed"], found["broken"]) == (1, "", 1, 1, 1, 0)
    assert [set(test) for test in found["tests"]] == 2 * [
        {"name", "file", "line", "outcome", "findings", "picture", "requests", "seconds"}
    ]
    two = found["tests"][0]
    assert (two["name"], two["file"], two["line"], two["outcome"]) == ("two", "orders_test.pol", 7, "failed")
    assert (two["findings"][0]["name"], two["findings"][0]["line"]) == ("not-as-expected", 9)
    assert found["diagnostics"] == []


def test_names_stay_in_their_line(folder: Path, pol: Pol) -> None:
    """They may be of the rows of a table, which may be anything."""
    (folder / "orders_test.pol").write_text(
        'import "orders.pol"\n'
        'test "${name}" for name in ["two\\nlines", "\x1b[31mred"] {\n    get "/orders/0"\n    expect false\n}\n'
    )
    _, out, _ = pol("--verbose")
    assert out.startswith("failed  two lines  1 request, 0.00 ms\nfailed  \ufffd[31mred  1 request, 0.00 ms\n")
    assert "\nfailed: two lines  (orders_test.pol:2)\n" in out and "\x1b" not in out
    assert "::two lines: `false` is false" in pol("--format", "github")[1]
    assert json.loads(pol("--format", "json")[1])["tests"][0]["name"] == "two\nlines", "as they are, for programs"


def test_junit(folder: Path, pol: Pol) -> None:
    (folder / "orders_test.pol").write_text(FAILING.replace('"three"', '"3 < 4 & \\"x\\" \x7f\ufffe"'))
    (folder / "wrong_test.pol").write_text('import "orders.pol"\ntest "a" { gett "/" }\n')
    code, out, _ = pol("--format", "junit")
    root = ET.fromstring(out)
    assert code == 1
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "5", "2", "1")
    for suite in (root, *root):  # readers hold the numbers against the cases
        counts = (len(list(suite.iter(word))) for word in ("testcase", "failure", "error"))
        assert [suite.get("tests"), suite.get("failures"), suite.get("errors")] == [str(count) for count in counts]
        assert float(suite.get("time", "")) >= 0
    first, second = root
    assert [case.get("name") for case in first] == ["one", "two", '3 < 4 & "x" \x7f\ufffd', "four"]
    failure = first[1].find("failure")
    assert failure is not None and failure.get("message") == "`response.status` is 403, not 404"
    assert "error[not-as-expected]" in (failure.text or "")
    error = second[0].find("error")
    assert error is not None and error.get("type") == "unknown-assertion"


def test_github(folder: Path, pol: Pol) -> None:
    (folder / "orders_test.pol").write_text(FAILING)
    code, out, _ = pol("--format", "github", "--filter", "two")
    line, summary = out.splitlines()
    assert code == 1
    place = "file=orders_test.pol,line=9,endLine=9,col=12,endColumn=33"
    assert line.startswith(f"::error {place},title=not-as-expected::two: ")
    assert summary == "1 test: 1 failed; 1 request in 0.00 s"


def test_of_many_that_fail_some_are_shown_in_full(folder: Path, pol: Pol) -> None:
    (folder / "orders_test.pol").write_text(
        'import "orders.pol"\n\n'
        'test "no ${n}" for n in 1..23 {\n    get "/orders/0"\n    expect response.status == n\n}\n'
    )
    _, out, _ = pol()
    assert out.count("=> 403 ") == 20
    assert out.endswith("""

and 3 more, which `--filter` shows in full:

failed: no 21  (orders_test.pol:3)  `response.status` is 403, not 21, as `n` is
failed: no 22  (orders_test.pol:3)  `response.status` is 403, not 22, as `n` is
failed: no 23  (orders_test.pol:3)  `response.status` is 403, not 23, as `n` is

23 tests: 23 failed; 23 requests in 0.00 s
""")


# --- watching --------------------------------------------------------------------------------------


def test_watching_runs_what_a_change_concerns(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "more").mkdir()
    (folder / "more/users.pol").write_text(POLICY)
    (folder / "more/users_test.pol").write_text(TESTS.replace("orders.pol", "users.pol"))
    parser = argparse.ArgumentParser()
    test_command.options(parser)

    def change(name: str, text: str) -> None:
        (folder / name).write_text(text)
        os.utime(folder / name, ns=(1, len(said)))

    said: list[str] = []
    changes: list[Callable[[], None]] = [
        lambda: None,
        lambda: change("orders.pol", POLICY.replace('"0"', '"1"')),
        lambda: change("orders_test.pol", TESTS.replace("orders/0", "orders/1")),
        lambda: change("more/new_test.pol", TESTS.replace("orders.pol", "users.pol")),
        lambda: change("orders_test.pol", "test {"),
        lambda: (folder / "orders_test.pol").unlink(),
        lambda: change("orders_test.pol", TESTS.replace("orders/0", "orders/1")),
    ]

    def wait() -> None:
        said.append(TIME.sub(r"0.00 \1", capsys.readouterr().out))
        if not changes:
            raise KeyboardInterrupt
        changes.pop(0)()

    with pytest.raises(KeyboardInterrupt):
        test_command.watch(parser.parse_args([]), wait)
    first, nothing, policy, tests, new, wrong, gone, back = said
    assert first == (
        "more/users_test.pol  2 passed\norders_test.pol  2 passed\n\n4 tests: 4 passed; 4 requests in 0.00 s\n\n"
        "watching 4 files; Ctrl-C ends it\n"
    )
    assert nothing == ""
    assert policy.startswith("\nchanged: orders.pol\n\norders_test.pol  1 passed, 1 broken\n")
    assert tests.startswith("\nchanged: orders_test.pol\n\norders_test.pol  2 passed\n\n2 tests")
    assert new.startswith("\nchanged: more/new_test.pol\n\nmore/new_test.pol  2 passed\n\n2 tests")
    assert wrong.startswith("\nchanged: orders_test.pol\n\nerror[unclosed-brace]: ")
    assert gone == ""
    assert back.startswith("\nchanged: orders_test.pol\n\norders_test.pol  2 passed\n\n2 tests")


def test_files_that_go_for_a_moment_take_no_others_with_them(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    users, kept = folder / "users_test.pol", folder / "kept"
    users.write_text(TESTS)
    parser = argparse.ArgumentParser()
    test_command.options(parser)

    def unreadable(path: str, load: Any) -> Any:
        load.stamps[path] = None  # as of a file that is replaced between the look at it and its reading
        raise PermissionError(13, "Permission denied", path)

    def locked() -> None:
        os.utime(users, ns=(1, 1))
        monkeypatch.setattr(test_runs, "load_suite", unreadable)

    said: list[tuple[str, str]] = []
    changes: list[Callable[[], object]] = [
        lambda: users.rename(kept),
        lambda: kept.rename(users),
        locked,
        lambda: monkeypatch.setattr(test_runs, "load_suite", load_suite),
        (folder / "orders.pol").unlink,
        lambda: (folder / "orders.pol").write_text(POLICY),
        (folder / "orders.pol").unlink,
        lambda: None,
    ]

    def wait() -> None:
        found = capsys.readouterr()
        said.append((TIME.sub(r"0.00 \1", found.out), found.err))
        if not changes:
            raise KeyboardInterrupt
        changes.pop(0)()

    with pytest.raises(KeyboardInterrupt):
        test_command.watch(parser.parse_args(["--watch", "users_test.pol", "orders_test.pol"]), wait)
    _, nothing, again, wrong, readable, policy_away, policy_back, away, for_good = said
    alone = "\nchanged: users_test.pol\n\nusers_test.pol  2 passed\n\n2 tests: 2 passed; 2 requests in 0.00 s\n"
    assert nothing == ("", "")
    assert again[0].startswith(alone)
    assert wrong[1] == "pol: cannot read `users_test.pol`: permission denied\n"
    assert readable[0].startswith(alone)
    assert (policy_away, away) == (("", ""), ("", ""))
    assert policy_back[0].startswith("\nchanged: orders.pol\n\nusers_test.pol  2 passed\norders_test.pol  2 passed\n")
    assert for_good[0].startswith("\nchanged: orders.pol\n\nerror[missing-file]: ")


# --- the samples -----------------------------------------------------------------------------------


def test_the_samples_tests_see_everything_in_two_seconds() -> None:
    root = Path(__file__).parents[2]
    before = getrusage(RUSAGE_CHILDREN)
    found = subprocess.run(
        [Path(sys.executable).parent / "pol", "test", "samples", "--coverage", "--min", "100"],
        cwd=root, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    after = getrusage(RUSAGE_CHILDREN)
    assert found.returncode == 0, found.stdout + found.stderr
    lessons = len(list(root.glob("samples/*/policy.pol")))
    assert found.stdout.count("policy_test.pol  ") == lessons
    assert found.stdout.count("outcomes seen, 100 %") == lessons + 1
    # Of the processor, as others may be using it too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0
