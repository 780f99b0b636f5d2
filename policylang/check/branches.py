"""Statements with branches: what is known on each way, and what after them."""

from __future__ import annotations

from policylang.check import program as p
from policylang.check.binding import bind_name, inner_names, join_ways, kept_type, leave
from policylang.check.blocks import check_block, check_statement, head, word_of
from policylang.check.expressions import condition, decided
from policylang.check.fold import same
from policylang.check.kinds import JSON_KINDS, NETWORKS, UNITS, UNKNOWN, phrase, type_of
from policylang.check.literals import network
from policylang.check.measures import missing_unit
from policylang.check.narrowing import narrow, present_names
from policylang.check.scope import Ended, State, Var
from policylang.check.swallowing import swallows
from policylang.check.walk import Arms, Walk, is_unknown
from policylang.check.writes import conflicts
from policylang.sdk import static_types as t
from policylang.sdk.networks import Networks
from policylang.syntax import nodes as n

MAX_ROUNDS = 1000
"""The most rounds a `for` makes."""


# --- all, any, none, parallel --------------------------------------------------------------------


def check_group(walk: Walk, node: n.Group) -> p.Statement:
    if node.kind == "all":
        return p.Group(node.span, "all", check_block(walk, node.body))
    if node.kind == "any":
        return _any(walk, node)
    if node.kind == "none":
        return _none(walk, node)
    return _parallel(walk, node)


def _branches(
    walk: Walk, node: n.Group, entry: State, where: str, reached: str
) -> tuple[list[p.Statement], list[State]]:
    """Every statement of a group, each from the state at its entry."""
    made: list[p.Statement] = []
    ways: list[State] = []
    failed: dict[str, Ended] = {}
    for statement in node.body.statements:
        walk.state = entry.copy()
        for name, gone in failed.items():
            walk.state.ended.setdefault(name, gone)
        found = check_statement(walk, statement)
        if found is not None:
            made.append(found)
        ways.append(walk.state)
        for var in inner_names(entry, walk.state):
            failed[var.name] = Ended(var, where, reached, True)
    return made, ways


def _any(walk: Walk, node: n.Group) -> p.Statement:
    entry = walk.state
    made, ways = _branches(walk, node, entry, "inside this `any`", "failed")
    if ways:
        join_ways(walk, entry, ways, "inside this `any`", "failed")
    else:
        walk.state = entry
    return p.Group(node.span, "any", p.Block(node.body.span, tuple(made)))


def _none(walk: Walk, node: n.Group) -> p.Statement:
    entry = walk.state
    with walk.no_respond("`none`"):
        made, ways = _branches(walk, node, entry, "inside this `none`", "none")
    walk.state = entry
    for way in ways:
        entry.end(inner_names(entry, way), "inside this `none`", "none", True)
        entry.lost = entry.lost or way.lost
    return p.Group(node.span, "none", p.Block(node.body.span, tuple(made)))


def _parallel(walk: Walk, node: n.Group) -> p.Statement:
    entry = walk.state
    with walk.no_respond("`parallel`"):
        made, ways = _branches(walk, node, entry, "in another branch of this `parallel`", "parallel")
    conflicts(walk, made)
    after = entry.copy()
    for way in ways:
        # every branch succeeds, so what each has bound is bound
        for var in inner_names(entry, way):
            if var.name not in after.names:
                after.bind(var)
        for name, var in way.names.items():
            if name in entry.names and var is not entry.names[name]:
                after.names[name] = var
        after.alive = after.alive and way.alive
        after.user = after.user or way.user
        after.lost = after.lost or way.lost
        if way.response == "set":
            after.response = "set"
    walk.state = after
    return p.Group(node.span, "parallel", p.Block(node.body.span, tuple(made)))


# --- if, match -----------------------------------------------------------------------------------


def check_if(walk: Walk, node: n.If) -> p.Statement:
    entry = walk.state
    current = entry.copy()
    ways: list[State] = []
    arms: list[tuple[p.Expr, p.Block]] = []
    for arm in node.arms:
        walk.state = current
        test = condition(walk, arm.condition)
        if decided(walk, test) is False:
            arms.append((test, p.Block(arm.body.span, ())))
            continue
        taken = current.copy()
        names = present_names(arm.condition, True)
        if names:
            narrow(taken, names)
        walk.state = taken
        arms.append((test, check_block(walk, arm.body)))
        ways.append(walk.state)
        if decided(walk, test):
            break
        names = present_names(arm.condition, False)
        if names:
            current = current.copy()
            narrow(current, names)
    orelse = None
    if not decided(walk, test):
        walk.state = current.copy()
        if node.orelse is not None:
            orelse = check_block(walk, node.orelse)
        ways.append(walk.state)
    join_ways(walk, entry, ways, "inside this `if`", "branch")
    return p.If(node.span, tuple(arms), orelse)


def check_match(walk: Walk, node: n.Match) -> p.Statement:
    subject = walk.value(node.subject)
    entry = walk.state
    name = node.subject.name if isinstance(node.subject, n.Name) else None
    arms = Arms(walk.frame)
    ways: list[State] = []
    cases: list[p.Case] = []
    orelse: p.Block | None = None
    knows_none = False
    other: n.Case | None = None
    known = walk.expanding and isinstance(subject, p.Const) and not is_unknown(subject)
    taken = False
    for case in node.cases:
        arms.begin()
        walk.state = entry.copy()
        if other is not None:
            walk.error("unreachable", head(case), "a case after `else` is never taken", help="move `else` to the end")
        patterns = _patterns(walk, subject, case)
        if known and (taken or (case.patterns and not any(_matches(subject, pattern) for pattern in patterns))):
            # the call decides which case is taken: the others are not looked at for it
            if case.patterns:
                cases.append(p.Case(patterns, p.Block(case.body.span, ())))
            continue
        taken = True
        holds_none = any(isinstance(pattern, n.NoneValue) for pattern in case.patterns)
        if name is not None and (knows_none if not case.patterns else not holds_none):
            narrow(walk.state, [name])
        knows_none = knows_none or holds_none
        body = check_block(walk, case.body)
        if case.patterns:
            cases.append(p.Case(patterns, body))
        else:
            other, orelse = case, body
        ways.append(walk.state)
    arms.end()
    walk.state = entry
    if ways:
        join_ways(walk, entry, ways, "inside this `match`", "branch")
    elif known:
        walk.state.alive = False  # no case is taken
    return p.Match(node.span, subject, tuple(cases), orelse)


def _matches(subject: p.Expr, pattern: p.Const) -> bool:
    """Whether a known value is matched: another type matches no pattern."""
    assert isinstance(subject, p.Const)
    value, wanted = subject.value, pattern.value
    if isinstance(wanted, Networks):
        return value in wanted
    if isinstance(wanted, (range, tuple)) and pattern.type.name == "range":
        low, high = (wanted.start, wanted.stop - 1) if isinstance(wanted, range) else wanted
        return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    if value is None or wanted is None:
        return value is wanted
    return type_of(value).name == type_of(wanted).name and same(value, wanted)


def _patterns(walk: Walk, subject: p.Expr, case: n.Case) -> tuple[p.Const, ...]:
    found: list[p.Const] = []
    for node in case.patterns:
        pattern = walk.value(node)
        if is_unknown(pattern):
            continue
        if not isinstance(pattern, p.Const):
            walk.error(
                "bad-pattern", pattern.span, "a pattern is known when the policy is loaded",
                help="write a literal, a range or a constant; compare other values with `if`",
            )  # fmt: skip
            continue
        fitting = _fitting(walk, subject, pattern)
        if fitting is not None:
            found.append(fitting)
    return tuple(found)


def _fitting(walk: Walk, subject: p.Expr, pattern: p.Const) -> p.Const | None:
    want, have = subject.type.name, pattern.type.name
    if want in ("unknown", "none") or have == "none" or want == have:
        return pattern
    if walk.expanding and isinstance(subject, p.Const) and want != "ip":
        return pattern  # the parameter's type was judged where the assertion is declared
    if want == "ip" and have == "string":
        if not network(walk, pattern.span, pattern.value):
            return None
        return p.Const(pattern.span, NETWORKS, pattern.private, Networks((pattern.value,)))
    if want == "json" and (have in JSON_KINDS or have == "range"):
        return pattern
    if want == "number" and have == "range":
        return pattern
    if have == "number" and want in UNITS:
        missing_unit(walk, pattern, want, f"a {want} is matched")
        return None
    walk.error(
        "different-types", pattern.span, f"{phrase(pattern.type)} never matches {phrase(subject.type)}",
        help=f"write {phrase(subject.type)}, or convert what stands after `match`",
    )  # fmt: skip
    return None


# --- for -----------------------------------------------------------------------------------------


def check_for(walk: Walk, node: n.For) -> p.Statement:
    iterable = walk.value(node.iterable)
    kind = iterable.type
    if kind.name not in ("list", "json", "unknown"):
        cure = {
            "map": f"go through its keys: `for {node.name} in keys({node.iterable.span.text})`",
            "string": "make a list of it first, for example with `split(…)`",
        }.get(kind.name, "give it a list")
        walk.error("wrong-type", iterable.span, f"`for` goes through a list, not {phrase(kind)}", help=cure)
    if isinstance(iterable, p.Const) and isinstance(iterable.value, (list, tuple)) and len(iterable.value) > MAX_ROUNDS:
        walk.error("too-many-rounds", iterable.span, f"this list has {len(iterable.value)} elements",
                   help=f"a `for` makes at most {MAX_ROUNDS} rounds")  # fmt: skip
    element = kind.of if kind.name == "list" and kind.of is not None else t.JSON
    if kind.name not in ("list", "json"):
        element = UNKNOWN
    maybe = element.optional and element.name != "json"  # what is JSON is looked at when it is used
    entry = walk.state
    counters = dict(walk.frame.counters)
    start = entry
    while True:
        tainted = len(walk.frame.tainted)
        walk.frame.counters = dict(counters)
        walk.state = start.copy()
        slot = bind_name(walk, node.name, node.name_span, kept_type(element, maybe), "loop", iterable.private)
        body = check_block(walk, node.body)
        end = walk.state
        again = _next_round(start, end)
        # what one round writes, the next one reads
        if again is None and len(walk.frame.tainted) == tainted:
            break
        start = again or start
    walk.state = end
    after = start if start is not entry else entry
    leave(walk, after, "inside this `for`", "loop")
    return p.For(node.span, slot, node.name, iterable, body)


def _next_round(start: State, end: State) -> State | None:
    """The state a second round starts from, where it knows less than `start`; None where it does not."""
    if not end.alive:
        return None
    less = False
    names: dict[str, Var] = {}
    state = start.copy()
    for name, var in start.names.items():
        found = end.names.get(name)
        if found is None:
            less = True
            state.ended[name] = end.ended[name]
        elif found.type.optional and not var.type.optional:
            less = True
            names[name] = found
        else:
            names[name] = var
    state.names = names
    return state if less else None


# --- try, else -----------------------------------------------------------------------------------


def check_try(walk: Walk, node: n.Try) -> p.Statement:
    entry = walk.state
    walk.state = entry.copy()
    body = check_block(walk, node.body)
    tried = walk.state
    walk.state = entry.copy()
    walk.state.end(inner_names(entry, tried), "inside this `try`", "failed", True)
    walk.state.lost = walk.state.lost or tried.lost
    slot: int | None = None
    if node.name is not None:
        slot = bind_name(walk, node.name, node.name_span or node.span, t.FAILURE, "caught")
    swallows(walk, node.handler, "`catch`")
    handler = check_block(walk, node.handler)
    handled = walk.state
    caught = handled.names.pop(node.name, None) if node.name is not None else None
    join_ways(walk, entry, [tried, handled], "inside this `try`", "failed")
    if caught is not None:
        walk.state.end([caught], "inside this `catch`", "block", True)
    return p.Try(node.span, body, slot, handler)


def check_else(walk: Walk, node: n.Else) -> p.Statement | None:
    entry = walk.state
    walk.state = entry.copy()
    kept = walk.word
    walk.word = word_of(node.left)
    left = walk.statement(node.left)
    walk.word = kept
    tried = walk.state
    walk.state = entry.copy()
    walk.state.end(inner_names(entry, tried), "left of this `else`", "failed", True)
    walk.state.lost = walk.state.lost or tried.lost
    swallows(walk, node.right, "`else`")
    right = check_block(walk, node.right)
    join_ways(walk, entry, [tried, walk.state], "on one side of this `else`", "failed")
    return p.Else(node.span, left, right) if left is not None else None
