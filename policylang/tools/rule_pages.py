"""The pages of rules: what `pol explain` prints of one, and `pol docs` of all."""

from __future__ import annotations

import json

from policylang.lint.examples import findings, parts, policy
from policylang.lint.known import all_rules
from policylang.lint.rule import CATEGORIES, Rule


def rule_page(name: str) -> str | None:
    """The page of a rule, or `lint` for that of all, as Markdown; None where there is none."""
    if name == "lint":
        return LINT
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


def rules_page() -> str:
    """All of them by category, below what is true of all."""
    lines = [LINT]
    for category in CATEGORIES:
        rules = [rule for rule in all_rules() if rule.category == category]
        if rules:
            lines += [f"## {category.capitalize()}", "", "| rule | finds |", "| --- | --- |"]
            lines += [f"| [{rule.name}](#{rule.name}) | {summary(rule)} |" for rule in rules]
            lines += ["", *(_deeper(page_of(rule)) for rule in rules)]
    return "\n".join(lines)


def summary(rule: type[Rule]) -> str:
    return parts(rule)[0].split("\n")[0]


def _deeper(page: str) -> str:
    """The heading two levels down."""
    return f"##{page}"


LINT = """\
# Rules

`pol lint` says what an expert reviewer would say of a policy without errors. A rule finds one thing, tells the place
and the cure, and has a page: `pol explain RULE`. The exit code is 1 when something is found that is more than advice
(`info`). Secrets and variables of the environment need not be there.

A folder stands for the policies in it, each with what it imports; tests are looked at when they are named.

`--fix` mends what can be mended without a change of meaning, `--fix --unsafe` also what somebody should look at, and
`--diff` shows either. `--rule`, `--category` and `--disable` choose rules, `--list` lists them.

## Allow

A comment allows what is meant, and says why: at the end of the line, on a line of its own above, or for the whole file
before its first declaration, with an empty line behind. Several rules stand with commas between them.

```pol
# lint-allow open-service: the network lets nobody in but our partners
service feed "/feed" {
    route feeds
}
```

## Configure

`pol.toml` stands in the policy's folder or in one above; the nearest counts, unless `--config` names another. A word in
it that nothing knows is an error, and no rule runs.

```toml
[lint]
disable = ["style"]       # rules and categories
enable = ["unused-allow"] # a rule goes before its category

[lint.rules.timeout-beyond-caller]
severity = "error"        # error, warning or info
seconds = 30              # an option: its page says what it means

[[lint.paths]]
match = ["samples/**", "**/*_test.pol"]
disable = ["open-service"]

[lint.paths.rules.timeout-beyond-caller]
seconds = 120
```

`match` takes one pattern or a list, relative to the file: `*` and `?` stop at a `/`, `**` does not, and a folder stands
for all that is in it. What is said for paths goes before what is said for all, and a later part before an earlier one.
`--rule` runs a rule that is disabled here, and what `--disable` names never runs.

## More rules

`pol new rule NAME` writes a package with a rule, its page and its test. What is installed with an entry point in
`polgate.rules` runs with the others.
"""
