"""A policy's syntax errors, as `pol check` shows them."""

from __future__ import annotations

from typing import Any

from policylang.diagnostics import text
from policylang.source import Source
from policylang.syntax.parser import parse


def run(case: Any) -> dict[str, str]:
    found = parse(Source("case.pol", case.policy))[1]
    return {"text": text.render(found, more=False)}
