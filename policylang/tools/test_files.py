"""The files that `pol test` runs: found in folders, loaded, and looked at for changes."""

from __future__ import annotations

import os
from collections.abc import Sequence

from policylang.tools.check_command import read
from policylang.tools.policies import TESTS, below, plain

Stamp = tuple[int, int] | None
"""When a file was changed, and how long it is; None while it cannot be read."""


class NoTests(Exception):
    """Nothing to run; the text says why, and what to do."""


def find(paths: Sequence[str]) -> list[str]:
    """The files of tests: those given, that of a policy given, and those in folders in the order of their names.
    Raises NoTests, and OSError for a path that is not there."""
    found: list[str] = []
    for path in map(plain, paths):
        if os.path.isdir(path):
            found += sorted(each for each in below(path) if each.endswith(TESTS))
        elif path.endswith(TESTS):
            os.stat(path)
            found.append(path)
        else:
            os.stat(path)
            beside = path.removesuffix(".pol") + TESTS
            if not os.path.exists(beside):
                said = f"`{path}` has no tests: they would stand in `{beside}`"
                if any(line.startswith(b"test ") for line in read(path).splitlines()):
                    said = f"the tests in `{path}` are none: move them to `{beside}`, and `import` the policy there"
                raise NoTests(said)
            found.append(beside)
    if not found:
        where = ", ".join(f"`{path}`" for path in paths)
        raise NoTests(f"no tests in {where}: they stand in files named `…{TESTS}`")
    return list(dict.fromkeys(found))


class Reading:
    """Reads files for one suite and knows which: each with its stamp from before it was read."""

    def __init__(self) -> None:
        self.stamps: dict[str, Stamp] = {}

    def __call__(self, path: str) -> bytes:
        self.stamps.setdefault(path, stamp(path))
        return read(path)

    @property
    def changed(self) -> list[str]:
        return [path for path, before in self.stamps.items() if stamp(path) != before]


def stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
