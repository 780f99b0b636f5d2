"""Diagnostics as GitHub workflow commands: one line each, shown beside the changed lines."""

from __future__ import annotations

from collections.abc import Iterable

from policylang.diagnostics.model import Diagnostic, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def render(diagnostics: Iterable[Diagnostic]) -> str:
    return "".join(_command(d) for d in diagnostics)


def _command(d: Diagnostic) -> str:
    line, column = d.span.source.position(d.span.start)
    end_line, end_column = d.span.source.position(d.span.end)
    # Columns of a span over several lines are refused by GitHub, so they are left out there.
    columns = f",col={column},endColumn={max(column, end_column - 1)}" if line == end_line else ""
    place = f"file={_property(d.span.source.name)},line={line},endLine={end_line}{columns}"
    text = d.message + (f" ({d.label})" if d.label else "") + (f"\nhelp: {d.help}" if d.help else "")
    return f"::{_COMMANDS[d.severity]} {place},title={_property(d.name)}::{_data(text)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
