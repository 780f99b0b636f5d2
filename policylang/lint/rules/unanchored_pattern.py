"""A pattern that is content with a part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit, constant, text_of
from policylang.lint.origins import SENT
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule

_SHAPE = re.compile(r"\[[^]]*\]|\\[dwsDWS]|\{\d+(?:,\d*)?\}")


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
            if isinstance(visit.statement, p.Require) and not _turned(visit):
                for expr in _affirmed(visit.statement.condition):
                    pattern = constant(expr.right)
                    sources = policy.origins.of(visit.service).flows(expr.left)
                    from_client = any(kind in SENT or kind == "path" for kind, _ in sources)
                    if isinstance(pattern, str) and from_client and (why := _loose(pattern)):
                        yield Finding(
                            expr.right.span, f"`{text_of(expr.left)}` may have anything else {why}",
                            help="write `^` before the whole pattern and `$` behind it, its arms in `(?:…)`",
                        )  # fmt: skip


def _turned(visit: Visit) -> bool:
    return any(isinstance(each, p.Group) and each.kind == "none" for each in visit.parents)


def _affirmed(condition: p.Expr) -> Iterator[p.BinaryOp]:
    """The matches that must be there for it to be true."""
    if isinstance(condition, p.BinaryOp):
        if condition.op == "matches":
            yield condition
        elif condition.op == "and":
            yield from _affirmed(condition.left)
            yield from _affirmed(condition.right)


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
