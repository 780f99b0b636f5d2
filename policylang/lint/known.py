"""Every rule there is: ours, those of installed plug-ins, and those about comments that allow."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from policylang.lint.rule import CATEGORIES, Rule

GROUP = "polgate.rules"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


class UnfitRule(Exception):
    """A plug-in gives what is no rule; the text is for its author."""


@cache
def all_rules() -> tuple[type[Rule], ...]:
    """In the order of their names. A plug-in's entry point is a rule's class, or a list of them. Raises UnfitRule."""
    from policylang.lint.allowing import RULES
    from policylang.lint.rules import built_in

    found = {rule.name: rule for rule in (*built_in(), *RULES)}
    for point in entry_points(group=GROUP):
        try:
            loaded = point.load()
        except Exception as error:
            raise UnfitRule(f"the plug-in `{point.value}` cannot be loaded: {error}") from error
        for rule in loaded if isinstance(loaded, (list, tuple)) else [loaded]:
            fits(rule, point.value)
            if rule.name in found:
                raise UnfitRule(f"the plug-in `{point.value}` brings a second rule called `{rule.name}`")
            found[rule.name] = rule
    return tuple(found[name] for name in sorted(found))


def fits(rule: Any, where: str) -> None:
    """Raises UnfitRule for what is no rule."""
    if not (isinstance(rule, type) and issubclass(rule, Rule)):
        raise UnfitRule(f"`{where}` is no rule: derive a class from policylang.lint.Rule")
    if not NAME.fullmatch(getattr(rule, "name", "")):
        raise UnfitRule(f"the rule of `{where}` has no name of lower-case words joined by `-`")
    if getattr(rule, "category", None) not in CATEGORIES:
        raise UnfitRule(f"the rule `{rule.name}` has none of the categories {', '.join(CATEGORIES)}")
