"""Whole policies with one mistake each: found by the rule that is meant for it, and by none other.

The first line of a file names the rule: `# lint: RULE`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policylang.lint.examples import findings
from policylang.lint.known import all_rules

FOLDER = Path(__file__).parent / "wrong"
WRONG = sorted(FOLDER.rglob("*.pol"))
FEWEST = 80
COMPLAINTS = {
    "while the store is away everybody passes": "open-when-down",
    "what was promised once is granted twice": "counted-apart",
    "twice the limit passes at the edge of a window": "short-quota",
    "refused requests go on counting": "refused-counted",
    "a limit that was to be tried is never enforced": "not-enforced",
    "fields about limits are wrong": "hand-made-fields",
    "who is over his tier gets the next one": "tiers-in-any",
    "an address is believed that the client has written": "forwarded-read",
    "a cache gives what was made for somebody else": "cache-key-incomplete",
}
"""What users of gateways complain of, as far as it stands in a policy."""


def meant(file: Path) -> str:
    found = re.match(r"# lint: ([a-z0-9-]+)\n", file.read_text())
    assert found, f"{file}: the first line names no rule"
    return found[1]


@pytest.mark.parametrize("file", WRONG, ids=[str(file.relative_to(FOLDER)) for file in WRONG])
def test_its_rule_finds_it_and_none_other(file: Path) -> None:
    found = findings(file.read_text())
    assert {each.name for each in found} == {meant(file)}, [(str(e.span), e.name, e.message) for e in found]


@pytest.mark.parametrize("rule", all_rules(), ids=[rule.name for rule in all_rules()])
def test_every_rule_has_one_in_its_category(rule: type) -> None:
    files = [file for file in WRONG if meant(file) == rule.name]
    assert files, f"no policy under {FOLDER} is wrong by {rule.name}"
    assert {file.parent.name for file in files} == {rule.category}


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_what_users_complain_of_is_found(complaint: str) -> None:
    assert COMPLAINTS[complaint] in {meant(file) for file in WRONG}


def test_there_are_enough_and_they_are_whole_policies() -> None:
    assert len(WRONG) >= FEWEST
    for file in WRONG:
        assert 8 <= len(file.read_text().splitlines()) <= 60, file
