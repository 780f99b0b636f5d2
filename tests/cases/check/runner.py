"""A policy's findings, as `pol check` shows them.

Blocks ```file NAME are files beside it, lines `NAME=value` of an ```env block its environment.
"""

from __future__ import annotations

from typing import Any

from policylang.check import check_text
from policylang.diagnostics import text

CLIENTS = '{ "k1": { "id": "ann", "contract": "gold", "limit": 5, "roles": ["admin"] } }'


def run(case: Any) -> dict[str, str]:
    files = {"clients.json": CLIENTS.encode()}
    for block in case.blocks:
        if block.info.startswith("file "):
            files[block.info.removeprefix("file ")] = block.text.encode()
    environ = dict(line.split("=", 1) for line in case.text("env").splitlines())
    found = check_text(case.policy, "case.pol", files, environ)
    assert (found.program is None) == bool(found.diagnostics)
    return {"text": text.render(found.diagnostics, more=False)}
