"""Where each statement of a program stands: how deep, in which part, and what its calls were put in place of."""

from __future__ import annotations

from policylang.check import program as p
from policylang.record import record
from policylang.source import Span
from policylang.trace.masking import Hidden
from policylang.tree.facts import blocks

_KEPT = 2
"""Outlines of the programs asked for last: a reload has two."""


@record
class Part:
    """A service, or a global block. `word`: `service`, `global before` or `global after`."""

    word: str
    name: str
    span: Span


@record
class Spot:
    """`depth`: how many statements are around it. `body`: what a call of a user's assertion stands for."""

    depth: int
    part: int
    body: Span | None


class Outline:
    """Also what is `hidden`. `parts` in the order they run in: `global before`, services, `global after`."""

    def __init__(self, program: p.Program) -> None:
        self.program = program
        self.hidden = Hidden(program)
        self.parts: list[Part] = []
        # By identity: equal statements may stand in many places. The program keeps them alive.
        self._spots: dict[int, Spot] = {}
        for block in program.before:
            self._part("global before", "", block.span, (block,))
        for service in program.services:
            late = () if service.on_failure is None else (service.on_failure,)
            self._part("service", service.name, service.span, (service.body, *late))
        for block in program.after:
            self._part("global after", "", block.span, (block,))

    def _part(self, word: str, name: str, span: Span, found: tuple[p.Block, ...]) -> None:
        self.parts.append(Part(word, name, span))
        number = len(self.parts) - 1
        waiting = [(statement, 0) for block in found for statement in block.statements]
        while waiting:
            statement, depth = waiting.pop()
            body = statement.body.span if isinstance(statement, p.Expand) else None
            self._spots[id(statement)] = Spot(depth, number, body)
            waiting += [(inner, depth + 1) for block in blocks(statement) for inner in block.statements]

    def spot(self, statement: p.Statement | None) -> Spot | None:
        return None if statement is None else self._spots.get(id(statement))

    def service(self, name: str) -> p.Service | None:
        return next((each for each in self.program.services if each.name == name), None)


_known: list[Outline] = []


def outline_of(program: p.Program) -> Outline:
    for found in _known:
        if found.program is program:
            return found
    made = Outline(program)
    _known.append(made)
    del _known[:-_KEPT]
    return made
