"""Rules that others bring: the package that `pol new rule` writes, installed, and what is no rule."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policylang.lint.examples import findings, parts, policy
from policylang.lint.known import UnfitRule, all_rules, fits
from policylang.lint.rules.limit_after_route import LimitAfterRoute
from policylang.tools import new_command
from policylang.tools.main import run

ROOT = Path(__file__).parents[2]
INTERNAL = 'gateway {\n    listen "127.0.0.1:8080"\n}\n\nservice s "/internal/x" {\n    respond 204\n}\n'


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of a fresh rule, and the environment in which it is installed."""
    folder = tmp_path_factory.mktemp("plugin")
    assert run(["new", "rule", "internal-path", "--folder", str(folder / "mine")]) == 0
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check",
         "--target", str(folder / "there"), str(folder / "mine")],
        check=True, timeout=120,
    )  # fmt: skip
    return folder / "mine", {**os.environ, "PYTHONPATH": f"{folder / 'there'}{os.pathsep}{ROOT}"}


def test_a_fresh_rule_passes_its_own_tests(installed: tuple[Path, dict[str, str]]) -> None:
    mine, environ = installed
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], cwd=mine, env=environ,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("name", ["none", "rule", "finding", "class-var", "import"])
def test_a_rule_may_be_called_like_what_its_file_uses(name: str) -> None:
    (text,) = (text for path, text in new_command.rule(name).items() if path.endswith("__init__.py"))
    there: dict[str, Any] = {}
    exec(compile(text, "rule.py", "exec"), there)
    (made,) = (each for each in there.values() if getattr(each, "name", "") == name)
    service = policy(parts(made)[1])
    assert [each.name for each in findings(service, [made])] == [name]


def pol(installed: tuple[Path, dict[str, str]], *arguments: str) -> subprocess.CompletedProcess[str]:
    mine, environ = installed
    command = [Path(sys.executable).parent / "pol", *arguments]
    return subprocess.run(
        command, cwd=mine.parent, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_an_installed_rule_runs_with_the_others(installed: tuple[Path, dict[str, str]]) -> None:
    (installed[0].parent / "internal.pol").write_text(INTERNAL)
    done = pol(installed, "lint", "--format", "json", "internal.pol")
    assert [each["name"] for each in json.loads(done.stdout)["diagnostics"]] == ["internal-path"], done.stderr
    assert pol(installed, "explain", "internal-path").stdout.startswith("# internal-path\n")
    assert "internal-path" in pol(installed, "lint", "--list", "--category", "security").stdout
    (installed[0].parent / "pol.toml").write_text('[lint.rules.internal-path]\nprefix = "/other"\n')
    assert pol(installed, "lint", "internal.pol").returncode == 0


def test_a_fresh_rule_is_clean_for_our_own_linters(installed: tuple[Path, dict[str, str]]) -> None:
    mine, environ = installed
    for command in (
        ["-m", "ruff", "check", "--config", str(ROOT / "ruff.toml"), "."],
        ["-m", "mypy", "--strict", "--cache-dir", str(mine.parent / "cache"), "polgate_internal_path"],
    ):
        done = subprocess.run(
            [sys.executable, *command], cwd=mine, env=environ, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Internal_Path", "pol: `Internal_Path` is no name for a rule: write lower-case words joined by `-`\n"),
        ("internal-", "pol: `internal-` is no name for a rule: write lower-case words joined by `-`\n"),
        ("limit-after-route", "pol: there is a rule called `limit-after-route` already: choose another name\n"),
        ("unset-variable", "pol: `pol explain unset-variable` tells of something else: choose another name\n"),
        ("is-there", "pol: `polgate-is-there` is there already: choose another folder with --folder\n"),
    ],
)
def test_a_name_that_cannot_be(
    name: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("polgate-is-there").mkdir()
    assert run(["new", "rule", name]) == 2
    assert capsys.readouterr() == ("", told)
    assert [each.name for each in tmp_path.iterdir()] == ["polgate-is-there"]


# --- what is no rule ---


class Point:
    """An entry point."""

    def __init__(self, loaded: object) -> None:
        self.loaded = loaded
        self.value = "other:RULES"

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


class Nameless(LimitAfterRoute):
    name = "Late"


class Homeless(LimitAfterRoute):
    name = "late-limit"
    category = "habit"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("loaded", "told"),
    [
        (3, "`other:RULES` is no rule: derive a class from policylang.lint.Rule"),
        ([str], "`other:RULES` is no rule: derive a class from policylang.lint.Rule"),
        (Nameless, "the rule of `other:RULES` has no name of lower-case words joined by `-`"),
        (Homeless, "the rule `late-limit` has none of the categories correctness, security, performance, style"),
        ([LimitAfterRoute], "the plug-in `other:RULES` brings a second rule called `limit-after-route`"),
        (ImportError("no module"), "the plug-in `other:RULES` cannot be loaded: no module"),
    ],
)
def test_what_is_no_rule_is_named(
    loaded: object, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("policylang.lint.known.entry_points", lambda group: [Point(loaded)])
    all_rules.cache_clear()
    try:
        assert run(["lint", "--list"]) == 2
        assert capsys.readouterr() == ("", f"pol: {told}\n")
    finally:
        monkeypatch.undo()
        all_rules.cache_clear()


def test_our_own_are_fit() -> None:
    for rule in all_rules():
        fits(rule, rule.__module__)
    with pytest.raises(UnfitRule):
        fits(Nameless, "here")


class Broken(LimitAfterRoute):
    name = "broken-rule"

    def check(self, policy: object) -> list[object]:  # type: ignore[override]
        raise KeyError("x")


def test_a_rule_that_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "internal.pol"
    file.write_text(INTERNAL)
    monkeypatch.setattr("policylang.lint.known.entry_points", lambda group: [Point(Broken)])
    all_rules.cache_clear()
    try:
        assert run(["lint", str(file)]) == 3
        assert capsys.readouterr().err.startswith("pol: the rule `broken-rule` failed: KeyError: 'x'\n")
    finally:
        monkeypatch.undo()
        all_rules.cache_clear()
