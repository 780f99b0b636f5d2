"""The policies that people wrote, the samples and the cases, mean the same to both interpreters."""

from __future__ import annotations

import random
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.assertions import PARAMETERS
from reference.compare import Pair
from reference.generate_messages import Exchange, make_exchange
from reference.message import Request
from reference.services import strings
from reference.walk import walk

from policylang.syntax import nodes as n

ROOT = Path(__file__).parents[2]
MESSAGES = 60
PLAIN = ASKED_AGAIN = 0.5
"""How often it is something of before: for what is kept, and what is counted."""
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


def plain_question(message: Exchange) -> Exchange:
    """One whose answer a cache may keep."""
    headers = [pair for pair in message.request.headers if pair[0] != "Authorization"]
    request = replace(message.request, method="GET", headers=headers, body=b"", streams=False)
    answers = [answer if isinstance(answer, str) else replace(answer, status=200) for answer in message.answers]
    return replace(message, request=request, answers=answers)


@pytest.mark.parametrize(("name", "text", "files"), written(), ids=[name for name, _, _ in written()])
def test_a_written_policy_means_the_same(name: str, text: str, files: dict[str, bytes]) -> None:
    pair = Pair(_BURST.sub("", text), files)
    known = PARAMETERS.keys() | pair.plain.assertions.keys()
    unknown = [s.name for s in walk(pair.plain.tree.declarations) if isinstance(s, n.Call) and s.name not in known]
    assert not unknown, f"the obvious interpreter needs a model of {unknown[0]}"
    dice = random.Random(name)
    paths = paths_of(pair)
    asked: list[Request] = []
    for _ in range(MESSAGES):
        message = make_exchange(dice, paths)
        if dice.random() < PLAIN:
            message = plain_question(message)
        if asked and dice.random() < ASKED_AGAIN:
            message = replace(message, request=dice.choice(asked))
        found, plain, real = pair.differences(message)
        assert not found, f"{found}\n{message.describe()}\n{plain.journal}\n{real.journal}"
        asked = [message.request, *asked[:2]]
        if not pair.goes_on:
            pair, asked = Pair(_BURST.sub("", text), files), []
