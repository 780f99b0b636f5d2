"""Rules run on a policy: what they find, less what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from policylang.catalog import Catalog
from policylang.check.checking import Checked
from policylang.diagnostics import Diagnostic
from policylang.lint.allowing import UnusedAllow, allows
from policylang.lint.configuration import Choice, Configuration
from policylang.lint.known import all_rules
from policylang.lint.policy import Policy
from policylang.lint.rule import Finding, Rule

Linted = list[tuple[Checked, list[Diagnostic]]]
"""Policies, each with what is found in it."""


class RuleFailed(Exception):
    """A rule raised what it should not; the text names it."""


def lint(
    checked: Checked,
    catalog: Catalog,
    configuration: Configuration | None = None,
    rules: Sequence[type[Rule]] | None = None,
) -> list[Diagnostic]:
    """The findings of all rules, in text order, each place once. With errors of the checker: these, and no others.

    Raises RuleFailed.
    """
    if checked.program is None:
        return checked.diagnostics
    policy = Policy(checked.program, checked.files, catalog)
    known = all_rules() if rules is None else rules
    wanted = configuration or Configuration()
    choices = {file.source.name: wanted.choices(file.source.name, known) for file in policy.files}
    found = [each for rule in known for each in _findings(rule, policy, choices)]
    found = _allowed(found, policy, choices)
    order = {file.source.name: place for place, file in enumerate(policy.files)}
    found.sort(key=lambda each: (order[each.span.source.name], each.span.start, each.span.end, each.name))
    return found


def _findings(rule: type[Rule], policy: Policy, choices: dict[str, dict[str, Choice]]) -> Iterable[Diagnostic]:
    """A rule runs once for each set of options that some file wants."""
    found: dict[tuple[str, int, int], Diagnostic] = {}
    wanted = [chosen[rule.name].options for chosen in choices.values() if rule.name in chosen]
    for place, options in enumerate(wanted):
        if options in wanted[:place]:
            continue
        try:
            for finding in rule(options).check(policy):
                span = finding.span
                choice = choices.get(span.source.name, {}).get(rule.name)
                if choice is not None and choice.options == options:
                    found.setdefault((span.source.name, span.start, span.end), _diagnostic(rule, finding, choice))
        except Exception as error:
            raise RuleFailed(f"the rule `{rule.name}` failed: {type(error).__name__}: {error}") from error
    return found.values()


def _diagnostic(rule: type[Rule], finding: Finding, choice: Choice) -> Diagnostic:
    return Diagnostic(
        rule.name, finding.span, finding.message, choice.severity, finding.label, tuple(finding.labels), finding.help,
        finding.fix,
    )  # fmt: skip


def _allowed(
    found: list[Diagnostic], policy: Policy, choices: dict[str, dict[str, Choice]]
) -> list[Diagnostic]:
    """What is left when comments have allowed the rest, and the comments that allowed nothing."""
    left: dict[tuple[str, str, int], list[Diagnostic]] = {}
    for each in found:
        left.setdefault((each.span.source.name, each.name, each.span.line), []).append(each)
    unused = []
    for file in policy.files:
        path = file.source.name
        chosen = choices[path]
        for allow in allows(file):
            first, last = allow.lines
            for name in allow.names:
                allowed = [left.pop((path, name.text, line), None) for line in range(first, last + 1)]
                if not any(allowed) and name.text in chosen and UnusedAllow.name in chosen:
                    unused.append(_diagnostic(UnusedAllow, UnusedAllow.finding(allow, name), chosen[UnusedAllow.name]))
    return [each for same in left.values() for each in same] + unused


def of_all(policies: Linted) -> list[Diagnostic]:
    """The findings of several policies, which may import one file: each once. What a rule with `in_every_policy` finds
    in such a file stands only when each policy with that file says so: what one of them uses is not unused."""
    united = {rule.name for rule in all_rules() if rule.in_every_policy}
    readers: dict[str, int] = {}
    for checked, _ in policies:
        for file in checked.files:
            readers[file.source.name] = readers.get(file.source.name, 0) + 1
    found: dict[tuple[str, str, int, int], list[Diagnostic]] = {}
    for _, diagnostics in policies:
        for each in diagnostics:
            key = (each.name, each.span.source.name, each.span.start, each.span.end)
            found.setdefault(key, []).append(each)
    return [
        same[0] for (name, file, _, _), same in found.items()
        if name not in united or len(same) == readers.get(file, 1)
    ]  # fmt: skip
