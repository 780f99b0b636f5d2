"""What `pol lint` costs with all rules: whole processes that begin cold, with the policies of `pol_cost`.

    python tests/bench/lint_cost.py [--rules]

With --rules also what each rule takes of the longer one, the dearest first, and what they share.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from pol_cost import least, policy, said, written

TARGETS = ((300, 0.4), (10_000, 5.0))


def main() -> None:
    pol = str(Path(sys.executable).parent / "pol")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for lines, most in TARGETS:
            took = least([pol, "lint", written(folder, lines)], folder, codes=(0, 1))
            print(said(f"pol lint, {policy(lines).count(chr(10)):7} lines", took, most))
        if "--rules" in sys.argv:
            by_rule(folder / written(folder, TARGETS[-1][0]))


def by_rule(file: Path) -> None:
    from policylang.catalog import load_catalog
    from policylang.check import check_files
    from policylang.lint import Policy
    from policylang.lint.known import all_rules

    started = time.process_time()
    checked = check_files([str(file)])
    print(f"{time.process_time() - started:7.3f} s  the check")
    if checked.program is None:
        raise SystemExit(f"{file} has errors")
    policy = Policy(checked.program, checked.files, load_catalog())
    took: dict[str, list[float]] = {}
    for _ in range(2):  # the first time a rule also pays for facts that later ones share
        for rule in all_rules():
            started = time.process_time()
            list(rule().check(policy))
            took.setdefault(rule.name, []).append(time.process_time() - started)
    shared = sum(first - again for first, again in took.values())
    print(f"{shared:7.3f} s  what they share")
    for name, (_, again) in sorted(took.items(), key=lambda each: -each[1][1]):
        print(f"{again:7.3f} s  {name}")
    print(f"{sum(again for _, again in took.values()):7.3f} s  {len(took)} rules")


if __name__ == "__main__":
    main()
