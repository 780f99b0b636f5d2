"""What the prose claims of the house, checked."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from assertions import CATALOG
from policylang.catalog import catalog_of

ROOT = Path(__file__).parents[2]
FORBIDDEN = re.compile(r"handler|manager|processor|engine|helper|util|base", re.I)


def python_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()  # fmt: skip
    found = [ROOT / name for name in listed] or list(ROOT.glob("[!.b]*/**/*.py"))
    return [file for file in found if file.exists()]


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["mypy"], ["lint-imports", "--no-cache"]],
    ids=["ruff", "mypy", "import-linter"],
)
def test_linters_find_nothing(command: list[str]) -> None:
    run = subprocess.run(
        [Path(sys.executable).parent / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_reference_is_fresh() -> None:
    run = subprocess.run(
        [Path(sys.executable).parent / "pol", "docs", "--check", "docs/reference"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def test_files_are_short_and_named_for_what_they_are() -> None:
    generated = {"table_data.py"}
    for file in python_files():
        lines = file.read_text().count("\n")
        assert lines <= 600 or file.name in generated, f"{file} has {lines} lines"
        assert not FORBIDDEN.search(file.stem), f"{file} is named for nothing"
        assert file.stem not in sys.stdlib_module_names, f"{file} is named like a standard module"


def test_nothing_is_left_unfinished() -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error", "import pic" + "kle")
    for file in [*python_files(), *ROOT.glob("samples/**/*.pol"), ROOT / "grammar/policy.lark"]:
        text = file.read_text()
        for mark in marks:
            assert mark not in text, f"{file} holds {mark}"


def test_every_package_is_listed() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for top in ("policylang", "assertions", "runtime")
        for file in (ROOT / top).rglob("__init__.py")
    }
    assert listed == found | {"grammar"}


def test_the_wheel_holds_exactly_our_packages(tmp_path: Path) -> None:
    copy = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(copy)], check=True)
    for name in subprocess.run(
        ["git", "ls-files", "-m"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split():
        if (ROOT / name).exists():
            (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(copy)],
        check=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"policylang", "assertions", "runtime", "grammar"}
    assert "grammar/policy.lark" in names
    assert "policylang/py.typed" in names
    assert any(name.startswith("policylang/pages/") for name in names)


def test_every_assertion_has_a_page_an_example_a_case_and_a_use() -> None:
    cases = "\n".join(file.read_text() for file in (ROOT / "tests/cases").rglob("*.md"))
    samples = "\n".join(file.read_text() for file in (ROOT / "samples").rglob("*.pol"))
    built_in = catalog_of(CATALOG)
    for card in built_in.assertions.values():
        assert card.summary.endswith("."), card.name
        assert card.example, f"{card.name} has no example"
        for param in card.params:
            assert param.doc.endswith("."), f"{card.name}'s {param.name} is not told about"
        assert re.search(rf"\b{card.name}\b", cases), f"{card.name} has no case"
        assert re.search(rf"\b{card.name}\b", samples), f"no sample uses {card.name}"
    for function in built_in.functions.values():
        assert function.summary.endswith(".") and function.example, function.name


def test_what_the_readme_names_exists() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"`((?:samples|docs|tests|grammar|policylang|runtime|assertions)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(r"`make ([a-z-]+)", text):
        assert target in targets, f"make {target}"


def test_the_test_command_of_the_readme_is_what_ci_runs() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert "make test" in (ROOT / "README.md").read_text()
