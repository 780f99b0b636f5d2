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
    """Lines are those on which something begins, branches the goals of each, functions services and the like.

    As lcov 2 wants it: a line with branches or the beginning of a function is a line that can be run, its branches have
    numbers just where it was run, and functions have names of their own.
    """
    lines: list[str] = []
    for file in report.files:
        lines += ["TN:", f"SF:{file.source.name}"]
        runs: dict[int, int] = {}
        functions: dict[str, int] = {}
        reached: dict[str, int] = {}
        for seen in file.statements:
            reached[seen.scope] = max(reached.get(seen.scope, 0), seen.reached)
        for part in file.parts:
            name = f"{part.scope.kind} {part.scope.name}".strip()
            if name in functions:
                name = f"{name} {len(functions)}"
            functions[name] = ran = reached.get(part.scope.key, 0)
            lines.append(f"FN:{part.scope.span.line},{name}")
            lines.append(f"FNDA:{ran},{name}")
            _run(runs, part.scope.span.line, ran)
        lines += [f"FNF:{len(functions)}", f"FNH:{sum(count > 0 for count in functions.values())}"]
        for seen in file.statements:
            _run(runs, seen.span.line, seen.reached)
            for mark in seen.marks:
                _run(runs, mark.line, mark.count)
        for block, seen in enumerate(file.statements):
            for branch, mark in enumerate(mark for mark in seen.marks if mark.goal):
                lines.append(f"BRDA:{mark.line},{block},{branch},{mark.count if runs[mark.line] else '-'}")
        lines += [f"BRF:{file.goals}", f"BRH:{file.met}"]
        lines += [f"DA:{line},{count}" for line, count in sorted(runs.items())]
        lines += [f"LF:{len(runs)}", f"LH:{sum(count > 0 for count in runs.values())}", "end_of_record"]
    return "\n".join(lines) + "\n" if lines else ""


def _run(runs: dict[int, int], line: int, count: int) -> None:
    runs[line] = max(runs.get(line, 0), count)
