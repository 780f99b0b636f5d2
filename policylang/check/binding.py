"""Binding names: `let`, outputs, loop names, caught failures."""

from __future__ import annotations

from policylang.check.kinds import UNKNOWN, phrase
from policylang.check.members import CONTEXT
from policylang.check.scope import Clash, State, Var, merge
from policylang.check.walk import Walk
from policylang.diagnostics import Label
from policylang.sdk import static_types as t
from policylang.sdk.static_types import Type
from policylang.source import Span


def kept_type(kind: Type, optional: bool) -> Type:
    """The type of a name that keeps such a value."""
    if kind.name == "unknown":
        return UNKNOWN
    if kind.name == "none":
        return t.JSON
    return kind.maybe() if optional else kind.sure()


def bind_name(
    walk: Walk, name: str, span: Span, type: Type, kind: str = "let", private: bool = False, optional: bool = False
) -> int:
    """Bind a name from here on; gives its slot. Reports one that cannot be bound here."""
    slot = walk.slot(name)
    if private:
        walk.frame.hidden.add(slot)
    if not usable(walk, name, span, kind) and is_reserved(walk, name):
        return slot  # the name goes on to mean what it means
    walk.state.bind(Var(name, slot, type, span, kind, private, optional))
    return slot


def is_reserved(walk: Walk, name: str) -> bool:
    return name in CONTEXT or (name == "failure" and walk.knows_failure)


def usable(walk: Walk, name: str, span: Span, kind: str = "let") -> bool:
    """Report a name that is taken. True when it is not."""
    if is_reserved(walk, name):
        walk.error(
            "reserved-name", span, f"`{name}` is a name of the language", help="choose another name",
            label="it means something in every policy",
        )  # fmt: skip
        return False
    state = walk.state
    before = state.names.get(name)
    if before is not None:
        cure = f"choose another name, or change the value with `set {name} = …`"
        if before.kind not in ("let", "output") or kind not in ("let", "output"):
            cure = "choose another name"
        walk.error(
            "already-bound", span, f"`{name}` is bound a second time",
            labels=[Label(before.span, "bound here already")], help=cure,
        )  # fmt: skip
        return False
    ended = state.ended.get(name)
    if ended is not None and not ended.free:
        walk.error(
            "already-bound", span, f"`{name}` is bound a second time on some way to here",
            labels=[Label(ended.var.span, f"bound here, {ended.where}")], help="choose another name",
        )  # fmt: skip
        return False
    constant = walk.unit.constant_spans.get(name)
    if constant is not None:
        walk.error(
            "already-bound", span, f"`{name}` is a constant already", labels=[Label(constant, "declared here")],
            help="choose another name",
        )  # fmt: skip
        return False
    return True


def join_ways(walk: Walk, entry: State, ways: list[State], where: str, reached: str) -> None:
    """Go on after branches."""
    walk.state, clashes = merge(entry, ways, where, reached)
    report_clashes(walk, clashes)


def report_clashes(walk: Walk, clashes: list[Clash]) -> None:
    for left, right in clashes:
        walk.error(
            "mixed-types", right.span,
            f"`{right.name}` is {phrase(right.type)} here and {phrase(left.type)} in another branch",
            labels=[Label(left.span, f"{phrase(left.type)} here")],
            help="bind it with one type in every branch, or use two names",
        )  # fmt: skip


def inner_names(entry: State, after: State) -> list[Var]:
    return [var for name, var in after.names.items() if name not in entry.names]


def leave(walk: Walk, entry: State, where: str, reached: str) -> None:
    """Go on after a block whose names end with it: the state is the one before it."""
    inner = walk.state
    walk.state = entry
    entry.end(inner_names(entry, inner), where, reached, True)
    for gone in inner.ended.values():
        if gone.var.name not in entry.names and gone.var.name not in entry.ended:
            entry.end([gone.var], where, reached, True)
    entry.lost = entry.lost or inner.lost
    if not entry.response:
        entry.response_label = inner.response_label or entry.response_label


__all__ = ["bind_name", "inner_names", "join_ways", "kept_type", "leave", "report_clashes", "usable"]
