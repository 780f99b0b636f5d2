"""Where the checker's findings are collected."""

from __future__ import annotations

from collections.abc import Sequence

from policylang.diagnostics import Diagnostic, Fix, Label
from policylang.source import Span


class Report:
    """Findings in the order they were made, one for each name and place.

    While `muted` is above 0 nothing is kept: a loop's body is walked again, a broken assertion expanded.
    """

    __slots__ = ("_seen", "diagnostics", "muted")

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.muted = 0
        self._seen: set[tuple[str, int, int, int]] = set()

    def error(
        self,
        name: str,
        span: Span,
        message: str,
        *,
        label: str = "",
        labels: Sequence[Label] = (),
        help: str = "",
        fix: Fix | None = None,
    ) -> None:
        if self.muted:
            return
        key = (name, id(span.source), span.start, span.end)
        if key in self._seen:
            return
        self._seen.add(key)
        self.diagnostics.append(
            Diagnostic(name, span, message, label=label, labels=tuple(labels), help=help, fix=fix)
        )

    def capture(self) -> tuple[list[Diagnostic], set[tuple[str, int, int, int]]]:
        """Start a list of its own; give what `release` needs to go on with the present one."""
        kept = (self.diagnostics, self._seen)
        self.diagnostics, self._seen = [], set()
        return kept

    def release(self, kept: tuple[list[Diagnostic], set[tuple[str, int, int, int]]]) -> list[Diagnostic]:
        """End that list: go on with the former one, and give what was found meanwhile."""
        found = self.diagnostics
        self.diagnostics, self._seen = kept
        return found
