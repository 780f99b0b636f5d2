"""Why no test came to a statement: what stands in its way, and what that did instead."""

from __future__ import annotations

from collections.abc import Mapping

from policylang.check import program as p
from policylang.source import Span
from policylang.testing.coverage import INSIDE, PASSED, Counts
from policylang.testing.coverage_arms import BODY, ELSE
from policylang.testing.coverage_sites import RESPONDED, Scope, Site, Sites

_LONGEST = 40
"""Characters of a condition that are quoted."""


class Reasons:
    def __init__(self, sites: Sites, counts: Counts) -> None:
        self._sites = sites
        self._counts = counts
        self._stops: dict[int, list[str]] = {}

    def reached(self, key: str) -> int:
        """How often a statement ended, however it did."""
        return sum(count for what, count in self._seen(key).items() if not what.startswith("arm:"))

    def _seen(self, key: str) -> Mapping[str, int]:
        return self._counts.get(key, {})

    def why(self, site: Site) -> str:
        """One line, for a statement that was never reached."""
        stop = self._stop(site)
        if stop:
            return self._stopped(self._sites.sites[stop], site.span)
        if site.outer in self._sites.scopes:
            return self._of_scope(self._sites.scopes[site.outer], site.span)
        outer = self._sites.sites[site.outer]
        if not self.reached(outer.key):
            return self.why(outer)
        return self._of_arm(site, outer)

    def _stop(self, site: Site) -> str:
        """The last statement before it, beside it, that was reached; "" for none."""
        stops = self._stops.get(id(site.row))
        if stops is None:
            stops, last = [], ""
            for key in site.row:
                stops.append(last)
                last = key if self.reached(key) else last
            self._stops[id(site.row)] = stops
        return stops[site.place]

    def _stopped(self, site: Site, asker: Span) -> str:
        """A statement before it was reached, and did not let it come so far."""
        seen = [what for what in self._seen(site.key) if not what.startswith("arm:")]
        place = f"`{site.word}` on {_line(site.span, asker)}"
        if PASSED in seen:
            return f"nothing was run after {place}"  # cancelled between the two
        if seen == [RESPONDED]:
            return f"{place} always responded"
        names = [what.partition(":")[2] for what in seen if ":" in what]
        if not names and INSIDE in seen:
            return f"{place} always failed inside"
        with_what = f", with {_listed([f'`{name}`' for name in names])}" if names else ""
        ended = "failed or responded" if RESPONDED in seen else "failed"
        return f"{place} always {ended}{with_what}"

    def _of_scope(self, scope: Scope, asker: Span) -> str:
        if scope.kind == "assertion":
            calls = [self._sites.sites[key] for key in self._sites.calls.get(scope.key, ())]
            lines = _listed([_line(each.span, asker) for each in calls])
            if any(self.reached(each.key) for each in calls):
                return f"the arguments of `{scope.name}` on {lines} always failed"
            if len(calls) == 1:
                return f"`{scope.name}` was never called: {lines} was not reached"
            return f"`{scope.name}` was never called: neither of {lines} was reached"
        if scope.kind == "global before":
            return "no test asks for anything"
        if scope.kind == "global after":
            return "no test had an answer"
        asked = self._seen(scope.asked).get("asked", 0)
        if not asked:
            return f"no test asks for the service `{scope.name}`"
        if scope.kind == "on failure":
            return f"none of the {_times(asked, 'request')} to `{scope.name}` failed after `global before`"
        return f"`global before` ended each of the {_times(asked, 'request')} to `{scope.name}`"

    def _of_arm(self, site: Site, outer: Site) -> str:
        """What it stands in was reached, and never took the way to it."""
        statement, arm = outer.statement, site.arm
        where = f"`{outer.word}` on {_line(outer.span, site.span)}"
        asked = f"asked {_times(self.reached(outer.key), 'time')}"
        if isinstance(statement, p.If):
            if arm == ELSE:
                return f"{where} always took another branch, {asked}"
            condition = statement.arms[int(arm)][0] if arm.isdigit() else statement.arms[0][0]
            text = " ".join(condition.span.text.split())
            shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
            return f"`{shown}` on {_line(condition.span, site.span)} was never true, {asked}"
        if isinstance(statement, p.Split):
            return f"{where} never drew this share, {asked}"
        if isinstance(statement, p.Match):
            what = "`else`" if arm == ELSE else "this case"
            return f"{where} never came to {what}, {asked}"
        if isinstance(statement, p.Group):
            return {
                "any": f"a branch before it always ended {where}",
                "none": f"a branch before it was never refused in {where}",
            }.get(statement.kind, f"a branch before it always failed in {where}")
        if isinstance(statement, p.For):
            return f"{where} never had a round, {asked}"
        if isinstance(statement, p.Try) and arm == ELSE:
            return f"nothing failed in {where}, {asked}"
        if isinstance(statement, p.Else) and arm == ELSE:
            return f"what stands left of `else` on {_line(outer.span, site.span)} never failed, {asked}"
        if isinstance(statement, p.Invoke) and arm == BODY:
            return f"{where} never ran its block, {asked}"
        return f"{where} never came so far"


def _line(span: Span, asker: Span) -> str:
    other = "" if span.source.name == asker.source.name else f" of {span.source.name}"
    return f"line {span.line}{other}"


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


__all__ = ["Reasons"]
