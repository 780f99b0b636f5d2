"""Diagnostics for programs: one JSON document. Lines and columns count from 1, columns in characters."""

from __future__ import annotations

import json
from collections.abc import Iterable

from policylang.diagnostics.model import Diagnostic, Fix
from policylang.source import Span


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """`{"version": 1, "diagnostics": [...]}` with a newline at its end."""
    document = {"version": 1, "diagnostics": [plain(d) for d in diagnostics]}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def plain(diagnostic: Diagnostic) -> dict[str, object]:
    """One diagnostic as plain data; `label`, `labels`, `help` and `fix` only where there are any."""
    d = diagnostic
    data: dict[str, object] = {"name": d.name, "severity": d.severity.value, "message": d.message, **_place(d.span)}
    if d.label:
        data["label"] = d.label
    if d.labels:
        data["labels"] = [{**_place(label.span), "text": label.text} for label in d.labels]
    if d.help:
        data["help"] = d.help
    if d.fix is not None:
        data["fix"] = _fix(d.fix)
    return data


def _fix(fix: Fix) -> dict[str, object]:
    edits = [{**_place(edit.span), "replacement": edit.replacement} for edit in fix.edits]
    return {"title": fix.title, "safe": fix.safe, "edits": edits}


def _place(span: Span) -> dict[str, object]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {"file": span.source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column}
