"""Coverage beside the source, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from policylang.diagnostics.text import columns, printable
from policylang.testing.coverage_report import FileCoverage, Mark, Report, Seen, percent

WIDTH = 132
"""Columns, where nobody says how many there are."""
_WIDEST = 84
"""Columns of source; what is longer has its outcomes below it."""
_LEAST = 36
"""Columns of outcomes: where fewer are left beside the source, they stand below it."""
_COLORS = {"good": "\x1b[32m", "bad": "\x1b[1;31m", "part": "\x1b[33m", "dim": "\x1b[2m"}
_RESET = "\x1b[0m"
Piece = tuple[str, str]
"""A text and its colour's name."""


def render(report: Report, *, color: bool = False, width: int = WIDTH, whole: bool = False) -> str:
    """The source of every file that misses something (`whole`: of every file), then a line for each, and the sum."""
    lines: list[str] = []
    for file in report.files:
        if whole or file.met < file.goals:
            lines += [*_Page(file, color, width).lines(), ""]
    names = [printable(file.source.name) for file in report.files]
    longest = max(map(columns, names), default=0)
    for name, file in zip(names, report.files, strict=True):
        lines.append(f"{name}{' ' * (longest - columns(name))}  {_share(file.met, file.goals)}")
        lines += [f"    `{uncalled}` on line {line} is never called" for uncalled, line in file.uncalled]
    lines += [f"{printable(path)}: no test reads it" for path in report.untested]
    lines.append(f"coverage: {_share(report.met, report.goals)}")
    return "\n".join(lines) + "\n"


def _share(met: int, goals: int) -> str:
    return f"{met:,} of {goals:,} outcomes seen, {percent(met, goals)}"


class _Page:
    def __init__(self, file: FileCoverage, color: bool, width: int) -> None:
        self.file = file
        self.color = color
        self.beside = beside_lines(file)
        count = file.source.line_count - file.source.text.endswith("\n")
        self.texts = [printable(file.source.line(number)) for number in range(1, count + 1)]
        self.gutter = len(str(count))
        longest = max((columns(self.texts[line - 1]) for line, pieces in self.beside.items() if pieces), default=0)
        self.column = min(longest, _WIDEST)
        self.room = width - self.column - self.gutter - 7
        if self.room < _LEAST:
            self.column, self.room = 12, max(_LEAST, width - self.gutter - 19)

    def lines(self) -> Iterator[str]:
        yield f"{printable(self.file.source.name)}: {_share(self.file.met, self.file.goals)}"
        yield ""
        for number, text in enumerate(self.texts, 1):
            pieces = self.beside.get(number, [])
            missing = any(style == "bad" for _, style in pieces)
            rows = _wrapped(pieces, self.room)
            sign = ">" if missing else "|"
            head = f"{number:>{self.gutter}} "
            if missing:
                head, sign = self._paint(head, "bad"), self._paint(sign, "bad")
            long = columns(text)
            if long > self.column and rows:
                yield f"{head}{sign} {text}"
            else:
                first = rows.pop(0) if rows else []
                pad = " " * (self.column - long) + "  " if first else ""
                yield f"{head}{sign} {text}{pad}{self._painted(first)}".rstrip()
            for row in rows:
                yield f"{' ' * self.gutter} | {' ' * self.column}  {self._painted(row)}"

    def _painted(self, row: list[Piece]) -> str:
        return " ".join(self._paint(text, style) for text, style in row)

    def _paint(self, text: str, style: str) -> str:
        return f"{_COLORS[style]}{text}{_RESET}" if self.color and style else text


def beside_lines(file: FileCoverage) -> dict[int, list[Piece]]:
    """What stands beside each line: texts with the name of their colour; `bad` is what was never seen."""
    found: dict[int, list[Piece]] = {}
    told = ""
    for number, statements in by_line(file).items():
        groups: list[list[Piece]] = []
        named = sum(any(mark.kind != "arm" for mark in marks) for _, marks in statements) > 1
        # Why nothing came to what begins here says also that the way to it was not taken.
        said = any(not seen.reached and seen.span.line == number for seen, _ in statements)
        for seen, marks in statements:
            word = f"{seen.word}: " if named else ""
            if seen.reached:
                arms = [mark for mark in marks if mark.kind == "arm" and (mark.count or not said)]
                groups += [_pieces([mark for mark in marks if mark.kind != "arm"], word), _pieces(arms)]
            elif number == seen.span.line and not (groups and seen.why == told):
                groups.append([(word + ("not reached" if seen.why == told else f"not reached: {seen.why}"), "bad")])
                told = seen.why
        found[number] = _joined([group for group in groups if group])
    return found


def _joined(groups: list[list[Piece]]) -> list[Piece]:
    return [
        (text + ";" * (piece + 1 == len(group) and place + 1 < len(groups)), style)
        for place, group in enumerate(groups)
        for piece, (text, style) in enumerate(group)
    ]


def by_line(file: FileCoverage) -> dict[int, list[tuple[Seen, list[Mark]]]]:
    """The statements that have something to say on each line, in the order of the lines."""
    found: dict[int, list[tuple[Seen, list[Mark]]]] = {}
    for seen in file.statements:
        for line in sorted({mark.line for mark in seen.marks} | {seen.span.line}):
            marks = [mark for mark in seen.marks if mark.line == line]
            if marks or not seen.reached:
                found.setdefault(line, []).append((seen, marks))
    return dict(sorted(found.items()))


def _pieces(marks: list[Mark], word: str = "") -> list[Piece]:
    found: list[Piece] = []
    for place, mark in enumerate(marks):
        head = "" if place else word
        comma = "," * (place + 1 < len(marks))
        if mark.count:
            found.append((f"{head}{mark.label} {mark.count:,}{comma}", "good" if mark.goal else "dim"))
        else:
            found.append((f"{head}{mark.label} never{comma}", "bad"))
    return found


def _wrapped(pieces: list[Piece], room: int) -> list[list[Piece]]:
    """Rows of whole pieces; one that is longer than a row is broken at blanks."""
    rows: list[list[Piece]] = []
    used = room + 1
    for text, style in pieces:
        for part in _broken(text, room):
            if used + 1 + len(part) > room:
                rows.append([])
                used = -1
            rows[-1].append((part, style))
            used += 1 + len(part)
    return rows


def _broken(text: str, room: int) -> Iterator[str]:
    while len(text) > room:
        cut = text.rfind(" ", 1, room + 1)
        cut = cut if cut > 0 else room
        yield text[:cut]
        text = text[cut:].lstrip()
    yield text


__all__ = ["beside_lines", "by_line", "render"]
