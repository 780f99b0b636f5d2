"""The tree and the obvious interpreter say the same of generated policies and messages.

`POLGATE_PAIRS` is how many pairs of a policy and a message are compared, `POLGATE_SEED` where to begin.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.compare import Pair
from reference.generate import Generator
from reference.generate_messages import Exchange
from reference.interpreter import Result
from reference.real import Answer
from reference.shrink import shrink

PAIRS = int(os.environ.get("POLGATE_PAIRS", "3000"))
SEED = int(os.environ.get("POLGATE_SEED", "0"))
MESSAGES, MANY = 6, 20
ACCEPTED = 0.6
"""The share of generated policies that the checker must accept, or too little is compared."""


def disagreement(text: str, messages: list[Exchange]) -> tuple[str, Exchange, Result | None, Answer | None] | None:
    """The first message about which the two differ. Raises ValueError where the checker refuses the policy."""
    pair = Pair(text)
    for message in messages:
        try:
            found, plain, real = pair.differences(message)
        except Exception:
            return traceback.format_exc(limit=-4), message, None, None
        if found:
            return "; ".join(found), message, plain, real
        if not pair.goes_on:
            break
    return None


def accepted(text: str) -> bool:
    """Whether the checker takes it; whatever else it does is a finding."""
    try:
        Pair(text)
    except ValueError:
        return False
    return True


def still(text: str, messages: list[Exchange], what: str) -> bool:
    try:
        found = disagreement(text, messages)
    except Exception:
        return False
    return found is not None and kind_of(found[0]) == kind_of(what)


def kind_of(what: str) -> str:
    return what.strip().splitlines()[-1].split(":")[0]


def smallest(text: str, messages: list[Exchange], what: str) -> tuple[str, list[Exchange]]:
    for count in range(1, len(messages) + 1):
        if still(text, messages[:count], what):
            messages = messages[:count]
            break
    for message in list(messages):
        fewer = [m for m in messages if m is not message]
        if fewer and still(text, fewer, what):
            messages = fewer
    return shrink(text, lambda smaller: still(smaller, messages, what)), messages


def report(seed: int, text: str, messages: list[Exchange]) -> str:
    found = disagreement(text, messages)
    assert found is not None
    what, message, plain, real = found
    lines = [f"seed {seed}: {what}", "", text, "", *(m.describe() for m in messages), "", f"at {message.request.path}:"]
    if plain is not None and real is not None:
        lines += ["obvious: " + ", ".join(map(str, plain.journal)), "tree:    " + ", ".join(map(str, real.journal))]
        lines += [f"obvious: {plain.status} {plain.failure} {plain.detail}",
                  f"tree:    {real.status} {real.failure} {real.detail} {real.defects}"]  # fmt: skip
    return "\n".join(lines)


def run(pairs: int, seed: int, counting: bool = False) -> tuple[int, int, list[tuple[int, str]]]:
    """Policies made, accepted, and what was found. `counting`: of those that count and keep."""
    made = taken = compared = 0
    found: list[tuple[int, str]] = []
    while compared < pairs and len(found) < 5:
        generator = Generator(seed + made)
        text = generator.counting_policy() if counting else generator.policy()
        made += 1
        if not accepted(text):
            continue
        taken += 1
        messages = generator.counted_messages(MANY) if counting else generator.messages(MESSAGES)
        compared += len(messages)
        differs = disagreement(text, messages)
        if differs is not None:
            text, messages = smallest(text, messages, differs[0])
            found.append((seed + made - 1, report(seed + made - 1, text, messages)))
    return made, taken, found


def test_both_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    made, taken, found = run(PAIRS, SEED)
    with capsys.disabled():
        print(f"\n{taken * MESSAGES} pairs; {taken / made:.0%} of {made} generated policies accepted")
    assert not found, "\n\n".join(text for _, text in found)
    assert taken >= ACCEPTED * made, f"only {taken} of {made} generated policies are accepted"


def test_both_count_and_keep_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    made, taken, found = run(PAIRS, SEED, counting=True)
    with capsys.disabled():
        print(f"\n{taken * MANY} pairs; {taken / made:.0%} of {made} generated policies accepted")
    assert not found, "\n\n".join(text for _, text in found)
    assert taken >= ACCEPTED * made, f"only {taken} of {made} generated policies are accepted"
