"""Every rule has a page; its bad example yields that rule and no other, its good example nothing, of all rules."""

from __future__ import annotations

import re

import pytest

from policylang.check.pages import PAGES as CHECKED
from policylang.lint.configured import read
from policylang.lint.examples import findings, parts, policy
from policylang.lint.known import all_rules
from policylang.lint.rule import CATEGORIES, Rule
from policylang.source import Source
from policylang.syntax.pages import PAGES as READ
from policylang.syntax.printer import fmt_text
from policylang.tools.reference import page as explained
from policylang.tools.rule_pages import LINT, page_of, rules_page

RULES = all_rules()
BY_NAME = pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])


@BY_NAME
def test_the_bad_example_yields_it_and_nothing_else(rule: type[Rule]) -> None:
    found = findings(policy(parts(rule)[1]))
    assert {each.name for each in found} == {rule.name}, [(str(each.span), each.name, each.message) for each in found]


@BY_NAME
def test_the_good_example_is_clean(rule: type[Rule]) -> None:
    found = findings(policy(parts(rule)[2]))
    assert not found, [(str(each.span), each.name, each.message) for each in found]


@BY_NAME
def test_the_page_and_the_findings_read_well(rule: type[Rule]) -> None:
    summary, *rest = parts(rule)[0].split("\n", 1)
    assert summary.endswith(".") and not summary.endswith(".."), "the first line is one sentence"
    assert not rest or rest[0].startswith("\n"), "an empty line follows it"
    assert rule.category in CATEGORIES
    for found in findings(policy(parts(rule)[1])):
        assert found.help or found.fix, "a finding says what to do"
        for text in (found.message, found.label, found.help, found.fix.title if found.fix else ""):
            assert "\n" not in text and not text.endswith("."), text
            assert not re.match(r"[A-Z][a-z]", text), f"{text}: begins in lower case"


@BY_NAME
def test_examples_are_laid_out(rule: type[Rule]) -> None:
    """As `pol fmt` would, but where the layout is what is wrong."""
    good = policy(parts(rule)[2])
    laid_out = fmt_text(Source("policy.pol", good))
    assert isinstance(laid_out, str)
    assert lines(laid_out) == lines(good)


@BY_NAME
def test_the_reference_has_it(rule: type[Rule]) -> None:
    """With the summary on the first line, and options where there are some."""
    page = page_of(rule)
    assert explained(rule.name) == page, "`pol explain` finds it"
    assert page.startswith(f"# {rule.name}\n\n{parts(rule)[0]}")
    assert f"A rule of {rule.category}, severity `{rule.severity.value}`." in page
    for option in rule.options:
        assert f"| `{option}` |" in page


def test_the_page_of_all_rules_has_each() -> None:
    page = rules_page()
    for rule in RULES:
        assert page.count(f"\n### {rule.name}\n") == 1
        assert f"](#{rule.name})" in page


def lines(text: str) -> list[str]:
    """Without the empty ones: what stands around an example has none."""
    return [line for line in text.splitlines() if line.strip()]


def test_names_are_those_of_nothing_else() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert not set(names) & ({*CHECKED, *READ})


def test_the_page_of_all_rules_shows_what_is_so() -> None:
    """Its comment allows what is found without it, and its configuration can be read."""
    shown = re.findall(r"^```(\w+)\n(.*?)^```$", LINT, re.S | re.M)
    (example,) = (text for kind, text in shown if kind == "pol")
    around = (
        'gateway {\n    listen "0.0.0.0:8443", cert: "api.pem", key: "api.key"\n}\n\n'
        'upstream feeds {\n    server "http://127.0.0.1:9100"\n}\n\n'
    )
    assert not findings(around + example)
    without = "".join(line for line in example.splitlines(keepends=True) if "lint-allow" not in line)
    assert [each.name for each in findings(around + without)] == ["open-service"]
    for text in (text for kind, text in shown if kind == "toml"):
        _, wrong = read("pol.toml", text, RULES)
        assert not wrong, wrong[0].message
