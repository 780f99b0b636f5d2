"""The tests of one file, with the policy that they import."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from policylang.catalog import Catalog
from policylang.check.checking import Checked, check_again, check_files
from policylang.check.loading import TESTS
from policylang.check.program import Const, Program
from policylang.check.surroundings import Given, Loader
from policylang.check.tests import CheckedTest, given_in
from policylang.diagnostics import Diagnostic
from policylang.record import record
from policylang.sdk.outcome import Failed
from policylang.testing.world import World, WrongPolicy
from policylang.tree.emit import compiled
from policylang.tree.tree import Tree, compile_program

MOST_PROGRAMS = 16
"""Surroundings in which the policy is kept as checked: those of the tests that were run last."""


@record
class Test:
    """One test, of a table one row. `line`: of its title."""

    name: str
    file: str
    line: int
    checked: CheckedTest
    suite: Suite
    row: Any = None


@dataclass(eq=False)
class Suite:
    """`diagnostics`: of the tests and of the policy; where one is an error there are no tests. `program`: the policy's,
    in its own surroundings as far as no test gives others."""

    path: str
    diagnostics: list[Diagnostic]
    program: Program | None
    tests: tuple[Test, ...] = ()
    programs: dict[bytes, Program] = field(default_factory=dict)
    runs: dict[int, Any] = field(default_factory=dict)
    _again: Any = None

    def tree(self, given: Given) -> Tree:
        """The policy in these surroundings, checked once for equal ones. Raises WrongPolicy.

        Compiled for whoever asks: what a worker remembers by itself, such as who is in a blackout, stands in its tree.
        """
        return compile_program(self.checked(given), at_once=False)  # a test asks few of many services

    def checked(self, given: Given) -> Program:
        """As it is compiled. Raises WrongPolicy."""
        key = written(given)
        found = self.programs.get(key)
        if found is None:
            checked: Checked = self._checked_again(given)
            if checked.program is None:
                raise WrongPolicy([_with_given(each) for each in checked.diagnostics])
            if len(self.programs) >= MOST_PROGRAMS:
                del self.programs[next(iter(self.programs))]
            found = self.programs[key] = checked.program
        return found

    def _checked_again(self, given: Given) -> Checked:
        """Without collecting, which takes as long as the check itself: nearly all that it makes is kept."""
        collects = gc.isenabled()
        gc.disable()
        try:
            checked: Checked = self._again(given)
        finally:
            if collects:
                gc.enable()
        return checked


def written(given: Given) -> bytes:
    """Equal for equal surroundings; `read` makes them of it again."""
    return orjson.dumps(
        [given.maps, given.variables, given.secrets, given.files], default=str, option=orjson.OPT_SORT_KEYS
    )


def read(text: bytes) -> Given:
    return Given(*orjson.loads(text))


def is_suite(path: str) -> bool:
    """Whether a file of that name may hold tests."""
    return path.endswith(TESTS)


def load_suite(
    path: str, load: Loader | None = None, environ: Mapping[str, str] | None = None, *, catalog: Catalog | None = None
) -> Suite:
    """Check a file of tests and what it imports. Raises OSError when it cannot be read."""
    checked = check_files([path], load, environ, catalog=catalog)
    loaded = checked.loaded
    if checked.program is None or loaded is None:
        return Suite(path, [_with_given(each) for each in checked.diagnostics], None)
    suite = Suite(path, checked.diagnostics, checked.program)
    if given_in(loaded.tests).nothing:
        suite.programs[written(Given())] = checked.program  # it was checked as it is
    suite._again = lambda given: check_again(loaded, given, load, environ, catalog=catalog)
    own = (each for each in checked.tests if each.span.source.name == path)
    suite.tests = tuple(test for each in own for test in _tests(suite, each))
    return suite


_GIVEN = {
    "missing-secret": "a test gives it: `given secret(%s), value: \"…\"`",
    "missing-environment": "a test gives it: `given env(%s), value: \"…\"`",
    "missing-file": "a test may do without it: `given map(\"…\"), entries: { … }`, or `given file(%s), text: \"…\"`",
}


def _with_given(found: Diagnostic) -> Diagnostic:
    """Of what the surroundings lack a test can give most, which is the better cure."""
    cure = _GIVEN.get(found.name, "")
    if not cure or found.span.source.line(found.span.line).lstrip().startswith("import"):
        return found
    return replace(found, help=cure % found.span.text)


def _tests(suite: Suite, checked: CheckedTest) -> list[Test]:
    place = checked.span
    rows = (None,) if checked.rows is None else checked.rows
    titles: dict[str, int] = {}
    found = []
    for row in rows:
        title = _title(suite, checked, row)
        times = titles[title] = titles.get(title, 0) + 1
        name = title if times == 1 else f"{title} ({times})"  # rows that are called alike are told apart
        found.append(Test(name, place.source.name, place.line, checked, suite, row))
    return found


def _title(suite: Suite, checked: CheckedTest, row: Any) -> str:
    title = checked.title
    if isinstance(title, Const):
        return str(title.value)
    assert suite.program is not None
    from policylang.testing.running import own_exchange

    exchange = own_exchange(World(suite, suite.program, None), checked, row)
    try:
        found = str(compiled(title)(exchange))
    except Failed as failed:
        return f"{checked.span.text[1:-1]} ({failed.failure.detail})"
    return found if found.strip() else checked.span.text[1:-1]
