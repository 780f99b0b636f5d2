"""The pages of rules: what `pol explain` prints of one, and `pol docs` of all."""

from __future__ import annotations

import json
from collections.abc import Iterable

from policylang.lint.examples import findings, parts, policy
from policylang.lint.known import all_rules
from policylang.lint.rule import CATEGORIES, Rule


def rule_page(name: str) -> str | None:
    """The page of a rule, as Markdown; None where there is none."""
    return next((page_of(rule) for rule in all_rules() if rule.name == name), None)


def page_of(rule: type[Rule]) -> str:
    prose, bad, good = parts(rule)
    lines = [f"# {rule.name}", "", prose, "", "```pol bad", bad.rstrip("\n"), "```", "", "```pol", good.rstrip("\n")]
    lines += ["```", "", f"A rule of {rule.category}, severity `{rule.severity.value}`. {_mended(rule)}".rstrip(), ""]
    if rule.options:
        lines += ["| option | usually |", "| --- | --- |"]
        lines += [f"| `{name}` | `{json.dumps(usual)}` |" for name, usual in rule.options.items()]
        lines.append("")
    return "\n".join(lines)


def _mended(rule: type[Rule]) -> str:
    """What `--fix` does with the bad example."""
    fixes = [found.fix for found in findings(policy(parts(rule)[1])) if found.fix and found.name == rule.name]
    if not fixes:
        return ""
    return "Mended by `--fix`." if all(fix.safe for fix in fixes) else "Mended by `--fix --unsafe`."


def by_category() -> Iterable[tuple[str, list[type[Rule]]]]:
    for category in CATEGORIES:
        yield category, [rule for rule in all_rules() if rule.category == category]
