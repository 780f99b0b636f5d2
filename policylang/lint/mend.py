"""Fixes put into the text, round after round, as long as the policies stay right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from policylang.diagnostics import Diagnostic, Edit
from policylang.lint.run import Linted, of_all
from policylang.record import record
from policylang.source import Source
from policylang.syntax.printer import fmt_text

ROUNDS = 10
"""A fix may show what another one mends; after so many rounds the rest is left."""

Look = Callable[[Mapping[str, str]], Linted]
"""Checks and lints the policies as they are when these files have these texts."""


@record
class Mended:
    """`texts`: the files that changed, whole. `policies`: what is found now."""

    texts: Mapping[str, str]
    count: int
    policies: Linted


def mend(look: Look, unsafe: bool = False) -> Mended:
    """Apply the fixes of rules, safe ones or all. Left out is a policy with errors, and a rule whose fix would make a
    policy wrong, or unreadable for `pol fmt`."""
    texts: dict[str, str] = {}
    policies = look(texts)
    count = 0
    barred: set[str] = set()
    for _ in range(ROUNDS):
        right = [each for each in policies if each[0].program is not None]
        wanted = [each for each in of_all(right) if each.name not in barred and _may(each, unsafe)]
        for attempt in _attempts(wanted):
            chosen = _apart(attempt)
            fresh = _applied(chosen, texts)
            after = look(fresh)
            if _as_right(policies, after) and all(isinstance(_laid_out(*each), str) for each in fresh.items()):
                texts, policies, count = fresh, after, count + len(chosen)
                break
            if len({each.name for each in attempt}) == 1:
                barred.add(attempt[0].name)
        else:
            break
    return Mended(texts, count, policies)


def _may(diagnostic: Diagnostic, unsafe: bool) -> bool:
    return diagnostic.fix is not None and (unsafe or diagnostic.fix.safe)


def _attempts(wanted: list[Diagnostic]) -> Iterator[list[Diagnostic]]:
    """All at once, then each rule alone, so that it is known whose fix does harm."""
    names = list(dict.fromkeys(each.name for each in wanted))
    if wanted:
        yield wanted
    if len(names) > 1:
        for name in names:
            yield [each for each in wanted if each.name == name]


def _edits(diagnostic: Diagnostic) -> tuple[Edit, ...]:
    return diagnostic.fix.edits if diagnostic.fix else ()


def _apart(wanted: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Those whose edits touch nothing that an earlier one's do; the others wait for the next round."""
    taken: list[Edit] = []
    chosen = []
    for each in wanted:
        if not any(_overlap(edit, other) for edit in _edits(each) for other in taken):
            taken += _edits(each)
            chosen.append(each)
    return chosen


def _overlap(one: Edit, other: Edit) -> bool:
    if one.span.source.name != other.span.source.name:
        return False
    return (one.span.start < other.span.end and other.span.start < one.span.end) or one.span.start == other.span.start


def _applied(chosen: Iterable[Diagnostic], texts: Mapping[str, str]) -> dict[str, str]:
    """The files' texts with the edits; one that was laid out stays so."""
    edits: dict[str, list[Edit]] = {}
    for each in (edit for diagnostic in chosen for edit in _edits(diagnostic)):
        edits.setdefault(each.span.source.name, []).append(each)
    fresh = dict(texts)
    for name, here in edits.items():
        before = text = here[0].span.source.text
        for edit in sorted(here, key=lambda edit: edit.span.start, reverse=True):
            start, end = _widened(before, edit)
            text = text[:start] + edit.replacement + text[end:]
        result = _laid_out(name, text)
        fresh[name] = result if isinstance(result, str) and _laid_out(name, before) == before else text
    return fresh


def _widened(text: str, edit: Edit) -> tuple[int, int]:
    """What is taken away goes with its line, when nothing else stands there; else with the spaces before it."""
    start, end = edit.span.start, edit.span.end
    if edit.replacement:
        return start, end
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    last = len(text) if last < 0 else last + 1
    if text[end:last].strip():
        return start, end
    if text[first:start].strip():
        return first + len(text[first:start].rstrip(" \t")), end
    return first, last


def _laid_out(name: str, text: str) -> str | list[Diagnostic]:
    return fmt_text(Source(name, text))


def _as_right(before: Linted, after: Linted) -> bool:
    """Whether each policy that was right still is."""
    pairs = zip(before, after, strict=True)
    return all(new.program is not None or old.program is None for (old, _), (new, _) in pairs)
