"""`pol lint` on files: formats, exit codes, flags, folders, and what --fix does to them."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest

from policylang.lint.rule import CATEGORIES
from policylang.tools.main import run

HEAD = 'gateway {\n    listen "127.0.0.1:8080"\n}\n\nupstream orders {\n    server "http://127.0.0.1:9000"\n}\n\n'
LATE = HEAD + 'service orders "/orders" {\n    route orders\n    rate_limit 10/s, per: client.ip\n}\n'
RIGHT = HEAD + 'service orders "/orders" {\n    rate_limit 10/s, per: client.ip\n    route orders\n}\n'
USELESS = RIGHT.replace("    rate", "    # lint-allow limit-after-route: of old\n    rate")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(dedent(text))
    return name


def test_it_tells_the_place_the_cure_and_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", write("late.pol", LATE)]) == 1
    told = capsys.readouterr()
    assert "\nhelp: " in told.out
    assert re.sub(r"^(help|fix): .*\n", "", told.out, flags=re.M) == dedent(
        """\
        warning[limit-after-route]: this limit is asked when the request has been sent already
          --> late.pol:11:5
           |
        10 |     route orders
           |     ------------ sent here
        11 |     rate_limit 10/s, per: client.ip
           |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
        more: pol explain limit-after-route
        """
    )
    assert told.err.startswith("1 finding\n")
    assert run(["explain", "limit-after-route"]) == 0
    assert "A rule of correctness, severity `warning`." in capsys.readouterr().out


def test_nothing_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", write("right.pol", RIGHT)]) == 0
    assert capsys.readouterr() == ("", "1 policy read, nothing to say\n")


def test_errors_of_the_checker_are_shown_and_no_rule_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--format", "json", write("late.pol", LATE.replace("10/s", "10"))]) == 1
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["diagnostics"]] == ["missing-unit"]


def test_advice_alone_is_no_reason_to_fail(capsys: pytest.CaptureFixture[str]) -> None:
    for severity, code in (("info", 0), ("warning", 1), ("error", 1)):
        write("pol.toml", f'[lint.rules.limit-after-route]\nseverity = "{severity}"\n')
        assert run(["lint", write("late.pol", LATE)]) == code
        assert capsys.readouterr().out.startswith(f"{severity}[limit-after-route]")


def test_formats_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    files = [write("late.pol", LATE), write("right.pol", RIGHT)]
    assert run(["lint", "--format", "json", *files]) == 1
    (found,) = json.loads(capsys.readouterr().out)["diagnostics"]
    assert (found["name"], found["file"], found["line"]) == ("limit-after-route", "late.pol", 11)
    assert run(["lint", "--format", "sarif", *files]) == 1
    (log,) = json.loads(capsys.readouterr().out)["runs"]
    (result,) = log["results"]
    assert set(log["tool"]["driver"]) == {"name", "version", "rules"}
    assert log["tool"]["driver"]["rules"][0]["shortDescription"]["text"].endswith(".")
    assert (result["ruleId"], result["level"]) == ("limit-after-route", "warning")
    assert run(["lint", "--format", "github", *files]) == 1
    assert capsys.readouterr().out.startswith("::warning file=late.pol,line=11,")
    assert run(["lint", "--format", "junit", *files]) == 1
    root = ElementTree.fromstring(capsys.readouterr().out)
    assert root.attrib == {"tests": "2", "failures": "1", "errors": "0", "time": "0"}
    late, right = root.findall("testsuite")
    assert late.attrib["name"] == "late.pol"
    failure = late.find("testcase/failure")
    assert failure is not None and "^^^" in (failure.text or "")
    assert [each.attrib["name"] for each in right] == ["nothing found"]


def test_check_speaks_junit_too(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = LATE.replace("10/s", "10").replace("client.ip", '"\x01<&\\n"')
    assert run(["check", "--format", "junit", write("wrong.pol", wrong), write("right.pol", RIGHT)]) == 1
    root = ElementTree.fromstring(capsys.readouterr().out)
    names = [case.attrib["name"].split()[0] for case in root.iter("testcase")]
    assert "missing-unit" in names and "nothing" in names
    assert int(root.attrib["tests"]) == len(names)


def test_flags_choose_rules(capsys: pytest.CaptureFixture[str]) -> None:
    file = write("late.pol", LATE)
    assert run(["lint", "--disable", "limit-after-route", file]) == 0
    assert run(["lint", "--disable", "correctness,style", file]) == 0
    assert run(["lint", "--category", "style", "--category", "security", file]) == 0
    assert run(["lint", "--category", "style,correctness", file]) == 1
    assert run(["lint", "--rule", "unused-allow", "--rule", "limit-after-route", file]) == 1
    capsys.readouterr()
    write("pol.toml", '[lint]\ndisable = ["correctness"]\n')
    assert run(["lint", file]) == 0
    assert run(["lint", "--rule", "limit-after-route", file]) == 1


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--rule", "unused-alow"], "pol: no rule is called `unused-alow`; did you mean `unused-allow`?\n"),
        (["--category", "stile"], "pol: no category is called `stile`; did you mean `style`?\n"),
        (["--disable", "stile"], "pol: no rule or category is called `stile`; did you mean `style`?\n"),
        (["--unsafe"], "pol: `--unsafe` says which fixes --fix and --diff take; give one of them\n"),
    ],
)
def test_unknown_words_are_a_mistake_of_use(
    flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lint", *flags, write("late.pol", LATE)]) == 2
    assert capsys.readouterr() == ("", told)


def test_flags_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("late.pol", LATE)
    monkeypatch.setenv("POL_DISABLE", "style,correctness")
    assert run(["lint", file]) == 0
    assert run(["lint", "--disable", "style", file]) == 1, "a flag goes before the environment"


def test_a_configuration_that_is_wrong_stops_it(capsys: pytest.CaptureFixture[str]) -> None:
    write("pol.toml", '[lint]\ndisable = ["stile"]\n')
    assert run(["lint", write("late.pol", LATE), write("a/late.pol", LATE)]) == 2
    told = capsys.readouterr().out
    assert told.count("error[bad-configuration]: no rule or category is called `stile`") == 1
    assert "pol.toml:2:13" in told
    assert run(["explain", "bad-configuration"]) == 0
    assert run(["lint", "--config", write("other.toml", ""), "late.pol"]) == 1


def test_what_cannot_be_read_is_a_mistake_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "nowhere.pol"]) == 2
    assert run(["lint", "--config", "nowhere.toml", write("late.pol", LATE)]) == 2
    assert run(["lint", "--fix", "nowhere.pol"]) == 2
    Path("empty").mkdir()
    for command in ("lint", "check"):
        assert run([command, "empty"]) == 2
        assert capsys.readouterr().err.splitlines()[-1] == "pol: cannot read `empty`: no policy is in it"


def test_the_list_has_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        each for each in CATEGORIES if any(each == line for line in lines)
    ]
    assert any(line.split()[:2] == ["limit-after-route", "warning"] for line in lines)
    assert run(["lint", "--list", "--category", "style"]) == 0
    assert "limit-after-route" not in capsys.readouterr().out


# --- folders and several policies ---

def importing(path: str, inside: str) -> str:
    return f'import "{path}"\n\n{HEAD}service orders "/orders" {{\n    {inside}\n}}\n'


def test_folders_are_searched_for_whole_policies(capsys: pytest.CaptureFixture[str]) -> None:
    write("a/late.pol", LATE)
    write("a/late_test.pol", 'test "x" { }\n')
    write("a/.hidden/late.pol", LATE)
    write("a/deep/user.pol", importing("../lib.pol", "limited\n    route orders"))
    write("a/lib.pol", "assertion limited() {\n    rate_limit 10/s, per: client.ip\n}\n")
    write("a/circle/one.pol", 'import "two.pol"\n')
    write("a/circle/two.pol", 'import "one.pol"\n')
    run(["lint", "--format", "json", "a"])
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    assert {(each["name"], each["file"]) for each in found} >= {
        ("limit-after-route", "a/late.pol"), ("import-cycle", "a/circle/two.pol"),
    }  # fmt: skip
    assert all("hidden" not in each["file"] and "_test" not in each["file"] for each in found)
    assert run(["check", "a/deep"]) == 0


def test_a_finding_in_a_file_of_two_policies_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    write("lib.pol", "assertion sent() {\n    route orders\n    rate_limit 10/s, per: client.ip\n}\n")
    files = [write(name, importing("lib.pol", "sent")) for name in ("one.pol", "two.pol")]
    assert run(["lint", "--format", "json", *files]) == 1
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    assert [(each["name"], each["file"]) for each in found] == [("limit-after-route", "lib.pol")]


def test_a_comment_that_one_of_two_policies_needs_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    write("lib.pol", "assertion sent() {\n    route orders\n    # lint-allow limit-after-route: so it is\n"
                     "    rate_limit 10/s\n}\n")  # fmt: skip
    files = [write("one.pol", importing("lib.pol", "sent")), write("two.pol", importing("lib.pol", "route orders"))]
    only = ["--rule", "unused-allow", "--rule", "limit-after-route"]
    assert run(["lint", *only, *files]) == 0
    assert run(["lint", *only, files[1]]) == 1
    assert "unused-allow" in capsys.readouterr().out


# --- fixes ---


def test_fix_mends_the_file_and_leaves_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    Path(write("useless.pol", USELESS)).chmod(0o640)
    assert run(["lint", "useless.pol"]) == 1
    assert "`pol lint --fix` mends 1 of them" in capsys.readouterr().err
    assert run(["lint", "--fix", "useless.pol"]) == 0
    assert Path("useless.pol").read_text() == RIGHT
    assert Path("useless.pol").stat().st_mode & 0o777 == 0o640
    assert capsys.readouterr().err == "useless.pol: mended\n1 policy read, nothing to say\n"
    assert run(["lint", "--fix", "useless.pol"]) == 0
    assert "mended" not in capsys.readouterr().err
    assert sorted(each.name for each in Path().iterdir()) == ["useless.pol"]


def test_unsafe_fixes_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    forwarded = RIGHT.replace("client.ip", 'request.header["X-Forwarded-For"]')
    assert run(["lint", write("forwarded.pol", forwarded)]) == 1
    assert capsys.readouterr().err == "1 finding\n`pol lint --fix --unsafe` mends 1 of them\n"
    assert run(["lint", "--fix", "forwarded.pol"]) == 1
    assert Path("forwarded.pol").read_text() == forwarded
    assert run(["lint", "--fix", "--unsafe", "forwarded.pol"]) == 0
    assert Path("forwarded.pol").read_text() == RIGHT


def test_diff_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--diff", write("useless.pol", USELESS)]) == 1
    assert Path("useless.pol").read_text() == USELESS
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["--- useless.pol", "+++ useless.pol (mended)"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["-    # lint-allow limit-after-route: of old"]
    assert run(["lint", "--diff", write("right.pol", RIGHT)]) == 0
    assert capsys.readouterr().out == ""


def test_a_diff_has_each_line_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where ends of lines differ alone, and where a text has what others take for an end of a line."""
    texts = {"crlf.pol": RIGHT.replace("\n", "\r\n"), "short.pol": RIGHT[:-1],
             "odd.pol": USELESS.replace("    #", '    log "\u2028\x85"\n    #')}  # fmt: skip
    for name, text in texts.items():
        Path(name).write_bytes(text.encode())
        command = [*(["lint", "--fix"] if name == "odd.pol" else ["fmt"]), name]
        assert run([*command, "--diff"]) == 1
        _, _, _, *lines = capsys.readouterr().out.replace("\n\\ No newline at end of file", "\\").split("\n")
        old, new = (
            "".join(line[1:] + "\n" for line in lines if line[:1] in (" ", sign)).replace("\\\n", "") for sign in "-+"
        )
        assert run(command) == 0
        assert text.replace(old, new) == Path(name).read_bytes().decode() != text
        capsys.readouterr()


def test_a_file_that_cannot_be_written_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("useless.pol", USELESS)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for command in (["lint", "--fix"], ["fmt"]):
        Path("useless.pol").write_text(USELESS.replace("    ", "  "))
        assert run([*command, "useless.pol"]) == 2
        assert capsys.readouterr().err == "pol: cannot write `useless.pol`: permission denied\n"
    assert [each.name for each in Path().iterdir()] == ["useless.pol"]


def test_who_owns_a_file_stays_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    write("useless.pol", USELESS)
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.append((user, group)))
    assert run(["lint", "--fix", "useless.pol"]) == 0
    assert given == [(Path("useless.pol").stat().st_uid, Path("useless.pol").stat().st_gid)]


def test_one_file_is_one_policy_whatever_its_path_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    write("lib.pol", "# lint-allow no-such: why\nassertion asked() {\n    require request.query.a != none\n}\n")
    write("one.pol", importing("lib.pol", "asked\n    route orders"))
    assert run(["lint", "--format", "json", "--rule", "unknown-rule", "./one.pol", "one.pol", "./lib.pol"]) == 1
    found = json.loads(capsys.readouterr().out)["diagnostics"]
    assert [(each["name"], each["file"]) for each in found] == [("unknown-rule", "lib.pol")]


def test_what_no_fix_mends_is_still_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lint", "--fix", write("late.pol", LATE)]) == 1
    assert "limit-after-route" in capsys.readouterr().out
    assert Path("late.pol").read_text() == LATE


def test_standard_input_is_mended_to_standard_output(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for given, expected in ((USELESS, RIGHT), (RIGHT, RIGHT)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        assert run(["lint", "--fix", "-"]) == 0
        assert capsys.readouterr().out == expected


@pytest.mark.parametrize(("given", "finding"), [(LATE.encode(), "limit-after-route"), (b"\xe9", "unreadable-file")])
def test_what_is_left_of_standard_input_is_told_beside_it(given: bytes, finding: str) -> None:
    pol = Path(sys.executable).parent / "pol"
    told = subprocess.run([pol, "lint", "--fix", "-"], input=given, capture_output=True, timeout=20, check=False)
    assert (told.returncode, told.stdout) == (1, given)
    assert f"[{finding}]".encode() in told.stderr and told.stderr.endswith(b"1 finding\n")


def test_a_layout_of_ones_own_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    ragged = USELESS.replace("    route", "  route").replace("\n", "\r\n")
    Path("ragged.pol").write_bytes(ragged.encode())
    assert run(["lint", "--fix", "ragged.pol"]) == 0
    mended = Path("ragged.pol").read_bytes().decode()
    assert mended == RIGHT.replace("    route", "  route").replace("\n", "\r\n")


def test_secrets_need_not_be_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A linter runs where no secret should be: on a developer's machine, and for a proposed change."""
    signed = '    set request.header["X-T"] = secret("LATE_TOKEN")\n    route'
    file = write("late.pol", LATE.replace("    route", signed))
    assert run(["check", file]) == 1
    assert "missing-secret" in capsys.readouterr().out
    assert run(["lint", file]) == 1
    assert re.findall(r"^(\w+\[.*?\])", capsys.readouterr().out, re.M) == ["warning[limit-after-route]"]
    both = write("both.pol", LATE.replace("    route", '    log env("LATE_LEVEL")\n    log nothing\n    route'))
    assert run(["lint", both]) == 1
    assert "missing-environment" in capsys.readouterr().out, "another error beside it: both are told, and no rule runs"
