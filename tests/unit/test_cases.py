"""Runs every case: a heading, a ```pol block, and blocks with what is expected of it.

Cases are Markdown files under `tests/cases` and the folders in POL_CASES. A folder there may hold a
`runner.py` with `run(case) -> dict[str, str]`: what the case yields, by the info string of the block that
must say the same; nothing and an absent block are the same. The nearest `runner.py` above a file counts, so
a new topic is a folder with a runner and files. The cases of a sample stand in its `cases.md`, under the runner of
exchanges, and need no ```pol block. POL_ACCEPT=1 writes what was found into the files.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases"
SAMPLES = ROOT / "samples"
FOLDERS = [CASES, *(Path(name) for name in os.environ.get("POL_CASES", "").split(os.pathsep) if name)]
ACCEPT = os.environ.get("POL_ACCEPT") == "1"

_FENCE = re.compile(r"^(`{3,})([^`\n]*)\n(.*?)^\1[ \t]*$", re.S | re.M)
_HEADING = re.compile(r"^#+ +(.+?)[ \t]*$", re.M)


@dataclass(frozen=True)
class Block:
    """`info` is what stands behind the opening fence; offsets are those of the whole fence."""

    info: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Case:
    """`blocks` are all between its heading and the next; `policy` is the first ```pol block."""

    path: Path
    title: str
    start: int
    end: int
    blocks: list[Block] = field(default_factory=list)

    @property
    def policy(self) -> str:
        return next(block.text for block in self.blocks if block.info.split()[:1] == ["pol"])

    def text(self, info: str) -> str:
        """The text of the block with that info string; empty where there is none."""
        return next((block.text for block in self.blocks if block.info == info), "")


def read_cases(path: Path) -> list[Case]:
    """The cases of a file: headings with a ```pol block below them."""
    text = path.read_text(encoding="utf-8")
    blocks = [Block(m[2].strip(), m[3], m.start(), m.end()) for m in _FENCE.finditer(text)]
    headings = [m for m in _HEADING.finditer(text) if not any(b.start <= m.start() < b.end for b in blocks)]
    ends = [m.start() for m in headings[1:]] + [len(text)]
    cases = []
    for heading, end in zip(headings, ends, strict=True):
        inside = [b for b in blocks if heading.start() < b.start < end]
        if any(b.info.split()[:1] in (["pol"], ["http"]) for b in inside):
            cases.append(Case(path, heading[1], heading.start(), end, inside))
    return cases


@cache
def runner_of(folder: Path) -> Callable[[Any], dict[str, str]]:
    if folder.is_relative_to(SAMPLES):
        folder = CASES / "exchange"
    for place in (folder, *folder.parents):
        file = place / "runner.py"
        if file.exists():
            spec = importlib.util.spec_from_file_location(f"runner_of_{place.name}", file)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            run: Callable[[Any], dict[str, str]] = module.run
            return run
    raise FileNotFoundError(f"no runner.py in or above {folder}")


def accept(case: Case, found: dict[str, str]) -> None:
    """Writes what a case yields into its file, in the place of what was expected. The file is read again:
    accepting an earlier case of it has moved this one."""
    text = case.path.read_text(encoding="utf-8")
    case = next(c for c in read_cases(case.path) if c.title == case.title)
    edits: list[tuple[int, int, str]] = []
    for info, content in found.items():
        fence = f"```{info}\n{content}```" if content else ""
        block = next((b for b in case.blocks if b.info == info), None)
        if block is not None and fence:
            edits.append((block.start, block.end, fence))
        elif block is not None:
            edits.append((text.rfind("\n", 0, max(0, block.start - 1)), block.end, ""))
        elif fence:
            last = case.blocks[-1].end
            edits.append((last, last, f"\n\n{fence}"))
    for start, end, content in sorted(edits, reverse=True):
        text = text[:start] + content + text[end:]
    case.path.write_text(text, encoding="utf-8")


FILES = [path for folder in FOLDERS for path in sorted(folder.rglob("*.md"))] + sorted(SAMPLES.glob("*/cases.md"))
ALL = [case for path in FILES for case in read_cases(path)]


def _name(case: Case) -> str:
    path = case.path.relative_to(CASES) if case.path.is_relative_to(CASES) else case.path
    return f"{path}::{case.title}"


@pytest.mark.parametrize("case", ALL, ids=_name)
def test_case(case: Case) -> None:
    found = runner_of(case.path.parent)(case)
    if ACCEPT:
        accept(case, found)
        return  # the next run compares
    for info, content in found.items():
        assert content == case.text(info)
    assert "text" in found or not case.text("text"), "this topic's runner yields no text"


def test_titles_tell_cases_apart() -> None:
    names = [_name(case) for case in ALL]
    assert len(names) == len(set(names))
