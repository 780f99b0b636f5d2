"""Diagnostics as JUnit XML: a suite for each file, a failed case for each finding; a file without one has a case that
passed. Advice is no failure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

from policylang.diagnostics import text
from policylang.diagnostics.model import Diagnostic, Severity

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold (section 2.2)."""


def render(diagnostics: Iterable[Diagnostic], *, files: Sequence[str] = ()) -> str:
    """`files`: those that were read, whether something was found or not."""
    suites: dict[str, list[Diagnostic]] = {file: [] for file in files}
    for diagnostic in diagnostics:
        suites.setdefault(diagnostic.span.source.name, []).append(diagnostic)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites{_counts(suites.values())}>"]
    for file, found in suites.items():
        lines.append(f"  <testsuite name={attribute(file)}{_counts([found])}>")
        lines += [_case(each) for each in found]
        if not found:
            lines.append(f'    <testcase classname={attribute(file)} name="nothing found" time="0"/>')
        lines.append("  </testsuite>")
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _counts(suites: Iterable[list[Diagnostic]]) -> str:
    tests = sum(len(found) or 1 for found in suites)
    failures = sum(each.severity is not Severity.INFO for found in suites for each in found)
    return f' tests="{tests}" failures="{failures}" errors="0" time="0"'


def _case(d: Diagnostic) -> str:
    line, column = d.span.source.position(d.span.start)
    file = d.span.source.name
    picture = content(text.render([d]))
    if d.severity is Severity.INFO:
        inside = f"<system-out>{picture}</system-out>"
    else:
        inside = f"<failure type={attribute(d.severity.value)} message={attribute(d.message)}>{picture}</failure>"
    head = f'    <testcase classname={attribute(file)} name={attribute(f"{d.name} {line}:{column}")}'
    return f'{head} file={attribute(file)} line="{line}" time="0">\n      {inside}\n    </testcase>'


def content(value: str) -> str:
    """Text as it stands in an element."""
    return escape(_NOT_XML.sub("\ufffd", value))


def attribute(value: str) -> str:
    """Text as it stands in a tag, with its quotes."""
    return quoteattr(_NOT_XML.sub("\ufffd", value), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
