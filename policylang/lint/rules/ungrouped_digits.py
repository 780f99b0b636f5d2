"""A long number without `_`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.edits import fix
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.lint.rules.odd_unit import in_larger_unit
from policylang.syntax import nodes as n

_DIGITS = re.compile(r"[0-9]{6,12}(?![0-9.])")
"""Longer ones are names that happen to be made of digits."""


class UngroupedDigits(Rule):
    """Nobody sees at once whether `10000000` is a million or ten.

    From six digits on a number is written in groups of three.

        quota 1000000/month, per: client.ip
    ==
        quota 1_000_000/month, per: client.ip
    """

    name: ClassVar[str] = "ungrouped-digits"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for node in policy.nodes:
            if isinstance(node, (n.SizeValue, n.DurationValue)) and in_larger_unit(node) is not None:
                continue  # `odd-unit` says so
            if isinstance(node, (n.Number, n.SizeValue, n.RateValue, n.DurationValue)):
                text = node.span.text
                found = _DIGITS.match(text)
                if found is not None:
                    better = f"{int(found[0]):_}{text[found.end() :]}"
                    yield Finding(
                        node.span, f"`{text}` is hard to read", help=f"write `{better}`",
                        fix=fix(f"write `{better}`", Edit(node.span, better), safe=True),
                    )  # fmt: skip
