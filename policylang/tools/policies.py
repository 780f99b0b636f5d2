"""The policies that a command is asked for: files, and what stands in folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from errno import ENOENT

from policylang.check.surroundings import resolve

TESTS = "_test.pol"
_IMPORT = re.compile(r'^import[ \t]+"([^"\n]+)"', re.M)


def policies(paths: Iterable[str]) -> list[str]:
    """Each path of a file as it is; for a folder, every `.pol` file in it and below, but tests, hidden folders, and
    what others of them import: that is read with these. Raises OSError."""
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            found += _roots(sorted(each for each in below(path) if not each.endswith(TESTS)))
        else:
            found.append(plain(path))
    return list(dict.fromkeys(found))


def plain(path: str) -> str:
    """The path as imports are called, so that one file has one name; where links may turn it stays as it is."""
    return path if not path or ".." in path.split(os.sep) else os.path.normpath(path)


def some_policies(paths: Sequence[str]) -> list[str]:
    """As `policies`. Raises OSError also when there is none."""
    found = policies(paths)
    if not found:
        raise FileNotFoundError(ENOENT, "no policy is in it", paths[0])
    return found


def below(folder: str) -> Iterator[str]:
    """Every `.pol` file in a folder and below, but for hidden folders, in no order."""
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for file in files:
            if file.endswith(".pol"):
                yield os.path.normpath(os.path.join(place, file))


def _roots(files: list[str]) -> list[str]:
    """Those that no other imports; of a circle the first."""
    imports: dict[str, list[str]] = {}
    for file in files:
        with open(file, encoding="utf-8", errors="replace") as opened:
            imports[file] = [resolve(each, file) for each in _IMPORT.findall(opened.read())]
    imported = {each for file, named in imports.items() for each in named if each != file}
    roots = [file for file in files if file not in imported]
    read: set[str] = set()
    for file in [*roots, *files]:
        if file not in read and file not in roots:
            roots.append(file)
        waiting = [file]
        while waiting:
            each = waiting.pop()
            if each not in read:
                read.add(each)
                waiting += imports.get(each, [])
    return sorted(roots)
