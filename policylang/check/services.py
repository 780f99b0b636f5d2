"""Services and global blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policylang.check import program as p
from policylang.check.arguments import Given, assign, signature_of
from policylang.check.binding import inner_names
from policylang.check.blocks import check_block, head
from policylang.check.fitting import fit
from policylang.check.paths import Claims, read_host, read_methods, read_path
from policylang.check.scope import Slots, State, Var
from policylang.check.special import SERVICE
from policylang.check.unit import Unit
from policylang.check.walk import Frame, Taint, Walk, is_unknown
from policylang.diagnostics import Label
from policylang.source import Span
from policylang.syntax import nodes as n

_SERVICE = signature_of("service", SERVICE)


class Globals:
    """What the global blocks leave to the services: slots, who is known, what was made private."""

    def __init__(self) -> None:
        self.slots = Slots()
        self.user = False
        self.tainted: set[Taint] = set()
        self.hidden: set[int] = set()
        self.counters: dict[str, int] = {}
        self.names: list[Var] = []


def check_global(unit: Unit, shared: Globals, node: n.Global) -> p.Block:
    shared.slots.forget()
    frame = Frame("global", shared.slots, shared.tainted, shared.hidden)
    frame.counters = shared.counters
    walk = Walk(unit, frame, node.when, closed="`global after`" if node.when == "after" else "")
    if node.when == "after":
        walk.state.response = "set"
    walk.state.user = shared.user and node.when == "before"
    block = check_block(walk, node.body)
    shared.counters = frame.counters  # a `match` or `for` puts another in its place
    if node.when == "before":
        shared.names += walk.state.names.values()
        shared.user = walk.state.user
    return block


def check_service(unit: Unit, shared: Globals, claims: Claims, node: n.Service) -> p.Service:
    slots = Slots(shared.slots.names)
    frame = Frame(node.name, slots, set(shared.tainted), set(shared.hidden))
    head_walk = Walk(unit, frame, "constant")
    given, _ = assign(head_walk, _SERVICE, node.args, node.name_span)
    paths = _paths(head_walk, given)
    host = _host(head_walk, given)
    methods = _methods(head_walk, given)
    for path in paths:
        claims.claim(unit.report, node.name, host, methods, path)
    captures = captures_of(paths)
    walk = Walk(unit, frame, "service", captures=captures)
    walk.state.user = shared.user
    walk.state.end(shared.names, "inside `global before`", "block", True)
    entry = walk.state.copy()
    body = check_block(walk, node.body)
    _must_answer(walk, node)
    on_failure = None
    if node.on_failure is not None:
        on_failure = _on_failure(unit, frame, entry, walk.state, captures, node.on_failure)
    shared.tainted |= {each for each in frame.tainted if isinstance(each, tuple)}
    return p.Service(
        node.span, node.name, tuple(paths), methods, host, body, on_failure, tuple(slots.names),
        frame.private_slots | shared.hidden,
    )


def _must_answer(walk: Walk, node: n.Service) -> None:
    state = walk.state
    if not state.alive or state.response or state.lost:
        return
    statements = node.body.statements
    labels: list[Label] = []
    if state.response_label is not None:
        labels.append(state.response_label)
    if statements:
        labels.append(Label(head(statements[-1]), "the block can end here without an answer"))
    upstreams = list(walk.unit.upstreams)
    example = f"`route {upstreams[0]}`" if upstreams else "`route`"
    walk.error(
        "no-answer", node.name_span, f"`{node.name}` can end without an answer", labels=labels,
        help=f"end every way with {example}, `respond` or `fail`",
    )  # fmt: skip


def _on_failure(
    unit: Unit, frame: Frame, entry: State, after: State, captures: dict[str, bool], node: n.Block
) -> p.Block:
    """The service's last block: whatever was bound before may be unset, since anything may have failed."""
    walk = Walk(unit, frame, "failure", captures=captures)
    walk.state = entry.copy()
    walk.state.end(inner_names(entry, after), "in the service's block", "failure", True)
    for gone in after.ended.values():
        walk.state.end([gone.var], "in the service's block", "failure", True)
    walk.state.lost = after.lost
    walk.state.response = "maybe"
    return check_block(walk, node)


# --- what stands after the name ------------------------------------------------------------------


def _paths(walk: Walk, given: Given) -> list[p.PathPattern]:
    found: list[p.PathPattern] = []
    for arg in given.get("path", ()):
        value = walk.value(arg.value)
        if is_unknown(value):
            continue
        for span, text in _texts(walk, arg.value, value, "a path"):
            path = read_path(walk.report, span, text)
            if path is not None:
                found.append(path)
    return found


def _host(walk: Walk, given: Given) -> str:
    args = given.get("host")
    if not args:
        return ""
    value = fit(walk, SERVICE[2], walk.value(args[0].value), args[0].value)
    if not isinstance(value, p.Const) or not isinstance(value.value, str):
        return ""
    return read_host(walk.report, value.span, value.value)


def _methods(walk: Walk, given: Given) -> tuple[str, ...]:
    args = given.get("methods")
    if not args:
        return ()
    value = walk.value(args[0].value)
    if is_unknown(value):
        return ()
    if value.type.name == "string":
        walk.error("wrong-type", value.span, "`methods` takes a list", help=f"write `[{value.span.text}]`")
        return ()
    places = list(_texts(walk, args[0].value, value, "a method"))
    if not places and isinstance(value, p.Const) and value.value == []:
        walk.error("bad-method", value.span, "a service with no method answers nothing",
                   help="leave `methods:` out to answer all")  # fmt: skip
    return read_methods(walk.report, places)


def _texts(walk: Walk, node: n.Expr, value: p.Expr, what: str) -> list[tuple[Span, str]]:
    """The texts of a constant or a list of them, each with its place."""
    if not isinstance(value, p.Const):
        walk.error("not-constant", value.span, f"{what} must be known when the policy is loaded",
                   help="write it as a literal or a constant")  # fmt: skip
        return []
    values: list[Any] = list(value.value) if isinstance(value.value, (list, tuple)) else [value.value]
    spans = [item.span for item in node.items] if isinstance(node, n.ListValue) else [value.span] * len(values)
    found: list[tuple[Span, str]] = []
    for span, text in zip(spans, values, strict=True):
        if isinstance(text, str):
            found.append((span, text))
        else:
            walk.error("wrong-type", span, f"{what} is text", help="write it in quotes")
    return found


def captures_of(paths: Sequence[p.PathPattern]) -> dict[str, bool]:
    """What `path` has: true where every path of the service captures it."""
    sets = [{segment[0] for segment in path.segments if isinstance(segment, tuple) and segment} for path in paths]
    names = dict.fromkeys(name for captured in sets for name in sorted(captured))
    return {name: all(name in captured for captured in sets) for name in names}
