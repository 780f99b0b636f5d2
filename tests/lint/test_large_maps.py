"""What rules of correctness ask of a map's file, and of a long end of a service, takes a time that grows as they do."""

from __future__ import annotations

import json
import time

import pytest

from policylang.check import check_text
from policylang.lint import Policy
from policylang.lint.examples import Anything, catalog
from policylang.lint.known import all_rules

HEAD = 'gateway { listen "127.0.0.1:8080" }\nupstream orders { server "http://127.0.0.1:9000" }\n'
ENTRIES = {f"k{i}": {"id": f"u{i}", "contract": "gold", "roles": ["a", "b"]} for i in range(10_000)}
CALLERS = 'map clients, file: "clients.json"\n' + "".join(
    f'service s{i} "/s{i}/{{id}}" {{\n    require path.id in map("clients")\n'
    '    api_key request.header["X-API-Key"], in: map("clients") -> caller\n    require caller.contract == "gold"\n'
    '    match caller.contract { "gold" -> log "a" }\n    concurrency_limit 1, per: caller.id\n    route orders\n}\n'
    for i in range(40)
)  # fmt: skip
EDITS = 'service a "/a" {\n    route orders\n' + "".join(
    f'    set request.header["X-{i}"] = "{i}"\n' for i in range(1_500)
) + "}\n"  # fmt: skip
MOST = 1.0
"""Seconds of CPU for all of them."""


@pytest.mark.parametrize("text", [CALLERS, EDITS], ids=["callers", "edits"])
def test_it_is_looked_at_once(text: str) -> None:
    checked = check_text(HEAD + text, "policy.pol", {"clients.json": json.dumps(ENTRIES).encode()}, Anything())
    assert checked.program is not None
    policy = Policy(checked.program, checked.files, catalog())
    began = time.process_time()
    for rule in all_rules():
        if rule.category == "correctness":
            list(rule().check(policy))
    assert time.process_time() - began < MOST
