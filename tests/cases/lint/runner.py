"""What `pol lint --fix --unsafe` makes of a policy, of rules of style and performance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policylang.check import check_text
from policylang.lint.examples import FILES, Anything, catalog
from policylang.lint.known import all_rules
from policylang.lint.mend import mend
from policylang.lint.run import Linted, lint

RULES = [rule for rule in all_rules() if rule.category in ("style", "performance")]


def run(case: Any) -> dict[str, str]:
    def look(texts: Mapping[str, str]) -> Linted:
        text = texts.get("policy.pol", case.policy)
        checked = check_text(text, "policy.pol", FILES, Anything(), catalog=catalog())
        assert checked.program is not None, checked.diagnostics
        return [(checked, lint(checked, catalog(), rules=RULES))]

    return {"pol fixed": mend(look, True).texts.get("policy.pol", "")}
