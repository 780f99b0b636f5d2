"""A pattern that is content with a part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.demands import demanded
from policylang.lint.look import constant, text_of
from policylang.lint.origins import SENT
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.sdk.static_types import BODY_FIELDS

_SHAPE = re.compile(r"\[[^]]*\]|\\[dwsDWS]|\{\d+(?:,\d*)?\}")

_SEARCHED = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "cookie", "user-agent"})
"""Fields that are lists or prose, of which a part is meant."""


class UnanchoredPattern(Rule):
    """A pattern that says what a value must look like is found anywhere in it.

    `matches` searches: `[0-9]+` is content with one digit among whatever else. And `^a|b$` is anchored at one end in
    each arm only. Write `^` and `$` around the whole, with the arms in a group.

        require request.query.account matches r"[A-Z]{2}\\d{6}"
    ==
        require request.query.account matches r"^[A-Z]{2}\\d{6}$"
    """

    name: ClassVar[str] = "unanchored-pattern"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for expr, answer in demanded(visit):
                if not answer or not isinstance(expr, p.BinaryOp) or expr.op != "matches":
                    continue
                pattern = constant(expr.right)
                found = policy.origins.of(visit.service).flows(expr.left)
                value = any((kind in SENT or kind == "path") and name not in _SEARCHED for kind, name in found)
                if isinstance(pattern, str) and value and not _whole(expr.left) and (why := _loose(pattern)):
                    yield Finding(
                        expr.right.span, f"`{text_of(expr.left)}` may have anything else {why}",
                        help="write `^` before the whole pattern and `$` behind it, its arms in `(?:…)`",
                    )  # fmt: skip


def _whole(expr: p.Expr) -> bool:
    """Whether it is all of a body, in which something is searched for."""
    return isinstance(expr, p.MessageField) and expr.field in BODY_FIELDS


def _loose(pattern: str) -> str:
    arms = _arms(pattern)
    held = all(arm.startswith("^") and arm.endswith("$") for arm in arms)
    if len(arms) > 1 and arms[0].startswith("^") and arms[-1].endswith("$") and not held:
        return "before or behind it: each end is held in one arm only"
    if "^" in pattern.replace("[^", "") or "$" in pattern or "\\A" in pattern or "\\z" in pattern or "\\b" in pattern:
        return ""
    return "around what is searched for" if _SHAPE.search(pattern) else ""


def _arms(pattern: str) -> list[str]:
    """Its alternatives outside of every group and class."""
    found, depth, inside, start, place = [], 0, False, 0, 0
    while place < len(pattern):
        letter = pattern[place]
        if letter == "\\":
            place += 1
        elif inside:
            inside = letter != "]"
        elif letter == "[":
            inside = True
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "|" and not depth:
            found.append(pattern[start:place])
            start = place + 1
        place += 1
    return [*found, pattern[start:]]
