"""Coverage for programs: a JSON document, and lcov's tracefile."""

from __future__ import annotations

import json

from policylang.testing.coverage_report import FileCoverage, Report, Seen


def as_json(report: Report) -> str:
    """`{"version": 1, "met": …, "goals": …, "files": […]}`; lines and columns count from 1, columns in characters."""
    document = {
        "version": 1, "met": report.met, "goals": report.goals, "files": [_file(file) for file in report.files],
        "untested": list(report.untested),
    }  # fmt: skip
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _file(file: FileCoverage) -> dict[str, object]:
    return {
        "file": file.source.name, "met": file.met, "goals": file.goals,
        "uncalled": [{"assertion": name, "line": line} for name, line in file.uncalled],
        "parts": [
            {"kind": part.scope.kind, "name": part.scope.name, "line": part.scope.span.line, "asked": part.asked,
             "met": part.met, "goals": part.goals}
            for part in file.parts
        ],
        "statements": [_statement(seen) for seen in file.statements],
    }  # fmt: skip


def _statement(seen: Seen) -> dict[str, object]:
    line, column = seen.span.source.position(seen.span.start)
    end_line, end_column = seen.span.source.position(seen.span.end)
    found: dict[str, object] = {
        "line": line, "column": column, "end_line": end_line, "end_column": end_column, "word": seen.word,
        "reached": seen.reached,
    }  # fmt: skip
    if seen.why:
        found["why"] = seen.why
    found["outcomes"] = [
        {"line": mark.line, "name": mark.label, "kind": mark.kind, "count": mark.count, "goal": mark.goal}
        for mark in seen.marks
    ]
    return found


def as_lcov(report: Report) -> str:
    """Lines are those on which statements begin, branches the goals of each, functions services and the like."""
    lines: list[str] = []
    for file in report.files:
        lines += ["TN:", f"SF:{file.source.name}"]
        reached = {}
        for part in file.parts:
            name = f"{part.scope.kind} {part.scope.name}".strip()
            lines.append(f"FN:{part.scope.span.line},{name}")
            ran = max([seen.reached for seen in file.statements if seen.scope == part.scope.key], default=0)
            lines.append(f"FNDA:{ran},{name}")
            reached[part.scope.key] = ran
        lines += [f"FNF:{len(reached)}", f"FNH:{sum(count > 0 for count in reached.values())}"]
        for block, seen in enumerate(file.statements):
            for branch, mark in enumerate(mark for mark in seen.marks if mark.goal):
                lines.append(f"BRDA:{mark.line},{block},{branch},{mark.count if seen.reached else '-'}")
        lines += [f"BRF:{file.goals}", f"BRH:{file.met}"]
        counts: dict[int, int] = {}
        for seen in file.statements:
            counts[seen.span.line] = max(counts.get(seen.span.line, 0), seen.reached)
        lines += [f"DA:{line},{count}" for line, count in sorted(counts.items())]
        lines += [f"LF:{len(counts)}", f"LH:{sum(count > 0 for count in counts.values())}", "end_of_record"]
    return "\n".join(lines) + "\n" if lines else ""
