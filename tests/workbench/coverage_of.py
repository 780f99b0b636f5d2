"""Coverage of a policy's text, by requests that are written down in a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from policylang.check import check_text
from policylang.sdk.bench import BenchEnvironment, StubUpstream, make_exchange, run
from policylang.testing.coverage import Coverage
from policylang.testing.coverage_report import Report, Seen, report
from policylang.tree import compile_program

CLIENTS = b'{ "k1": { "id": "ann", "contract": "gold" }, "k2": { "id": "bob", "contract": "none" } }'


def covered(
    text: str, *requests: str | tuple[str, Mapping[str, Any]], files: Mapping[str, bytes] | None = None,
    upstreams: Mapping[str, Any] | None = None,
) -> Report:  # fmt: skip
    """Each request: `GET /path`, and what else `make_exchange` takes. All are asked of one gateway."""
    checked = check_text(text, "p.pol", files={"clients.json": CLIENTS, **(files or {})})
    assert checked.program is not None, [each.message for each in checked.diagnostics]
    tree = compile_program(checked.program)
    environment = BenchEnvironment(
        upstreams={each.name: StubUpstream() for each in checked.program.upstreams} | dict(upstreams or {})
    )
    coverage = Coverage()
    for request in requests:
        line, given = (request, {}) if isinstance(request, str) else request
        method, path = line.split(" ")
        exchange = make_exchange(environment, method, path, journal=True, **given)
        run(tree.handle(exchange), environment.clock)
        for end in exchange.ends or ():
            end()
        coverage.observe(tree, exchange)
    return report([checked.program], coverage.counts)


def told(found: Report) -> list[str]:
    """One line for each statement that says something: its line, word, and outcomes; `*` marks a goal."""
    return [line for file in found.files for line in map(_line, file.statements) if line]


def _line(seen: Seen) -> str:
    marks = [f"{'*' if mark.goal else ''}{mark.label} {mark.count}" for mark in seen.marks]
    return f"{seen.span.line} {seen.word}: {', '.join(marks)}" if marks else ""


def why(found: Report) -> dict[int, str]:
    """By line: what kept requests from the first statement on it."""
    reasons: dict[int, str] = {}
    for seen in _all(found):
        if seen.why:
            reasons.setdefault(seen.span.line, seen.why)
    return reasons


def _all(found: Report) -> Sequence[Seen]:
    return [seen for file in found.files for seen in file.statements]
