"""The ways through a statement, and how a statement can end: what coverage counts, as the program has it.

An arm that holds no statement leaves nothing in a journal. One such arm is known by the silence of all others; where a
statement has several, they are one arm here.
"""

from __future__ import annotations

from collections.abc import Iterable

from policylang.check import program as p
from policylang.record import record
from policylang.source import Span

BODY, ELSE, EMPTY, SKIPPED = "body", "else", "empty", "skipped"
"""Names of arms; the arms of a row have their number."""


@record
class Arm:
    """`label` is what a report calls it, at the line of `span`. `goal`: tests should have taken it."""

    name: str
    label: str
    span: Span
    statements: tuple[p.Statement, ...]
    goal: bool


def arms_of(statement: p.Statement) -> tuple[Arm, ...]:
    """In the order of the text; empty for a statement that holds none."""
    if isinstance(statement, p.If):
        return _empty_ones_together(_of_if(statement))
    if isinstance(statement, p.Match):
        return _empty_ones_together(_of_match(statement))
    if isinstance(statement, p.Group):
        if statement.kind == "all":
            return (Arm(BODY, "", statement.span, statement.body.statements, False),)
        # Whoever says that a call passed has said that it sufficed.
        return tuple(
            Arm(str(place), "sufficed", each.span, (each,), statement.kind == "any" and _silent(each) and passes(each))
            for place, each in enumerate(statement.body.statements)
        )
    if isinstance(statement, p.For):
        return (Arm(BODY, "", statement.span, statement.body.statements, False),)
    if isinstance(statement, p.Try):
        body, handler = statement.body, statement.handler
        return (
            Arm(BODY, "body passed", statement.span, body.statements, _all_pass(body.statements)),
            Arm(ELSE, "caught", handler.span, handler.statements, True),
        )
    if isinstance(statement, p.Else):
        left, right = statement.left, statement.right
        return (Arm(BODY, "", left.span, (left,), False), Arm(ELSE, "fallen to", right.span, right.statements, True))
    if isinstance(statement, p.Expand):
        return (Arm(BODY, "", statement.span, statement.body.statements, False),)
    if isinstance(statement, p.Invoke) and statement.block is not None:
        skips = statement.card.skips_block
        block = Arm(BODY, "block run", statement.span, statement.block.statements, skips)
        return (block, Arm(SKIPPED, "block skipped", statement.span, (), True)) if skips else (block,)
    return ()


def _of_if(statement: p.If) -> list[Arm]:
    found = []
    test = statement.arms[0][0]
    for place, (test, block) in enumerate(statement.arms):
        # Of an arm that a call has decided against, the checker leaves nothing.
        decided = isinstance(test, p.Const) and test.value is False and not block.statements
        found.append(Arm(str(place), "true", test.span, block.statements, not decided))
    if statement.orelse is not None:
        found.append(Arm(ELSE, "taken", statement.orelse.span, statement.orelse.statements, True))
    elif not (isinstance(test, p.Const) and test.value is True):
        label = "false" if len(statement.arms) == 1 else "none true"
        found.append(Arm(ELSE, label, test.span, (), True))
    return found


def _of_match(statement: p.Match) -> list[Arm]:
    # For a value that a call has given, the checker has emptied the cases that it cannot come to.
    known = isinstance(statement.subject, p.Const) and not isinstance(statement, p.Split)
    label = "drawn" if isinstance(statement, p.Split) else "taken"
    found = [
        Arm(str(place), label, case.body.span, case.body.statements, not known or bool(case.body.statements))
        for place, case in enumerate(statement.cases)
    ]
    if statement.orelse is not None:
        found.append(Arm(ELSE, label, statement.orelse.span, statement.orelse.statements, True))
    return found


def _empty_ones_together(arms: list[Arm]) -> tuple[Arm, ...]:
    empty = [arm for arm in arms if arm.goal and not arm.statements]
    if len(empty) < 2:
        return tuple(arms)
    one = Arm(EMPTY, "one of the empty branches", empty[0].span, (), True)
    return (*(arm for arm in arms if arm not in empty), one)


def matches_all(statement: p.Match) -> bool:
    """Whether some case is taken in any event: then it is never unmatched."""
    if statement.orelse is not None or isinstance(statement, p.Split):
        return True
    kind = statement.subject.type
    if kind.name != "boolean" or kind.optional:
        return isinstance(statement.subject, p.Const) and any(case.body.statements for case in statement.cases)
    return {True, False} <= {pattern.value for case in statement.cases for pattern in case.patterns}


# --- how it can end --------------------------------------------------------------------------------


def passes(statement: p.Statement) -> bool:
    """Whether there is a way on which it passes."""
    if isinstance(statement, (p.Fail, p.Respond)):
        return False
    if isinstance(statement, p.Require):
        return not (isinstance(statement.condition, p.Const) and statement.condition.value is False)
    if isinstance(statement, p.Group):
        if statement.kind == "any":
            return any(map(passes, statement.body.statements))
        return statement.kind == "none" or _all_pass(statement.body.statements)
    if isinstance(statement, (p.If, p.Match)):
        return any(_all_pass(arm.statements) for arm in arms_of(statement) if arm.goal)
    if isinstance(statement, p.Try):
        return _all_pass(statement.body.statements) or _all_pass(statement.handler.statements)
    if isinstance(statement, p.Else):
        return passes(statement.left) or _all_pass(statement.right.statements)
    if isinstance(statement, p.Expand):
        return _all_pass(statement.body.statements)
    if isinstance(statement, p.Invoke) and statement.block is not None:
        return statement.card.skips_block or _all_pass(statement.block.statements)
    return True


def _all_pass(statements: Iterable[p.Statement]) -> bool:
    return all(map(passes, statements))


def responds(statement: p.Statement) -> bool:
    """Whether there is a way on which it ends the policy with an answer."""
    return isinstance(statement, p.Respond) or any(
        responds(each) for arm in arms_of(statement) for each in arm.statements
    )


def _silent(statement: p.Statement) -> bool:
    """Whether it has no goal of its own that says it passed."""
    return not isinstance(statement, (p.Invoke, p.Expand, p.Let, p.Require, p.SetPlace, p.RemovePlace, p.Ignore))


__all__ = ["BODY", "ELSE", "EMPTY", "SKIPPED", "Arm", "arms_of", "matches_all", "passes", "responds"]
