"""Which service answers: the tree's look-up and the obvious one find the same among services made by chance."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.policy import Policy
from reference.services import find
from reference.values import Failing

from policylang.check import check_text
from policylang.tree import Tree, compile_program

POLICIES = 3000 if os.environ.get("POLGATE_SOAK") else 150
REQUESTS = 30
SEGMENTS = ("a", "b", "c", "{x}", "{y}", "é", "a.b")
HOSTS = ("", "", "api.example", "*.example", "*.wild.example", "deep.wild.example")
ASKED_SEGMENTS = ("a", "b", "c", "d", "%C3%A9", "a.b", "x%20y")
ASKED_HOSTS = (
    "api.example", "API.example", "example", "x.example", "deep.wild.example", "q.deep.wild.example", "wild.example",
    "other", "",
)  # fmt: skip


def services(dice: random.Random) -> str:
    """Services that do not claim one path."""
    text = ""
    for number in range(dice.randint(1, 7)):
        paths = []
        for _ in range(dice.choice((1, 1, 2))):
            segments = dice.sample(SEGMENTS, dice.randint(0, 3)) + (["**"] if dice.random() < 0.3 else [])
            paths.append('"/' + "/".join(segments) + '"')
        methods = dice.choice(("", "", ', methods: ["GET"]', ', methods: ["POST", "PUT"]'))
        host = dice.choice(HOSTS)
        where = f', host: "{host}"' if host else ""
        more = f"service s{number} {', '.join(paths)}{methods}{where} {{\n    respond 200\n}}\n"
        if check_text(text + more).program is not None:
            text += more
    return text


def path(dice: random.Random) -> str:
    made = "/" + "/".join(dice.choice(ASKED_SEGMENTS) for _ in range(dice.randint(0, 4)))
    return made.rstrip("/") + "/" if dice.random() < 0.1 else made


def obvious(policy: Policy, host: str, path: str, method: str) -> tuple[str | None, dict[str, str], set[str] | None]:
    try:
        service, captures = find(policy.services, host, path, method)
    except Failing as failing:
        allowed = dict(failing.headers).get("Allow")
        return None, {}, None if allowed is None else set(allowed.split(", "))
    return service.name, captures, None


def of_tree(tree: Tree, host: str, path: str, method: str) -> tuple[str | None, dict[str, str], set[str] | None]:
    service, captures, allowed = tree.find(host, path, method)
    return (
        None if service is None else service.name, dict(captures), None if allowed is None else set(allowed.split(", "))
    )  # fmt: skip


def test_the_same_service_is_found() -> None:
    dice = random.Random(int(os.environ.get("POLGATE_SEED", "0")))
    for _ in range(POLICIES):
        text = services(dice)
        program = check_text(text).program
        if program is None:  # not one service was left
            continue
        tree, policy = compile_program(program), Policy(text, {})
        for _ in range(REQUESTS):
            asked = dice.choice(ASKED_HOSTS), path(dice), dice.choice(("GET", "HEAD", "POST", "DELETE"))
            assert of_tree(tree, *asked) == obvious(policy, *asked), f"{asked}\n{text}"
