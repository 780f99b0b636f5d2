"""The policies that people wrote, the samples and the cases, mean the same to both interpreters."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.assertions import PARAMETERS
from reference.compare import Pair
from reference.generate_messages import make_exchanges
from reference.services import strings
from reference.walk import walk

from policylang.syntax import nodes as n

ROOT = Path(__file__).parents[2]
MESSAGES = 60
CLIENTS = b'{ "k1": { "id": "ann", "contract": "gold", "limit": 5, "roles": ["admin"] } }'
_BLOCK = re.compile(r"^```pol\n(.*?)^```$", re.M | re.S)
_BURST = re.compile(r", burst: \w+")
"""The obvious interpreter has no buckets; they have tests of their own."""


def written() -> list[tuple[str, str, dict[str, bytes]]]:
    found = []
    for path in sorted(ROOT.glob("samples/*/policy.pol")):
        files = {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file() and p != path}
        found.append((path.parent.name, path.read_text(), files))
    for path in sorted(ROOT.glob("tests/cases/exchange/*.md")):
        for number, block in enumerate(_BLOCK.findall(path.read_text())):
            found.append((f"{path.stem}-{number}", block, {"clients.json": CLIENTS}))
    return found


def paths_of(pair: Pair) -> list[str]:
    patterns = [strings(a.value)[0] for s in pair.plain.services for a in s.args if a.name is None]
    return [re.sub(r"\{\w+\}", "7", pattern).replace("**", "x/y") for pattern in patterns]


@pytest.mark.parametrize(("name", "text", "files"), written(), ids=[name for name, _, _ in written()])
def test_a_written_policy_means_the_same(name: str, text: str, files: dict[str, bytes]) -> None:
    pair = Pair(_BURST.sub("", text), files)
    known = PARAMETERS.keys() | pair.plain.assertions.keys()
    unknown = [s.name for s in walk(pair.plain.tree.declarations) if isinstance(s, n.Call) and s.name not in known]
    assert not unknown, f"the obvious interpreter needs a model of {unknown[0]}"
    dice = random.Random(name)
    paths = paths_of(pair)
    for message in make_exchanges(dice, paths, MESSAGES):
        found, plain, real = pair.differences(message)
        assert not found, f"{found}\n{message.describe()}\n{plain.journal}\n{real.journal}"
        if not pair.goes_on:
            pair = Pair(_BURST.sub("", text), files)
