"""Diagnostics as SARIF 2.1.0, for code scanning services."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from policylang.diagnostics.model import Diagnostic, Fix, Severity
from policylang.source import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def render(diagnostics: Iterable[Diagnostic], *, version: str = "", pages: Mapping[str, str] | None = None) -> str:
    """One run of the tool `pol` with a result for each diagnostic; `version` is the tool's, `pages` are Markdown by
    the names of diagnostics."""
    found = list(diagnostics)
    names = sorted({d.name for d in found})
    driver: dict[str, object] = {"name": "pol", "rules": [_rule(name, (pages or {}).get(name, "")) for name in names]}
    if version:
        driver["version"] = version
    run = {
        "tool": {"driver": driver},
        # SARIF counts UTF-16 units unless told otherwise (3.14.17).
        "columnKind": "unicodeCodePoints",
        "results": [_result(d, names.index(d.name)) for d in found],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=2) + "\n"


def _rule(name: str, page: str) -> dict[str, object]:
    """With the first sentence of its page, which is what lists of findings show."""
    found: dict[str, object] = {"id": name, "help": {"text": f"pol explain {name}"}}
    if page:
        found["shortDescription"] = {"text": page.split("\n\n")[1].split("\n")[0].strip()}
        found["help"] = {"text": f"pol explain {name}", "markdown": page}
    return found


def _result(d: Diagnostic, index: int) -> dict[str, object]:
    text = d.message + (f"\n{d.label}" if d.label else "") + (f"\nhelp: {d.help}" if d.help else "")
    result: dict[str, object] = {
        "ruleId": d.name,
        "ruleIndex": index,
        "level": _LEVELS[d.severity],
        "message": {"text": text},
        "locations": [_location(d.span)],
    }
    if d.labels:
        result["relatedLocations"] = [
            {"id": i, "message": {"text": label.text}, **_location(label.span)} for i, label in enumerate(d.labels)
        ]
    if d.fix is not None:
        result["fixes"] = [_fix(d.fix)]
    return result


def _fix(fix: Fix) -> dict[str, object]:
    changes: dict[str, list[dict[str, object]]] = {}
    for edit in fix.edits:
        replacement = {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.replacement}}
        changes.setdefault(edit.span.source.name, []).append(replacement)
    return {
        "description": {"text": fix.title},
        "artifactChanges": [
            {"artifactLocation": {"uri": _uri(name)}, "replacements": edits} for name, edits in changes.items()
        ],
    }


def _location(span: Span) -> dict[str, object]:
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(span.source.name)}, "region": _region(span)}}


def _region(span: Span) -> dict[str, int]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}


def _uri(name: str) -> str:
    return "stdin" if name == "-" else quote(name.replace("\\", "/").encode("utf-8", "surrogateescape"))
