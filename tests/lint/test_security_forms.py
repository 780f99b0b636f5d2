"""Rules of security near the line: `security_forms.md` has a heading for each rule, and texts that it finds or leaves
alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from policylang.lint.examples import findings, policy
from policylang.lint.known import all_rules

RULES = {rule.name: rule for rule in all_rules()}


def texts() -> Iterator[tuple[str, bool, str]]:
    for part in re.split(r"^## ", Path(__file__).with_name("security_forms.md").read_text(), flags=re.M)[1:]:
        rule, _, body = part.partition("\n")
        found = True
        for line, text in re.findall(r"^(Found|Left alone):$|^```pol\n(.*?)^```$", body, flags=re.M | re.S):
            found = line == "Found" if line else found
            if text:
                yield rule, found, text


CASES = list(texts())
NAMES = [f"{name}-{place}" for place, (name, _, _) in enumerate(CASES)]


@pytest.mark.parametrize(("name", "wrong", "text"), CASES, ids=NAMES)
def test_it_is_found_or_left_alone(name: str, wrong: bool, text: str) -> None:
    found = findings(policy(text), [RULES[name]])
    assert bool(found) is wrong, [(str(each.span), each.message) for each in found] + [text]


def test_every_rule_has_both() -> None:
    security = {rule.name for rule in all_rules() if rule.category == "security"}
    assert {name for name, wrong, _ in CASES if wrong} == {name for name, wrong, _ in CASES if not wrong} == security


@pytest.mark.parametrize(("rule", "end"), [
    ("unescaped-html", 'respond 200, body: t400, content_type: "text/html"'), ("body-logged", "log t400\nroute orders"),
])  # fmt: skip
def test_a_text_of_many_names_of_names_is_looked_through_once(rule: str, end: str) -> None:
    doubled = [f'let t{place} = "${{t{place - 1}}}${{t{place - 1}}}"' for place in range(1, 401)]
    found = findings(policy("\n".join(["let t0 = request.text", *doubled, end, ""])), [RULES[rule]])
    assert [each.name for each in found] == [rule]
