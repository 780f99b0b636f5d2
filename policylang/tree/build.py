"""From checked statements to steps.

A block becomes one row of steps: what stands in `all`, and the body of a user's assertion, is laid into the row around
it, and the journal's entries of the statements that vanish are kept beside the steps. Whether the request's body is
still wanted later is known because rows are built from their end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from policylang.check import program as p
from policylang.sdk.outcome import Failure, Kind
from policylang.tree import blocks as b
from policylang.tree import branches as br
from policylang.tree import leaves
from policylang.tree.answers import answer, failing
from policylang.tree.arguments import evaluation
from policylang.tree.edits import remove_place, set_place
from policylang.tree.emit import compiled, condition
from policylang.tree.facts import (
    REQUEST,
    RESPONSE,
    all_needs,
    binds,
    bodies,
    needs,
    only_looks,
    touches,
    wants_request,
    writes,
)
from policylang.tree.outcome import Entry, Place, Run, Step
from policylang.tree.parallel import Lane, Parallel, ParallelWaiting
from policylang.tree.patterns import cases_of, texts_of
from policylang.tree.shares import drawing, edges_of

Row = list[Step]
MOST_TOGETHER = 16
"""Statements in a row whose values a journal reads at once."""


def row_of(statements: Sequence[p.Statement], wanted: bool = False) -> Row:
    """The steps of a block. `wanted`: something after it may still read or send the request's body.

    Raises ValueError where a statement cannot be: the checker lets none of these through.
    """
    rows: list[Row] = []
    alike = 0
    for statement in reversed(statements):
        row = _BUILDERS[type(statement)](statement, wanted)
        if not only_looks(statement):
            alike = 0
        else:
            if alike % MOST_TOGETHER:
                _ended_by(row).goes_on = True
            # What waits must not keep the one before it from its own moment.
            alike = 0 if any(step.waits for step in row) else alike + 1
        rows.append(row)
        wanted = wanted or wants_request(statement)
    return _without_repeated_loads([step for row in reversed(rows) for step in row])


def run_of(statements: Sequence[p.Statement], wanted: bool = False) -> tuple[Run, bool]:
    """A block as one run, and whether it may give a coroutine. A single leaf is run as it is, without a layer."""
    row = row_of(statements, wanted)
    if len(row) == 1 and not row[0].closes and not row[0].inside:
        return row[0].run, row[0].waits
    if any(step.waits for step in row):
        return b.AllOfWaiting(row).run, True
    return b.AllOf(row).run, False


def word_of(statement: p.Statement) -> str:
    """What the journal calls a statement."""
    if isinstance(statement, p.Invoke):
        return statement.card.name
    if isinstance(statement, p.Expand):
        return statement.name
    if isinstance(statement, p.Group):
        return statement.kind
    return _WORDS[type(statement)]


def place_of(statement: p.Statement) -> Place:
    return Place(word_of(statement), statement.span, statement)


# --- rows ---


def _leaf(statement: p.Statement, leaf: Any, waits: bool = False, held: int | None = None) -> Row:
    """A statement without blocks, after the bodies that it reads."""
    return [*_loads(leaf.place, needs(statement) if held is None else held), Step(leaf.run, waits)]


def _loads(place: Place, held: int) -> Row:
    return [
        Step(leaves.Load(place, response).run, True, (), (place,))
        for bit, response in ((REQUEST, False), (RESPONSE, True))
        if held & bit
    ]


def _block(place: Place, statement: p.Statement, run: Run, waits: bool, held: int | None = None) -> Row:
    """A statement with blocks that the row journals."""
    loads = _loads(place, needs(statement) if held is None else held)
    return [*loads, Step(run, waits, (Entry(place, None),), (place,))]


def _around(place: Place, row: Row) -> Row:
    """Lay a statement's steps into the row around it: the last one ends it, and each fails it."""
    if not row:
        return [Step(_pass, False, (Entry(place, None),), (place,))]
    found = [step._replace(inside=(*step.inside, place)) for step in row]
    found[-1] = found[-1]._replace(closes=(*found[-1].closes, Entry(place, None)))
    return found


def _ended_by(row: Row) -> Place:
    """The place of the statement that a row is of."""
    step = row[-1]
    found: Place = step.closes[-1].place if step.closes else step.run.__self__.place  # type: ignore[attr-defined]
    return found


def _pass(exchange: Any) -> None:
    return None


def _without_repeated_loads(row: Row) -> Row:
    """A request's body once held stays held."""
    found: Row = []
    held = False
    for step in row:
        load = getattr(step.run, "__self__", None)
        if type(load) is leaves.Load and not load.response:
            if held and not step.closes:
                continue
            held = True
        found.append(step)
    return found


# --- leaves ---


def _invoke(statement: p.Invoke, wanted: bool) -> Row:
    card = statement.card
    place = place_of(statement)
    held = needs(statement)
    evaluate = evaluation(statement)
    if card.answers and wanted:
        held |= REQUEST
    if statement.block is not None:
        run, waits = run_of(statement.block.statements, wanted)
        around = leaves.InvokeAround(place, evaluate, leaves.awaitable(run, waits))
        return _leaf(statement, around, True, held)
    leaf: leaves.Leaf
    if not card.outputs or (card.gives_apart and all(slot is None for slot in statement.outputs)):
        leaf = leaves.InvokeWaiting(place, evaluate) if card.waits else leaves.Invoke(place, evaluate)
        return _leaf(statement, leaf, card.waits, held)
    kinds = tuple(card.outputs.values())
    slots = statement.outputs or (None,) * len(kinds)
    outputs = leaves.Outputs(slots, tuple(kind.optional for kind in kinds))
    if card.waits:
        leaf = leaves.InvokeGivingWaiting(place, evaluate, outputs)
    elif len(slots) == 1 and slots[0] is not None and kinds[0].optional:
        leaf = leaves.InvokeGivingOne(place, evaluate, outputs)
    else:
        leaf = leaves.InvokeGiving(place, evaluate, outputs)
    return _leaf(statement, leaf, card.waits, held)


def _require(statement: p.Require, wanted: bool) -> Row:
    return _leaf(statement, leaves.Require(place_of(statement), condition(statement.condition)))


def _let(statement: p.Let, wanted: bool) -> Row:
    missing = None
    if not statement.optional:
        missing = Failure("missing-value", _fault(statement.value), f"`{statement.name}` has no value", kind=Kind.ERROR)
    return _leaf(statement, leaves.Let(place_of(statement), statement.slot, compiled(statement.value), missing))


def _fault(expr: p.Expr) -> int:
    return 502 if touches(expr) & RESPONSE else 400


def _set(statement: p.SetPlace, wanted: bool) -> Row:
    return _leaf(statement, leaves.Act(place_of(statement), set_place(statement.place, statement.value)))


def _remove(statement: p.RemovePlace, wanted: bool) -> Row:
    return _leaf(statement, leaves.Act(place_of(statement), remove_place(statement.place)))


def _respond(statement: p.Respond, wanted: bool) -> Row:
    return _leaf(statement, leaves.Respond(place_of(statement), answer(statement)))


def _fail(statement: p.Fail, wanted: bool) -> Row:
    return _leaf(statement, leaves.Fail(place_of(statement), failing(statement)))


def _ignore(statement: p.Ignore, wanted: bool) -> Row:
    return [Step(leaves.Act(place_of(statement), _pass).run)]


# --- blocks ---


def _group(statement: p.Group, wanted: bool) -> Row:
    inner = statement.body.statements
    place = place_of(statement)
    if statement.kind == "all":
        return _around(place, row_of(inner, wanted))
    if statement.kind == "parallel":
        return _parallel(statement, place, wanted)
    branches = _branches(inner, wanted)
    waits = any(branch.waits for branch in branches)
    node: br.AnyOf | br.NoneOf
    if statement.kind == "any":
        node = br.AnyOfWaiting(place, branches) if waits else br.AnyOf(place, branches)
    elif statement.kind == "none":
        node = br.NoneOfWaiting(place, branches) if waits else br.NoneOf(place, branches)
    else:
        raise ValueError(f"no group {statement.kind}")
    return _block(place, statement, node.run, waits)


def _branches(statements: Sequence[p.Statement], wanted: bool) -> tuple[br.Branch, ...]:
    """Any of the later ones may run after an earlier one has failed."""
    found = []
    for statement in reversed(statements):
        run, waits = run_of((statement,), wanted)
        found.append(br.Branch(run, waits, writes(statement)))
        wanted = wanted or wants_request(statement)
    return tuple(reversed(found))


def _parallel(statement: p.Group, place: Place, wanted: bool) -> Row:
    inner = statement.body.statements
    lanes = []
    waiting = False
    for each in inner:
        run, waits = run_of((each,), wanted)
        waiting = waiting or waits
        lanes.append(Lane(place_of(each), run, writes(each), binds(each)))
    node = ParallelWaiting(tuple(lanes)) if waiting else Parallel(tuple(lanes))
    # A body comes but once, and a branch may work on a copy of the message: what any of them reads is held before.
    return _block(place, statement, node.run, waiting, all_needs(statement))


def _if(statement: p.If, wanted: bool) -> Row:
    place = place_of(statement)
    (test, first), *rest = statement.arms
    orelse: Run | None = None
    waits = False
    arms: list[tuple[Callable[[Any], bool], Run]] = []
    if any(bodies(later) for later, _ in rest):
        # A later condition reads a body that must not be read when an earlier one holds: a row of its own for it.
        orelse, waits = _run_unseen(p.If(statement.span, tuple(rest), statement.orelse), wanted)
        rest = []
    elif statement.orelse is not None:
        orelse, waits = run_of(statement.orelse.statements, wanted)
    for each, block in [(test, first), *rest]:
        run, also = run_of(block.statements, wanted)
        arms.append((condition(each), run))
        waits = waits or also
    return _block(place, statement, b.If(place, tuple(arms), orelse).run, waits)


def _run_unseen(statement: p.If, wanted: bool) -> tuple[Run, bool]:
    """The rest of an `if`: the journal has one entry for the whole."""
    row = [step._replace(closes=(), inside=()) for step in _if(statement, wanted)]
    waits = any(step.waits for step in row)
    return (b.AllOfWaiting(row).run if waits else b.AllOf(row).run), waits


def _match(statement: p.Match, wanted: bool) -> Row:
    place = place_of(statement)
    subject = compiled(statement.subject)
    waits = False
    runs = []
    for case in statement.cases:
        run, also = run_of(case.body.statements, wanted)
        runs.append((case.patterns, run))
        waits = waits or also
    if statement.orelse is None:
        orelse = b.unmatched(place)
    else:
        orelse, also = run_of(statement.orelse.statements, wanted)
        waits = waits or also
    table = texts_of(statement.subject, runs)
    node: b.Match | b.MatchTexts
    if table is not None:
        node = b.MatchTexts(place, subject, table, orelse)
    else:
        node = b.Match(place, subject, cases_of(statement.subject, runs), orelse)
    return _block(place, statement, node.run, waits)


def _split(statement: p.Split, wanted: bool) -> Row:
    place = place_of(statement)
    made = [run_of(case.body.statements, wanted) for case in statement.cases]
    runs, waits = tuple(run for run, _ in made), any(also for _, also in made)
    edges = edges_of([case.patterns[0].value for case in statement.cases])
    node = b.Split(place, drawing(statement.subject, statement.counter), edges, runs)
    return _block(place, statement, node.run, waits)


def _for(statement: p.For, wanted: bool) -> Row:
    place = place_of(statement)
    again = wanted or any(wants_request(each) for each in statement.body.statements)
    run, waits = run_of(statement.body.statements, again)
    kind = b.ForEachWaiting if waits else b.ForEach
    node = kind(place, statement.slot, compiled(statement.iterable), run, _fault(statement.iterable))
    return _block(place, statement, node.run, waits)


def _try(statement: p.Try, wanted: bool) -> Row:
    handler, waits = run_of(statement.handler.statements, wanted)
    after = wanted or any(wants_request(each) for each in statement.handler.statements)
    branch = _branch(statement.body.statements, after)
    waits = waits or branch.waits
    node = br.TryWaiting(branch, statement.slot, handler) if waits else br.Try(branch, statement.slot, handler)
    return _block(place_of(statement), statement, node.run, waits)


def _else(statement: p.Else, wanted: bool) -> Row:
    right, waits = run_of(statement.right.statements, wanted)
    after = wanted or any(wants_request(each) for each in statement.right.statements)
    branch = _branch((statement.left,), after)
    waits = waits or branch.waits
    node = br.ElseWaiting(branch, right) if waits else br.Else(branch, right)
    return _block(place_of(statement), statement, node.run, waits)


def _branch(statements: Sequence[p.Statement], wanted: bool) -> br.Branch:
    run, waits = run_of(statements, wanted)
    return br.Branch(run, waits, writes(*statements))


def _expand(statement: p.Expand, wanted: bool) -> Row:
    place = place_of(statement)
    row = row_of(statement.body.statements, wanted)
    if statement.arguments:
        moves = tuple((slot, compiled(value)) for slot, value in statement.arguments)
        row = [*_loads(place, needs(statement)), Step(leaves.Quiet(place, _binder(moves)).run), *row]
    if statement.outputs:
        row.append(Step(leaves.Quiet(place, _mover(statement.outputs)).run))
    # What binds and what moves is a part of the call itself: its failure is journaled once.
    return _around(place, [step._replace(inside=()) if step.inside == (place,) else step for step in row])


def _binder(moves: tuple[tuple[int, Callable[[Any], Any]], ...]) -> Callable[[Any], None]:
    def bind(exchange: Any) -> None:
        slots = exchange.slots
        for slot, value in [(slot, value(exchange)) for slot, value in moves]:
            slots[slot] = value

    return bind


def _mover(moves: tuple[tuple[int, int], ...]) -> Callable[[Any], None]:
    def move(exchange: Any) -> None:
        slots = exchange.slots
        for inner, outer in moves:
            slots[outer] = slots[inner]

    return move


_BUILDERS: dict[type, Callable[[Any, bool], Row]] = {
    p.Invoke: _invoke, p.Expand: _expand, p.Require: _require, p.Let: _let, p.SetPlace: _set, p.RemovePlace: _remove,
    p.Group: _group, p.If: _if, p.Match: _match, p.Split: _split, p.For: _for, p.Try: _try, p.Else: _else,
    p.Respond: _respond, p.Fail: _fail, p.Ignore: _ignore,
}  # fmt: skip
_WORDS: dict[type, str] = {
    p.Require: "require", p.Let: "let", p.SetPlace: "set", p.RemovePlace: "remove", p.If: "if", p.Match: "match",
    p.Split: "split", p.For: "for", p.Try: "try", p.Else: "else", p.Respond: "respond", p.Fail: "fail",
    p.Ignore: "ignore",
}  # fmt: skip
