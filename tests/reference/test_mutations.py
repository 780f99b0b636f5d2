"""A slip in a policy is reported where it was made, in words, and at once.

`POLGATE_SOAK` tries every slip of every policy; without it some of them, drawn by chance, always the same.
"""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.generate import FILES, Generator
from reference.mutate import Mutation, mutations
from reference.real import check

from policylang.diagnostics import Diagnostic, Severity
from policylang.source import Source

ROOT = Path(__file__).parents[2]
TRIED = 2500
REPORTED_NEAR = 0.95
"""The share of slips whose first report must stand on their line or the next."""
LONGEST = 2.0
"""Seconds of processor time that a check may take."""
_BLOCK = re.compile(r"^```pol\n(.*?)^```$", re.M | re.S)


CLIENTS = b'{ "k1": { "id": "ann", "contract": "gold", "limit": 5, "roles": ["admin"] } }'
GENERATED = 12

Slip = tuple[str, Mutation, dict[str, bytes]]


def right_policies() -> list[tuple[Source, dict[str, bytes]]]:
    """The policies of the samples, cases and pages that have no error, each with the files beside it."""
    found: list[tuple[Source, dict[str, bytes]]] = []
    for path in sorted(ROOT.glob("samples/*/policy.pol")):
        files = {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file() and p != path}
        found.append((Source(f"{path.parent.name}.pol", path.read_text()), files))
    for path in sorted([*ROOT.glob("tests/cases/**/*.md"), *ROOT.glob("policylang/pages/*.md")]):
        for i, block in enumerate(_BLOCK.findall(path.read_text())):
            found.append((Source(f"{path.stem}-{i}.pol", block), {"clients.json": CLIENTS}))
    return [(source, files) for source, files in found if not errors(source.name, source.text, files)]


def errors(name: str, text: str, files: dict[str, bytes]) -> list[Diagnostic]:
    return [d for d in check(text, name, files).diagnostics if d.severity is Severity.ERROR]


def generated_policies() -> list[tuple[Source, dict[str, bytes]]]:
    """Every form of statement, deeply nested."""
    sources = [Source(f"generated-{seed}.pol", Generator(seed).policy()) for seed in range(GENERATED)]
    return [(source, FILES) for source in sources if not errors(source.name, source.text, FILES)]


def slips_of(policies: list[tuple[Source, dict[str, bytes]]], tried: int) -> list[Slip]:
    slips = [(source.name, mutation, files) for source, files in policies for mutation in mutations(source)]
    if os.environ.get("POLGATE_SOAK"):
        return slips
    return random.Random(1).sample(slips, min(tried, len(slips)))


def test_slips_are_reported_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    slips = slips_of(right_policies(), TRIED)
    near, far = judge(slips, capsys)
    assert near >= REPORTED_NEAR * (near + len(far)), "\n".join(
        f"{name}:{mutation.first} {mutation.what}: line {d.span.line}, {d.name}: {d.message}"
        for name, mutation, d in far[:60]
    )


def test_slips_in_anything_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    judge(slips_of(generated_policies(), TRIED // 5), capsys)


def judge(slips: list[Slip], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[tuple[str, Mutation, Diagnostic]]]:
    """How many errors are reported where they are, and those that are not. Fails on a traceback or a long wait."""
    near = 0
    far: list[tuple[str, Mutation, Diagnostic]] = []
    slowest = 0.0
    for name, mutation, files in slips:
        began = time.process_time()
        try:
            found = errors(name, mutation.text, files)
        except Exception as error:
            pytest.fail(f"{name}, line {mutation.first}, {mutation.what}: {error!r}\n{mutation.text}")
        slowest = max(slowest, time.process_time() - began)
        if not found:
            continue
        if mutation.near(found[0].span.line):
            near += 1
        else:
            far.append((name, mutation, found[0]))
    wrong = near + len(far)
    with capsys.disabled():
        print(f"\n{len(slips)} slips, {wrong} of them errors, {near / wrong:.2%} reported where they are, "
              f"slowest check {slowest:.2f} s; far: {Counter(d.name for _, _, d in far).most_common(5)}")  # fmt: skip
    assert slowest < LONGEST
    return near, far
