"""What comes of the tests in the ```pol test block, which stand in `case_test.pol` and import the policy, `case.pol`.

A line for each test, and below it what is said of one that does not pass. Blocks ```file NAME are files beside them.
"""

from __future__ import annotations

import re
from typing import Any

from policylang.diagnostics import text
from policylang.testing.running import run as run_test
from policylang.testing.suite import load_suite

CLIENTS = '{ "k1": { "id": "ann", "contract": "gold" }, "k2": { "id": "bob", "contract": "basic" } }'


def run(case: Any) -> dict[str, str]:
    files = {"case.pol": case.policy, "case_test.pol": case.text("pol test"), "clients.json": CLIENTS}
    files |= {b.info.removeprefix("file "): b.text for b in case.blocks if b.info.startswith("file ")}

    def load(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path].encode()

    suite = load_suite("case_test.pol", load, {})
    lines = [text.render(suite.diagnostics, more=False)] if suite.diagnostics else []
    for test in suite.tests:
        result = run_test(test)
        lines.append(f"{result.outcome}: {result.name}\n")
        if result.findings:
            picture = re.sub("policy [0-9a-f]{12}", "policy …", result.picture)
            lines.append("\n" + text.render(result.findings, more=False) + "\n" + picture + "\n")
    return {"text": "".join(lines).rstrip("\n") + "\n"}
