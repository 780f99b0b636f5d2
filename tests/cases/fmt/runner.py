"""A policy as `pol fmt` prints it."""

from __future__ import annotations

from typing import Any

from policylang.source import Source
from policylang.syntax.printer import fmt_text


def run(case: Any) -> dict[str, str]:
    printed = fmt_text(Source("case.pol", case.policy))
    assert isinstance(printed, str), printed
    assert fmt_text(Source("case.pol", printed)) == printed, "printing it again changes it"
    return {"pol formatted": printed}
