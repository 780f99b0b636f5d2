"""What came of tests, in the format that was asked for. Works on plain data: what processes tell each other."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from policylang.diagnostics import Diagnostic, as_json, github, text
from policylang.diagnostics.junit import attribute, content
from policylang.source import Span
from policylang.testing.results import Result
from policylang.testing.running import BROKEN as BROKEN_TEST

PASSED: Final = "passed"
FAILED: Final = "failed"
BROKEN: Final = "broken"
SHOWN = 20
"""Tests that did not pass are shown in full, as text; of further ones a line says what is wrong."""
_COLORS = {PASSED: "\x1b[32m", FAILED: "\x1b[1;31m", BROKEN: "\x1b[1;31m"}

Told = dict[str, Any]
"""A test's result: `name`, `file`, `line`, `outcome`, `findings` as JSON has them, `text` and `github` of the same,
`picture`, `requests`, `seconds`, and of coverage `counts` and the surroundings that were `given`."""


def told(result: Result, color: bool, counts: Any = None, given: Sequence[str] = ()) -> Told:
    return {
        "name": result.name, "file": result.file, "line": result.line, "outcome": result.outcome,
        "findings": [as_json.plain(each) for each in result.findings],
        "text": text.render(result.findings, color=color), "github": _annotated(result),
        "picture": result.picture, "requests": result.requests, "seconds": round(result.seconds, 6),
        "counts": counts or {}, "given": given,
    }  # fmt: skip


def _annotated(result: Result) -> str:
    """Each with the test's name: rows of a table fail in one place."""
    name = _shown(result.name)
    return github.render(replace(each, message=f"{name}: {each.message}") for each in result.findings)


def told_broken(name: str, title: Span, how: str, color: bool) -> Told:
    """Of a test that nothing came of. `title`: where it stands."""
    finding = Diagnostic(BROKEN_TEST, title, f"nothing came of this test: {how}")
    return told(Result(name, title.source.name, title.line, BROKEN, (finding,)), color)


def _shown(name: str) -> str:
    """A test's name, whose text may come from anywhere, in one line of what a terminal shows."""
    return text.printable(" ".join(name.split()))


class Output:
    """Told of suites and results in their order, it prints what the format wants when it can."""

    def __init__(self, format: str, color: bool, verbose: bool) -> None:
        self.format = format
        self.color = color
        self.verbose = verbose
        self.results: list[Told] = []
        self.diagnostics: list[Diagnostic] = []
        self.left_out = 0
        """Tests that were not run, because one before them did not pass."""
        self._began = time.perf_counter()

    # --- while they run ---

    def wrong(self, diagnostics: Sequence[Diagnostic]) -> None:
        """What is wrong with files that so cannot be run."""
        new = [each for each in diagnostics if each not in self.diagnostics]
        self.diagnostics += new
        if self.format == "text" and new:
            print(text.render(new, color=self.color))
        elif self.format == "github":
            print(github.render(new), end="")

    def result(self, result: Told) -> None:
        self.results.append(result)
        if self.format == "text" and self.verbose:
            print(f"{self._colored(result['outcome'])}  {_shown(result['name'])}  {_cost(result)}", flush=True)
        elif self.format == "github":
            print(result["github"], end="", flush=True)

    def file(self, name: str) -> None:
        """All tests of a file were run."""
        if self.format != "text":
            return
        own = [each for each in self.results if each["file"] == name]
        print(f"{name}  {self._counted(own)}", flush=True)

    # --- at the end ---

    @property
    def fine(self) -> bool:
        return not self.diagnostics and all(each["outcome"] == PASSED for each in self.results)

    def end(self) -> None:
        seconds = time.perf_counter() - self._began
        if self.format == "json":
            print(json.dumps(self._document(seconds), ensure_ascii=False, indent=2))
            return
        if self.format == "junit":
            print(_junit(self.results, self.diagnostics, seconds), end="")
            return
        if self.format == "text":
            wrong = [each for each in self.results if each["outcome"] != PASSED]
            for each in wrong[:SHOWN]:
                self._show(each)
            if wrong[SHOWN:]:
                print(f"\nand {len(wrong) - SHOWN} more, which `--filter` shows in full:\n")
            for each in wrong[SHOWN:]:
                message = each["findings"][0]["message"] if each["findings"] else ""
                print(f"{self._heading(each)}  {message}".rstrip())
        print(self._summary(seconds))

    def _show(self, result: Told) -> None:
        print(f"\n{self._heading(result)}\n")
        print(result["text"].rstrip("\n"))
        if result["picture"]:
            print("\n" + result["picture"].rstrip("\n"))

    def _heading(self, result: Told) -> str:
        place = text.printable(f"{result['file']}:{result['line']}")
        return f"{self._colored(result['outcome'])}: {_shown(result['name'])}  ({place})"

    def _summary(self, seconds: float) -> str:
        requests = sum(each["requests"] for each in self.results)
        count = len(self.results)
        gap = "\n" if self.format == "text" else ""
        lost = f"; {self.left_out} not run" if self.left_out else ""
        wrong = len(self.diagnostics)
        unread = f"; {wrong} finding{'s' * (wrong != 1)}" if wrong else ""
        return (
            f"{gap}{count} test{'s' * (count != 1)}{': ' * bool(count)}{self._counted(self.results)}{lost}{unread}; "
            f"{requests:,} request{'s' * (requests != 1)} in {seconds:.2f} s"
        )

    def _counted(self, results: Sequence[Told]) -> str:
        found = [
            f"{sum(each['outcome'] == outcome for each in results)} {self._colored(outcome)}"
            for outcome in (PASSED, FAILED, BROKEN)
            if any(each["outcome"] == outcome for each in results)
        ]
        return ", ".join(found)

    def _colored(self, outcome: str) -> str:
        return f"{_COLORS[outcome]}{outcome}\x1b[0m" if self.color else outcome

    def _document(self, seconds: float) -> dict[str, Any]:
        shown = ("name", "file", "line", "outcome", "findings", "picture", "requests", "seconds")
        return {
            "version": 1,
            **{outcome: sum(each["outcome"] == outcome for each in self.results) for outcome in _COLORS},
            "left_out": self.left_out, "seconds": round(seconds, 3),
            "tests": [{key: each[key] for key in shown} for each in self.results],
            "diagnostics": [as_json.plain(each) for each in self.diagnostics],
        }  # fmt: skip


def _cost(result: Told) -> str:
    count = result["requests"]
    return f"{count:,} request{'s' * (count != 1)}, {1000 * result['seconds']:.1f} ms"


def _junit(results: Sequence[Told], diagnostics: Sequence[Diagnostic], seconds: float) -> str:
    """A suite for each file, a case for each test; a file that does not check has one case that is an error."""
    suites: dict[str, list[str]] = {}
    totals: dict[str, list[Told]] = {}
    for each in results:
        suites.setdefault(each["file"], []).append(_case(each))
        totals.setdefault(each["file"], []).append(each)
    for wrong in diagnostics:
        file = wrong.span.source.name
        picture = content(text.render([wrong]))
        suites.setdefault(file, []).append(
            f"    <testcase classname={attribute(file)} name={attribute(wrong.name)} time=\"0\">\n"
            f"      <error type={attribute(wrong.name)} message={attribute(wrong.message)}>{picture}</error>\n"
            "    </testcase>"
        )
    lines = ['<?xml version="1.0" encoding="UTF-8"?>',
             f"<testsuites{_numbers(results, len(diagnostics))} time=\"{seconds:.3f}\">"]  # fmt: skip
    for file, cases in suites.items():
        own = totals.get(file, [])
        spent = sum(each["seconds"] for each in own)
        head = f"  <testsuite name={attribute(file)}{_numbers(own, len(cases) - len(own))} time=\"{spent:.3f}\">"
        lines += [head, *cases, "  </testsuite>"]
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _numbers(results: Sequence[Told], wrong: int) -> str:
    failures = sum(each["outcome"] == FAILED for each in results)
    errors = wrong + sum(each["outcome"] == BROKEN for each in results)
    return f' tests="{len(results) + wrong}" failures="{failures}" errors="{errors}"'


def _case(result: Told) -> str:
    head = (
        f"    <testcase classname={attribute(result['file'])} name={attribute(result['name'])} "
        f"file={attribute(result['file'])} line=\"{result['line']}\" time=\"{result['seconds']:.3f}\""
    )
    if result["outcome"] == PASSED:
        return head + "/>"
    word = "failure" if result["outcome"] == FAILED else "error"
    first = result["findings"][0] if result["findings"] else {"name": result["outcome"], "message": ""}
    inside = content("\n".join(part for part in (result["text"], result["picture"]) if part))
    return (
        f"{head}>\n      <{word} type={attribute(first['name'])} message={attribute(first['message'])}>{inside}"
        f"</{word}>\n    </testcase>"
    )
