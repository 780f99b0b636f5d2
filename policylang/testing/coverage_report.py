"""What tests have seen of policies, as data; each form of the report has a file beside this one."""

from __future__ import annotations

from collections.abc import Iterable

from policylang.check import program as p
from policylang.record import record
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse
from policylang.testing.coverage import NO_OTHERS, Counts, Names, file_of
from policylang.testing.coverage_arms import BODY
from policylang.testing.coverage_reasons import Reasons
from policylang.testing.coverage_sites import Scope, Site, Sites

_FIRST = ("passed", "responded")


@record
class Mark:
    """One outcome of a statement, or one way that it took, on a line of the text. `kind`: `passed`, `responded`,
    `refusal`, `error`, `away`, `defect`, `cancelled`, `inside`, `arm`. One that is no `goal` stands here because it
    was seen."""

    line: int
    label: str
    kind: str
    count: int
    goal: bool


@record
class Seen:
    """A statement. `reached` is how often it ended; `why` says what kept tests from it where that is 0."""

    span: Span
    word: str
    depth: int
    scope: str
    reached: int
    marks: tuple[Mark, ...]
    why: str

    @property
    def goals(self) -> int:
        return sum(mark.goal for mark in self.marks)

    @property
    def met(self) -> int:
        return sum(mark.goal and mark.count > 0 for mark in self.marks)


@record
class Part:
    """A service, a global, a user's assertion: what of it was seen."""

    scope: Scope
    asked: int
    met: int
    goals: int


@record
class FileCoverage:
    """`statements` in the order of the text. `uncalled`: user's assertions that no service calls, by name and line:
    they are no part of what serves, so they have no goals."""

    source: Source
    statements: tuple[Seen, ...]
    parts: tuple[Part, ...]
    uncalled: tuple[tuple[str, int], ...]
    met: int
    goals: int


@record
class Report:
    """`untested`: policies beside the tests that none of them reads."""

    files: tuple[FileCoverage, ...]
    met: int
    goals: int
    untested: tuple[str, ...] = ()


def percent(met: int, goals: int) -> str:
    """Rounded down, so that 100 is all of them; of nothing all is seen."""
    return f"{100 * met // goals if goals else 100} %"


def report(
    programs: Iterable[p.Program], counts: Counts, untested: tuple[str, ...] = (), names: Names = NO_OTHERS
) -> Report:
    """Of all files of the programs that are no tests. `counts` are those of all their tests, with the same `names`."""
    programs = list(programs)
    sites = Sites(programs, names)
    reasons = Reasons(sites, counts)
    sources: dict[str, Source] = {}
    for program in programs:
        for source in program.sources:
            sources.setdefault(names.get(source.name, source.name), source)
    found: dict[str, list[Seen]] = {name: [] for name in sources}
    for site in sites.sites.values():
        found[file_of(site.span, names)].append(_seen(site, reasons, counts))
    within: dict[str, list[Seen]] = {}
    for each in found.values():
        for seen in each:
            within.setdefault(seen.scope, []).append(seen)
    files = []
    for name, source in sorted(sources.items()):
        statements = tuple(sorted(found[name], key=lambda each: (each.span.start, -each.span.end)))
        parts = tuple(
            Part(scope, counts.get(scope.asked, {}).get("asked", 0), *_sums(within.get(scope.key, ())))
            for scope in sorted(sites.scopes.values(), key=lambda scope: scope.span.start)
            if file_of(scope.span, names) == name
        )
        files.append(FileCoverage(source, statements, parts, _uncalled(source, sites), *_sums(statements)))
    return Report(tuple(files), sum(each.met for each in files), sum(each.goals for each in files), untested)


def _sums(statements: Iterable[Seen]) -> tuple[int, int]:
    met = goals = 0
    for each in statements:
        met, goals = met + each.met, goals + each.goals
    return met, goals


def _seen(site: Site, reasons: Reasons, counts: Counts) -> Seen:
    seen = counts.get(site.key, {})
    marks = [
        Mark(goal.span.line, goal.label, name.partition(":")[0], seen.get(name, 0), True)
        for name, goal in sorted(site.goals.items(), key=lambda each: each[0] if each[0].startswith("arm:") else "")
    ]
    for name, count in seen.items():
        if name not in site.goals and name != f"arm:{BODY}":
            kind, _, label = name.partition(":")
            known, span = site.labels.get(label, (label, site.span)) if kind == "arm" else (label, site.span)
            if known or kind != "arm":
                marks.append(Mark(span.line, known or _WORDS.get(kind, kind), kind, count, False))
    # What went well first, then refusals as the card has them; what has no goal last.
    marks.sort(key=lambda mark: (mark.line, not mark.goal, mark.kind not in _FIRST, "" if mark.goal else mark.label))
    reached = reasons.reached(site.key)
    return Seen(site.span, site.word, site.depth, site.scope, reached, tuple(marks), "" if reached else
                reasons.why(site))  # fmt: skip


_WORDS = {"inside": "failed inside"}


def _uncalled(source: Source, sites: Sites) -> tuple[tuple[str, int], ...]:
    called = {scope.name for scope in sites.scopes.values() if scope.kind == "assertion"}
    file, _ = parse(Source(source.name, source.text))
    return tuple(
        (each.name, each.name_span.line)
        for each in file.declarations
        if isinstance(each, n.AssertionDeclaration) and each.name not in called
    )


__all__ = ["FileCoverage", "Mark", "Part", "Report", "Seen", "percent", "report"]
