"""Generated policies and messages: what is recorded changes nothing, gives nothing away, and can always be drawn.

`POLGATE_PAIRS` is how many pairs of a policy and a message there are, `POLGATE_SEED` where to begin.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pytest
from reference.compare import SECRETS
from reference.generate import FILES, Generator
from reference.generate_messages import make_exchanges
from reference.real import Real

from policylang.sdk.exchange import Exchange
from policylang.trace.document import LONGEST_TEXT, document
from policylang.trace.picture import MOST_LINES, picture
from policylang.trace.reading import LONGEST_FIELD, from_field, read, to_field
from policylang.trace.recorded import Recorded
from policylang.trace.shown import LONGEST
from policylang.tree import build

PAIRS = int(os.environ.get("POLGATE_PAIRS", "600"))
SEED = int(os.environ.get("POLGATE_SEED", "0"))
MESSAGES = 6
LONG_SECRETS = [each for each in SECRETS if len(each) > 3]
"""A shorter one may be a part of any word."""


def apart(text: str) -> Real:
    """Values of every statement are read when it has ended, never together with the next one's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "only_looks", lambda statement: False)
        return Real(text, FILES)


def without_times(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "entries": [{**entry, "took": 0} for entry in found["entries"]]}


def test_whatever_a_policy_does() -> None:
    compared = 0
    for seed in range(SEED, SEED + PAIRS):
        made = Generator(seed)
        text = made.policy() if seed % 4 else made.counting_policy()
        try:
            plain, noted, single = Real(text, FILES), Real(text, FILES), apart(text)
        except ValueError:
            continue
        kept: list[Exchange] = []

        def recorded(exchange: Exchange, kept: list[Exchange] = kept) -> list[Any]:
            kept.append(exchange)
            return Recorded(exchange)

        noted.make_journal = single.make_journal = recorded
        program = noted.tree.program
        for message in make_exchanges(made.dice, made.paths, MESSAGES):
            where = f"seed {seed}\n{text}"
            expected, answer = plain.handle(message), noted.handle(message)
            expected.defects, answer.defects = [], []  # two errors that say the same are not equal
            assert answer == expected, where
            exchange = kept.pop()
            assert isinstance(exchange.journal, Recorded)
            assert len(exchange.journal.notes) == len(exchange.journal), where
            found = document(exchange, program)
            look_at(found, program.sources, where)
            single.handle(message)
            assert without_times(found) == without_times(document(kept.pop(), single.tree.program)), where
            compared += 1
        if compared >= PAIRS:
            break
    assert compared >= PAIRS * 0.5


def look_at(found: dict[str, Any], sources: Any, where: str) -> None:
    written = json.dumps(found)
    assert read(written) == found, where
    for secret in LONG_SECRETS:
        assert secret not in written, (secret, where)
    for entry in found["entries"]:
        for values in (entry.get("reads", {}), entry.get("binds", {})):
            assert all(len(value) <= LONGEST for value in values.values()), where
        assert entry["took"] >= 0 and entry["at"] >= 0, where
    assert len(found["request"]["path"]) <= LONGEST_TEXT
    field = to_field(found)
    assert len(field) <= LONGEST_FIELD
    assert from_field(field.decode()) == found
    for color, known in ((False, sources), (True, sources), (False, ())):
        drawn = picture(found, known, color)
        assert drawn.count("\n") <= MOST_LINES + 200, where
        assert "=>" in drawn
    short = from_field(to_field(found, 700).decode()) if to_field(found, 700) else found
    picture(short, sources, False)
