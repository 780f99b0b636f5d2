"""What coverage counts of generated policies is what the obvious interpreter did with them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from reference import interpreter
from reference.compare import Pair
from reference.generate import Generator
from reference.generate_messages import Exchange as Message
from reference.interpreter import Evaluation, name_of
from reference.values import Failing

from policylang.check import program as p
from policylang.source import Span
from policylang.syntax import nodes as n
from policylang.testing.coverage import INSIDE, Coverage
from policylang.testing.coverage_arms import ELSE
from policylang.testing.coverage_sites import Sites

POLICIES, MESSAGES = 80, 8


class Noted(Evaluation):
    """Notes what every statement came to, and which blocks were begun."""

    outcomes: Counter[tuple[str, str]]
    begun: Counter[tuple[int, int]]

    def run(self, statement: n.Statement) -> str:
        span = statement.span
        key = f"{span.source.name}:{span.start}:{span.end}:{name_of(statement)}"
        try:
            outcome = super().run(statement)
        except Failing as failing:
            first = not hasattr(failing, "noted")
            failing.noted = True  # type: ignore[attr-defined]
            self.outcomes[key, failing.name if first else INSIDE] += 1
            raise
        self.outcomes[key, outcome] += 1
        return outcome

    def block(self, block: n.Block) -> str:
        self.begun[block.span.start, block.span.end] += 1
        return super().block(block)


class Watched:
    """The tree, and what coverage sees of it."""

    def __init__(self, tree: Any, coverage: Coverage) -> None:
        self.tree = tree
        self.coverage = coverage

    async def handle(self, exchange: Any) -> Any:
        response = await self.tree.handle(exchange)
        self.coverage.observe(self.tree, exchange)
        return response


def both(text: str, messages: list[Message]) -> tuple[p.Program, Coverage] | None:
    """None where the checker refuses it, or the language does not lay down what happens."""
    try:
        pair = Pair(text)
    except ValueError:
        return None
    program, coverage = pair.real.tree.program, Coverage()
    watched: Any = Watched(pair.real.tree, coverage)
    pair.real.tree = watched
    Noted.outcomes, Noted.begun = Counter(), Counter()
    for message in messages:
        pair.differences(message)
        if not pair.goes_on:
            return None
    return program, coverage


def span_of(statement: p.Statement, arm: str) -> Span | None:
    """The block that an arm is, where taking the arm is beginning it."""
    if isinstance(statement, p.If):
        return (statement.orelse and statement.orelse.span) if arm == ELSE else statement.arms[int(arm)][1].span
    if isinstance(statement, p.Match):
        return statement.orelse.span if arm == ELSE and statement.orelse else statement.cases[int(arm)].body.span
    if isinstance(statement, p.Try) and arm == ELSE:
        return statement.handler.span
    if isinstance(statement, p.Else) and arm == ELSE:
        return statement.right.span
    return None


def test_every_statement_with_branches_takes_one_or_says_why_not() -> None:
    """Also side by side, where the language does not lay down what runs after a failure."""
    ended = taken = 0
    for seed in range(POLICIES):
        generator = Generator(seed)
        text = generator.policy()
        if "parallel" not in text:
            continue
        try:
            pair = Pair(text)
        except ValueError:
            continue
        coverage = Coverage()
        program = pair.real.tree.program
        watched: Any = Watched(pair.real.tree, coverage)
        pair.real.tree = watched
        for message in generator.messages(MESSAGES):
            pair.real.handle(message)
        for site in Sites([program]).sites.values():
            if isinstance(site.statement, (p.If, p.Match)):
                counts = coverage.counts.get(site.key, {})
                arms = sum(count for what, count in counts.items() if what.startswith("arm:"))
                own = sum(count for what, count in counts.items() if ":" in what and not what.startswith("arm:"))
                rest = sum(counts.get(what, 0) for what in ("passed", "responded", INSIDE))
                assert rest <= arms <= rest + own + counts.get("cancelled", 0), f"seed {seed}: {site.key}\n{text}"
                ended, taken = ended + rest, taken + arms
    assert 20 < ended <= taken


def test_counts_are_those_of_the_obvious_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "Evaluation", Noted)
    compared = arms = 0
    for seed in range(POLICIES * 4):
        if compared == POLICIES:
            break
        generator = Generator(seed)
        text = generator.policy()
        if "parallel" in text:
            continue  # what runs after a branch that failed is not laid down
        made = both(text, generator.messages(MESSAGES))
        if made is None:
            continue
        program, coverage = made
        compared += 1
        found = Counter({
            (key, what.rpartition(":")[2]): count
            for key, counts in coverage.counts.items()
            for what, count in counts.items()
            if what != "asked" and not what.startswith("arm:")
        })  # fmt: skip
        assert found == Noted.outcomes, f"seed {seed}\n{text}"
        for site in Sites([program]).sites.values():
            for name in site.labels:
                span = span_of(site.statement, name) if name.isdigit() or name == ELSE else None
                if span is not None:
                    taken = coverage.counts.get(site.key, {}).get(f"arm:{name}", 0)
                    assert taken == Noted.begun[span.start, span.end], f"seed {seed}: {site.key} {name}\n{text}"
                    arms += taken > 0
    assert compared == POLICIES
    assert arms > POLICIES / 2
