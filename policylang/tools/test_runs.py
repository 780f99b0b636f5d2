"""Suites of tests run once, or again and again, and what all of them have seen."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Sequence

from policylang.check import Checked
from policylang.check.program import Program
from policylang.record import record
from policylang.testing import coverage_data, coverage_html, coverage_text
from policylang.testing.coverage import Counts, Coverage, Names
from policylang.testing.coverage_report import Report, percent, report
from policylang.testing.coverage_sites import More
from policylang.testing.running import run as run_test
from policylang.testing.suite import Suite, Test, load_suite
from policylang.testing.suite import read as read_given
from policylang.testing.world import WrongPolicy
from policylang.tools.check_command import read
from policylang.tools.main import use_color
from policylang.tools.policies import policies
from policylang.tools.rewriting import writing
from policylang.tools.stand_ins import check_alone
from policylang.tools.test_files import NoTests, Reading, find
from policylang.tools.test_output import PASSED, Output, Told, told, told_broken
from policylang.tools.test_processes import run_all

FORMS = ("text", "html", "lcov", "json")
"""Of coverage; what is no text goes to a file."""
_RENDER: dict[str, Callable[[Report], str]] = {
    "text": coverage_text.render, "html": coverage_html.render, "lcov": coverage_data.as_lcov,
    "json": coverage_data.as_json,
}  # fmt: skip
_FILES = {"html": "coverage.html", "lcov": "coverage.lcov", "json": "coverage.json"}


@record
class Loaded:
    suite: Suite
    reading: Reading


class Runs:
    """`wanted` is what the command line says. `changes`: what the last look at the files has found."""

    def __init__(self, wanted: argparse.Namespace) -> None:
        self.wanted = wanted
        self.covers = wanted.coverage is not None or wanted.min is not None
        self.color = use_color(wanted.color)
        self.changes: list[str] = []
        self._loaded: dict[str, Loaded] = {}
        self._counts: dict[str, list[Counts]] = {}
        self._given: dict[str, dict[str, None]] = {}
        self._output = Output(wanted.format, self.color, wanted.verbose)

    # --- running ---

    def run(self, files: Sequence[str]) -> None:
        """Load these files and run the tests in them that are wanted.

        Raises NoTests where there are none, or no test's name holds what `--filter` says, and OSError for a file that
        is not there."""
        output = self._output = Output(self.wanted.format, self.color, self.wanted.verbose)
        for file in files:
            self._loaded[file] = self._load(file)
            self._counts[file], self._given[file] = [], {}
        suites = [self._loaded[file].suite for file in files]
        for suite in suites:
            output.wrong(suite.diagnostics)
        text = self.wanted.filter.casefold()
        everything = [test for suite in suites for test in suite.tests]
        tests = [test for test in everything if text in test.name.casefold()]
        if not tests and not self.wanted.watch:
            if everything:
                raise NoTests(f"no test's name holds `{self.wanted.filter}`, of {len(everything)}")
            if not output.diagnostics:
                raise NoTests(f"there is no `test` in {_listed(files)}")
        results = self._results(tests)
        try:
            for place, result in enumerate(results):
                output.result(result)
                self._counts[result["file"]].append(result["counts"])
                self._given[result["file"]].update(dict.fromkeys(result["given"]))
                stops = self.wanted.fail_fast and result["outcome"] != PASSED
                if stops or place + 1 == len(tests) or tests[place + 1].file != result["file"]:
                    output.file(result["file"])
                if stops:
                    output.left_out = len(tests) - place - 1
                    break
        finally:
            results.close()

    def _load(self, file: str) -> Loaded:
        reading = Reading()
        try:
            return Loaded(load_suite(file, load=reading), reading)
        except OSError as error:
            if not self.wanted.watch:
                raise
            print(f"pol: cannot read `{file}`: {(error.strerror or 'failed').lower()}", file=sys.stderr)
            return Loaded(Suite(file, [], None), reading)  # which says when it is there again

    def _results(self, tests: Sequence[Test]) -> Generator[Told, None, None]:
        coverage = Coverage(self._names())
        more: dict[str, More] = {}

        def one(number: int) -> Told:
            suite = tests[number].suite
            if not self.covers:
                return told(run_test(tests[number]), self.color)
            result = run_test(tests[number], coverage.observe)
            seen, coverage.counts = coverage.counts, {}
            if suite.path not in more:
                assert suite.program is not None
                more[suite.path] = More(suite.program)
            given = [key.decode() for key in more[suite.path].among(suite.programs)]
            return told(result, self.color, seen, given)

        def broken(number: int, how: str) -> Told:
            return told_broken(tests[number].name, tests[number].checked.span, how, self.color)

        return run_all(len(tests), one, self.wanted.jobs or _cores(), broken)

    def end(self) -> bool:
        """Tell what came of the last run, and what all have seen. False where something did not pass, or too little
        was seen."""
        self._output.end()
        return self._cover() and self._output.fine

    # --- coverage ---

    def _cover(self) -> bool:
        if not self.covers:
            return True
        if any(each.suite.diagnostics for each in self._loaded.values()):
            print("pol: no coverage, as not all tests can be run", file=sys.stderr)
            return True
        coverage = Coverage()
        for counts in self._counts.values():
            for each in counts:
                coverage.add(each)
        programs = [*self._programs()]
        untested = self._untested()
        for path, checked in untested.items():
            if checked.program is None:
                print(f"pol: `{path}` is not counted: `pol check` says what is wrong with it", file=sys.stderr)
            else:
                programs.append(checked.program)
        found = report(programs, coverage.counts, tuple(untested), self._names())
        if self.wanted.coverage is not None:
            self._write(found, self.wanted.coverage, self.wanted.output or _FILES.get(self.wanted.coverage))
        least = self.wanted.min
        if least is None or 100 * found.met >= least * found.goals:
            return True
        share = f"{percent(found.met, found.goals)} of the outcomes were seen ({found.met:,} of {found.goals:,})"
        print(f"pol: {share}, and `--min` wants {least:g} %", file=sys.stderr)
        return False

    def _programs(self) -> Iterator[Program]:
        """What was tested, also as it is in surroundings that tests gave: more may be possible there."""
        for file, each in self._loaded.items():
            if each.suite.program is not None:
                yield each.suite.program
            for given in self._given[file]:
                try:
                    yield each.suite.checked(read_given(given.encode()))
                except WrongPolicy:
                    pass  # of a file that was changed meanwhile

    def _names(self) -> Names:
        """For each name of a policy's file, the first one that it was read by."""
        first: dict[str, str] = {}
        programs = [each.suite.program for each in self._loaded.values() if each.suite.program is not None]
        names = [source.name for program in programs for source in program.sources]
        return {name: first.setdefault(os.path.realpath(name), name) for name in names}

    def _untested(self) -> dict[str, Checked]:
        """Policies in the folders that were asked for, which no test reads: nothing is seen of them."""
        folders = [path for path in self.wanted.files if os.path.isdir(path)]
        known = {os.path.realpath(path) for each in self._loaded.values() for path in each.reading.stamps}
        there: dict[str, str] = {}
        for path in policies(folders):
            there.setdefault(os.path.realpath(path), path)
        return {path: check_alone(path, read) for real, path in there.items() if real not in known}

    def _write(self, found: Report, form: str, path: str | None) -> None:
        if path is None:
            # A document on standard output stays one.
            out = sys.stderr if self.wanted.format in ("json", "junit") else sys.stdout
            width = shutil.get_terminal_size((coverage_text.WIDTH, 24)).columns
            written = coverage_text.render(found, color=self.color, width=width, whole=self.wanted.verbose)
            print("\n" + written, end="", file=out)
            return
        with writing(path), open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(_RENDER[form](found))
        print(f"coverage is in {path}", file=sys.stderr)

    # --- watching ---

    @property
    def watched(self) -> int:
        return len({path for each in self._loaded.values() for path in each.reading.stamps})

    def concerned(self, paths: Sequence[str]) -> list[str]:
        """Files of tests that read what has changed since, or are new."""
        there: dict[str, None] = {}
        for path in paths:
            try:
                there.update(dict.fromkeys(find([path])))
            except (NoTests, OSError):
                pass  # it may come back: editors replace files
        for file in [file for file in self._loaded if file not in there]:
            del self._loaded[file], self._counts[file], self._given[file]
        changes: dict[str, None] = {}
        concerned = []
        for file in there:
            known = self._loaded.get(file)
            changed = [file] if known is None else known.reading.changed
            if changed:
                concerned.append(file)
                changes.update(dict.fromkeys(changed))
        self.changes = list(changes)
        return concerned


def _listed(files: Sequence[str]) -> str:
    return f"`{files[0]}`" if len(files) == 1 else f"these {len(files)} files"


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
