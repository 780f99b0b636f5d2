"""A value that is replaced before anybody has seen it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.likeness import shape
from policylang.lint.look import Visit, expressions, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.rules.late_request_edit import reads


class OverwrittenSet(Rule):
    """What is set is set again, or lost with the answer that it was written into, and nothing has read it.

    `set` replaces a header field: a second `Set-Cookie` is no further cookie, but the only one. A `route` or `respond`
    brings an answer of its own in the place of what there was.

        route orders
        set response.header["Cache-Control"] = "no-store"
        set response.header["Cache-Control"] = "max-age=60"
    ==
        route orders
        set response.header["Cache-Control"] = "max-age=60"
    """

    name: ClassVar[str] = "overwritten-set"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        replacing: dict[int, dict[object, list[int]]] = {}
        for visit in policy.visits:
            statement = visit.statement
            around = visit.parents[-1] if visit.parents else None
            if isinstance(statement, p.SetPlace) and not (isinstance(around, p.Group) and around.kind != "all"):
                if id(visit.block) not in replacing:
                    replacing[id(visit.block)] = _replacing(visit.block)
                end = _replaced(policy, visit, statement, replacing[id(visit.block)])
                if end is not None:
                    yield Finding(
                        statement.span, "nothing has read this before it is replaced",
                        labels=[Label(end.span, "replaced here")], help="leave one of them out, or name what was meant",
                    )  # fmt: skip


def _replacing(block: p.Block) -> dict[object, list[int]]:
    """Where each place is written; under "response" where all of that is replaced."""
    found: dict[object, list[int]] = {}
    for index, statement in enumerate(block.statements):
        if isinstance(statement, (p.SetPlace, p.RemovePlace)):
            found.setdefault(_place(statement.place), []).append(index)
        elif isinstance(statement, p.Respond) or (isinstance(statement, p.Invoke) and statement.card.answers):
            found.setdefault("response", []).append(index)
    return found


def _replaced(
    policy: Policy, visit: Visit, first: p.SetPlace, replacing: dict[object, list[int]]
) -> p.Statement | None:
    """What replaces it in its own block, with nothing between that could see it."""
    ends = replacing[_place(first.place)]
    if not isinstance(first.place, p.SlotPlace) and first.place.message == "response":
        ends = ends + replacing.get("response", [])
    end = min((index for index in ends if index > visit.index), default=visit.index)
    between = visit.block.statements[visit.index + 1 : end + 1]
    if not between or any(_sees(each, first.place) for each in between) or _seen_at_end(policy, visit, first.place):
        return None
    return between[-1]


def _seen_at_end(policy: Policy, visit: Visit, place: p.Place) -> bool:
    """Whether what runs when something in between has failed reads it."""
    if isinstance(place, p.SlotPlace) or place.message != "request" or visit.place == "after":
        return False
    blocks = [*policy.program.after, *([visit.service.on_failure] if visit.service is not None else [])]
    ending = [each for block in blocks if block is not None for each in block.statements]
    return any(
        reads(expr, place) for statement in ending for each in within(statement) for expr in expressions(each)
    )


def _place(place: p.Place) -> object:
    if isinstance(place, p.SlotPlace):
        return place.slot
    if isinstance(place, p.FieldPlace):
        return (place.message, place.field)
    return shape(p.Named(place.key.span, place.key.type, False, place.message, place.kind, place.key))


def _sees(statement: p.Statement, place: p.Place) -> bool:
    for each in within(statement):
        if any(reads(expr, place) for expr in expressions(each)):
            return True
        if isinstance(place, p.SlotPlace):
            continue
        if isinstance(each, p.Invoke) and (each.card.answers or each.card.sends or each.card.skips_block):
            # a `route` sends the request, and brings a response of its own
            if place.message == "request" or not each.card.answers:
                return True
        elif isinstance(each, p.Invoke) and place.message in each.card.effects:
            return True
    return False
