"""Diagnostics for people: the source's lines, what is wrong under them, and the cure below."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from policylang.diagnostics.model import Diagnostic, Severity
from policylang.source import Source, Span

# Longer lines are shown in part, around what is marked.
LINE_WIDTH = 110
TAB = 4

_RESET = "\x1b[0m"
_COLORS = {
    Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m", Severity.INFO: "\x1b[1;36m",
    "frame": "\x1b[1;34m", "strong": "\x1b[1m", "help": "\x1b[1;32m",
}


@dataclass(frozen=True, slots=True)
class _Mark:
    """A stretch of one line: columns from 0 in characters, half-open."""

    line: int
    start: int
    end: int
    text: str
    primary: bool


def render(diagnostics: Iterable[Diagnostic], *, color: bool = False, more: bool = True) -> str:
    """All of them, an empty line between two; the empty string for none. `more` adds the last line, which
    names the page that `pol explain` prints."""
    return "\n".join(_Picture(d, color, more).draw() for d in diagnostics)


class _Picture:
    def __init__(self, diagnostic: Diagnostic, color: bool, more: bool) -> None:
        self.diagnostic = diagnostic
        self.color = color
        self.more = more
        self.lines: list[str] = []

    def draw(self) -> str:
        d = self.diagnostic
        groups: dict[int, tuple[Source, list[_Mark]]] = {id(d.span.source): (d.span.source, [])}
        for span, text, primary in [(d.span, d.label, True), *((label.span, label.text, False) for label in d.labels)]:
            marks = groups.setdefault(id(span.source), (span.source, []))[1]
            marks.append(_mark(span, text, primary))
        width = max(len(str(mark.line)) for _, marks in groups.values() for mark in marks)
        title = self._paint(d.severity, f"{d.severity.value}[{d.name}]")
        self.lines.append(title + self._paint("strong", f": {printable(d.message)}"))
        for number, (source, marks) in enumerate(groups.values()):
            line, column = d.span.source.position(d.span.start) if number == 0 else (marks[0].line, marks[0].start + 1)
            place = f"{printable(source.name)}:{line}:{column}"
            pointer = "--> " if number == 0 else "::: "
            self.lines.append(" " * width + self._paint("frame", pointer) + place)
            self._gutter(width)
            self._section(source, marks, width)
        self._gutter(width)
        if d.help:
            self.lines.append(self._paint("help", "help") + f": {printable(d.help)}")
        if d.fix is not None:
            self.lines.append(self._paint("help", "help" if not d.help else "fix") + f": {printable(d.fix.title)}")
        if self.more:
            self.lines.append(self._paint("help", "more") + f": pol explain {d.name}")
        return "\n".join(line.rstrip() for line in self.lines) + "\n"

    def _section(self, source: Source, marks: list[_Mark], width: int) -> None:
        before: int | None = None
        for line in sorted({mark.line for mark in marks}):
            if before is not None and line != before + 1:
                self._gutter(width)
            here = sorted((m for m in marks if m.line == line), key=lambda m: (m.start, not m.primary))
            text = source.line(line)
            first, last = _window(text, here)
            shown = printable(text[first:last])
            head = "…" if first else ""
            tail = "…" if last < len(text) else ""
            self.lines.append(self._paint("frame", f"{line:>{width}} |") + f" {head}{shown}{tail}")
            for mark in here:
                pad = len(head) + columns(text[first : mark.start])
                size = max(1, columns(text[mark.start : min(mark.end, last)]))
                sign = ("^" if mark.primary else "-") * size
                words = f"{sign} {printable(mark.text)}".rstrip()
                style: Severity | str = self.diagnostic.severity if mark.primary else "frame"
                self._gutter(width, " " * pad + self._paint(style, words))
            before = line

    def _gutter(self, width: int, rest: str = "") -> None:
        self.lines.append(self._paint("frame", " " * width + " |") + (f" {rest}" if rest else ""))

    def _paint(self, style: Severity | str, text: str) -> str:
        return f"{_COLORS[style]}{text}{_RESET}" if self.color else text


def _mark(span: Span, text: str, primary: bool) -> _Mark:
    """The part of a span on its first line; an empty one marks one column."""
    line, column = span.source.position(span.start)
    length = len(span.source.line(line))
    start = column - 1
    return _Mark(line, start, max(start + 1, min(start + span.end - span.start, length)), text, primary)


def _window(text: str, marks: list[_Mark]) -> tuple[int, int]:
    """Which characters of a line to show."""
    if len(text) <= LINE_WIDTH:
        return 0, len(text)
    first = max(0, min(mark.start for mark in marks) - 40)
    return first, min(len(text), max(first + LINE_WIDTH, marks[0].start + 20))


def printable(text: str) -> str:
    """What a terminal can show in as many columns as `columns` counts: nothing that moves or hides."""
    return "".join(
        " " * TAB if c == "\t" else c if unicodedata.category(c)[0] != "C" else "�" for c in text
    )


def columns(text: str) -> int:
    if text.isascii() and "\t" not in text:
        return len(text)
    return sum(map(_width, text))


def _width(character: str) -> int:
    if character == "\t":
        return TAB
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
