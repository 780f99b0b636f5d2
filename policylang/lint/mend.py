"""Fixes put into the text, round after round, as long as the policies stay right."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from policylang.check import program as p
from policylang.check.checking import Checked
from policylang.diagnostics import Diagnostic, Edit
from policylang.lint.look import within
from policylang.lint.run import Linted, of_all
from policylang.record import record
from policylang.source import Source, Span
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
    policy wrong, or unreadable for `pol fmt`; of the safe ones also a rule whose fix would have a limit count anew."""
    done = Mended({}, 0, look({}))
    barred: set[str] = set()
    for _ in range(ROUNDS):
        right = [each for each in done.policies if each[0].program is not None]
        wanted = [each for each in of_all(right) if each.name not in barred and _may(each, unsafe)]
        if not wanted:
            break
        found = _tried(look, done, wanted, unsafe)
        if found is None:  # each rule alone, so that it is known whose fix does harm
            names = dict.fromkeys(each.name for each in wanted)
            alone = {
                name: _tried(look, done, [each for each in wanted if each.name == name], unsafe) for name in names
            }  # fmt: skip
            harmful = {name for name, one in alone.items() if one is None}
            barred |= harmful
            found = done if harmful else next(iter(alone.values()))
        done = found or done
    return done


def _may(diagnostic: Diagnostic, unsafe: bool) -> bool:
    return diagnostic.fix is not None and (unsafe or diagnostic.fix.safe)


def _tried(look: Look, before: Mended, wanted: Iterable[Diagnostic], unsafe: bool) -> Mended | None:
    """With these fixes, as far as they keep out of one another's way; None where that does harm."""
    chosen = _apart(wanted)
    texts = _applied(chosen, before.texts)
    if texts is None:
        return None
    after = look(texts)
    if not _as_right(before.policies, after) or not (unsafe or _counts_on(before.policies, after)):
        return None
    return Mended(texts, before.count + len(chosen), after)


def _edits(diagnostic: Diagnostic) -> tuple[Edit, ...]:
    return diagnostic.fix.edits if diagnostic.fix else ()


def _apart(wanted: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Those whose edits touch nothing that an earlier one's do; the others wait for the next round."""
    taken: dict[str, list[tuple[int, int]]] = {}
    chosen = []
    for each in wanted:
        places = [(taken.setdefault(edit.span.source.name, []), edit.span) for edit in _edits(each)]
        if all(_free(there, span) for there, span in places):
            for there, span in places:
                insort(there, (span.start, span.end))
            chosen.append(each)
    return chosen


def _free(taken: list[tuple[int, int]], span: Span) -> bool:
    """Whether a place is apart from these, which are so among themselves and in order."""
    after = bisect_left(taken, (span.start, -1))
    if after and taken[after - 1][1] > span.start:
        return False
    return after == len(taken) or (taken[after][0] >= span.end and taken[after][0] != span.start)


def _applied(chosen: Iterable[Diagnostic], texts: Mapping[str, str]) -> dict[str, str] | None:
    """The files' texts with the edits; one that was laid out stays so. None where one cannot be read any more."""
    edits: dict[str, list[Edit]] = {}
    for each in (edit for diagnostic in chosen for edit in _edits(diagnostic)):
        edits.setdefault(each.span.source.name, []).append(each)
    fresh = dict(texts)
    for name, here in edits.items():
        before = text = here[0].span.source.text
        crlf = "\r\n" in before
        for edit in sorted(here, key=lambda edit: edit.span.start, reverse=True):
            start, end = _widened(before, edit)
            added = edit.replacement.replace("\r\n", "\n")
            text = text[:start] + (added.replace("\n", "\r\n") if crlf else added) + text[end:]
        result = _laid_out(name, text)
        if not isinstance(result, str):
            return None
        fresh[name] = result if _laid_out(name, before) == before else text
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


def _counts_on(before: Linted, after: Linted) -> bool:
    """Whether every limit, map and `split` of each policy goes on with what it has counted so far."""
    pairs = zip(before, after, strict=True)
    return all(_counters(old) == _counters(new) for (old, _), (new, _) in pairs if old.program is not None)


def _counters(checked: Checked) -> Counter[str]:
    """Their names. What is kept for a block goes by the text of that block, so that every change of it begins anew."""
    program = checked.program
    if program is None:
        return Counter()
    bodies = [*program.before, *program.after, *(each.body for each in program.services)]
    bodies += [each.on_failure for each in program.services if each.on_failure is not None]
    every = (inner for body in bodies for statement in body.statements for inner in within(statement))
    counting = (
        each.counter for each in every
        if isinstance(each, p.Split) or (isinstance(each, p.Invoke) and not each.card.skips_block)
    )  # fmt: skip
    return Counter(filter(None, counting))
