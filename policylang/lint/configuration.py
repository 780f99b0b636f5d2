"""Which rules run on which file, how severe they are, and with what options."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from policylang.lint.rule import Rule, Severity
from policylang.record import record


@record
class Layer:
    """What one part of a configuration says of the files that it is for; `match` is empty for all.

    `disable` and `enable` hold names of rules and categories; a rule's own name goes before its category's.
    """

    match: tuple[str, ...] = ()
    disable: frozenset[str] = frozenset()
    enable: frozenset[str] = frozenset()
    severities: Mapping[str, Severity] = {}
    options: Mapping[str, Mapping[str, Any]] = {}

    def is_for(self, path: str) -> bool:
        return not self.match or any(_pattern(each).fullmatch(path) for each in self.match)

    def switches(self, rule: type[Rule]) -> bool | None:
        """Whether it turns the rule on or off; None: it says nothing of it."""
        for word in (rule.name, rule.category):
            if word in self.disable:
                return False
            if word in self.enable:
                return True
        return None


@record
class Choice:
    """A rule that runs on a file."""

    severity: Severity
    options: Mapping[str, Any]


@record
class Configuration:
    """`folder`: what paths are relative to. `layers`: later ones win. `only`: names of rules and categories, empty
    for all; a rule named there runs though a layer turns it off. `without`: those that do not run whatever is said."""

    folder: str = "."
    layers: tuple[Layer, ...] = ()
    only: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    def choices(self, file: str, rules: Iterable[type[Rule]]) -> dict[str, Choice]:
        """The rules that run on a file, by name."""
        path = os.path.relpath(file, self.folder).replace(os.sep, "/")
        layers = [layer for layer in self.layers if layer.is_for(path)]
        return {rule.name: _choice(rule, layers) for rule in rules if self._runs(rule, layers)}

    def _runs(self, rule: type[Rule], layers: list[Layer]) -> bool:
        if {rule.name, rule.category} & self.without:
            return False
        if self.only and not {rule.name, rule.category} & self.only:
            return False
        if rule.name in self.only:
            return True
        said = [on for on in (layer.switches(rule) for layer in layers) if on is not None]
        return not said or said[-1]


def _choice(rule: type[Rule], layers: list[Layer]) -> Choice:
    severity = rule.severity
    options: dict[str, Any] = {}
    for layer in layers:
        severity = layer.severities.get(rule.name, severity)
        options.update(layer.options.get(rule.name, {}))
    return Choice(severity, options)


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    """`*` and `?` stop at a `/`; `**` does not; a folder stands for all that is in it."""
    found = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("./")):
        found += {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}.get(part, re.escape(part))
    return re.compile(found + r".*" if found.endswith("/") else found + r"(?:/.*)?", re.S)
