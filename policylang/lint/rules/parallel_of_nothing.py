"""Branches side by side that have nothing to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.edits import fix
from policylang.lint.look import within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.ways import agreed
from policylang.source import Span

_WORD = "parallel"


class ParallelOfNothing(Rule):
    """`parallel` saves time where two branches and more wait, for an upstream or the store.

    What does not wait runs in turn in any case, and a branch costs more than a statement: each works on a state of its
    own.

        parallel {
            set request.header["X-Id"] = path.id
            set request.header["X-Node"] = gateway.node
        }
    ==
        set request.header["X-Id"] = path.id
        set request.header["X-Node"] = gateway.node
    """

    name: ClassVar[str] = "parallel-of-nothing"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_found(policy))


def _found(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    """Every `parallel`: a call of an assertion may leave out what waits in it."""
    for visit in policy.visits:
        node = visit.statement
        if isinstance(node, p.Group) and node.kind == _WORD:
            waiting = sum(_waits(branch) for branch in node.body.statements)
            word = Span(node.span.source, node.span.start, node.span.start + len(_WORD))
            finding = Finding(
                word, f"{'only one branch' if waiting else 'no branch'} of this waits for anything",
                help="write `all`, or the statements alone",
                # Of branches in turn, one sees what those before it have written.
                fix=fix("write `all`", Edit(word, "all")),
            )  # fmt: skip
            yield word, finding if waiting < 2 else None


def _waits(statement: p.Statement) -> bool:
    return any(isinstance(inner, p.Invoke) and inner.card.waits for inner in within(statement))
