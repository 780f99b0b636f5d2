"""The hooks for pre-commit: each runs a command that there is, on a repository of good and of bad policies."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from policylang.tools.main import COMMANDS

ROOT = Path(__file__).parents[2]
HOOKS = {
    found["id"]: found
    for block in (ROOT / ".pre-commit-hooks.yaml").read_text().split("\n- ")[1:]
    if (found := dict(re.findall(r"^ *(\w+): (.+)$", block, re.M)))
}
RIGHT = 'gateway {\n    listen "127.0.0.1:8080"\n}\n\nservice s "/" {\n    respond 204\n}\n'


def hook(name: str, folder: Path, *files: str) -> int:
    """Runs one as pre-commit would: with its arguments, and the changed files when it takes them."""
    found = HOOKS[name]
    changed = [file for file in files if re.search(found["files"], file)]
    if not changed:
        return 0
    arguments = re.findall(r'"([^"]*)"', found.get("args", ""))
    given = [] if found.get("pass_filenames") == "false" else changed
    program, *command = found["entry"].split()
    line = [Path(sys.executable).parent / program, *command, *arguments, *given]
    return subprocess.run(line, cwd=folder, capture_output=True, timeout=60, check=False).returncode


def test_there_is_one_for_each_command_of_an_author() -> None:
    assert list(HOOKS) == ["pol-check", "pol-lint", "pol-fmt", "pol-test"]
    for name, found in HOOKS.items():
        assert found["language"] == "python", name
        assert found["entry"] == name.replace("-", " ")
        assert found["entry"].split()[1] in COMMANDS


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pol-check", RIGHT.replace("respond 204", "respnd 204")),
        ("pol-lint", RIGHT.replace("    respond", "    # lint-allow unused-allow: of old\n    respond")),
        ("pol-fmt", RIGHT.replace("    respond", "  respond")),
    ],
)
def test_a_hook_refuses_what_is_wrong_alone(name: str, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    file = tmp_path / "policies" / "policy.pol"
    file.write_text(RIGHT)
    assert hook(name, tmp_path, "policies/policy.pol", "other.txt") == 0
    file.write_text(wrong)
    assert hook(name, tmp_path, "other.txt") == 0
    refused = hook(name, tmp_path, "policies/policy.pol") != 0
    assert refused or file.read_text() != wrong, "pre-commit fails also when a hook changes a file"


def test_the_hook_of_tests_runs_them(tmp_path: Path) -> None:
    (tmp_path / "policy.pol").write_text(RIGHT)
    file = tmp_path / "policy_test.pol"
    test = 'import "policy.pol"\n\ntest "it answers" {\n    get "/"\n    expect response.status == 204\n}\n'
    file.write_text(test)
    assert hook("pol-test", tmp_path, "policy.pol") == 0
    file.write_text(test.replace("204", "200"))
    assert hook("pol-test", tmp_path, "policy.pol") == 1
