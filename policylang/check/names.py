"""Names: what they stand for where they are read, and why they may stand for nothing."""

from __future__ import annotations

from policylang.check import program as p
from policylang.check.members import CONTEXT, IN_BALANCE, context_value
from policylang.check.scope import Ended, Var
from policylang.check.walk import Walk, unknown
from policylang.diagnostics import Label
from policylang.source import Span
from policylang.syntax import nodes as n


def check_name(walk: Walk, node: n.Name) -> p.Expr:
    word = node.name
    var = walk.state.names.get(word)
    if var is not None:
        return read(walk, var, node.span)
    if word in CONTEXT or (word == "failure" and walk.knows_failure):
        return context_value(walk, node.span, word)
    constant = walk.unit.constant(word)
    if constant is not None:
        return p.Const(node.span, constant.type, constant.private, constant.value)
    ended = walk.state.ended.get(word)
    if ended is not None:
        if not walk.state.lost:
            _unset(walk, node, ended)
    elif not walk.unit.perhaps_declared(word):
        unknown_name(walk, node.span, word)
    return unknown(node.span)


def read(walk: Walk, var: Var, span: Span) -> p.Expr:
    const = var.const
    if const is not None:
        return p.Const(span, const.type, var.private or const.private, const.value)
    return p.SlotRef(span, var.type, var.private or var.slot in walk.frame.tainted, var.slot, var.name)


_REACHED = {
    "branch": "reached also when another branch is taken",
    "parallel": "the branches run side by side",
    "loop": "reached when the loop is over",
    "none": "what a `none` sets is taken back",
    "block": "reached when that block is over",
    "removed": "reached after it was removed",
    "failure": "reached when the service's block has failed",
}


def _unset(walk: Walk, node: n.Name, ended: Ended) -> None:
    word = node.name
    if ended.reached == "failed":
        label = f"reached also when line {ended.var.span.line} has failed"
    else:
        label = _REACHED[ended.reached]
    if ended.reached in ("loop", "none", "block"):
        cure = f"read `{word}` there only, or set a name before it and change that with `set`"
    elif ended.reached == "failure":
        cure = "bind what is needed here inside of `on failure`"
    elif ended.reached == "parallel":
        cure = f"read `{word}` after the `parallel`, or put both lines into one branch: `all {{ … }}`"
    elif ended.reached == "removed":
        cure = f"set `{word}` again before this line"
    elif walk.word:
        cure = f"move `{walk.word}` into that branch, or set `{word}` in every branch"
    else:
        cure = f"set `{word}` in every branch"
    verb = "removed here" if ended.reached == "removed" else f"set here, {ended.where}"
    walk.error(
        "unset-variable", node.span, f"`{word}` may be unset here",
        label=label, labels=[Label(ended.var.span, verb)], help=cure,
    )  # fmt: skip


def unknown_name(walk: Walk, span: Span, word: str) -> None:
    known = [*walk.state.names, *CONTEXT, *walk.unit.constant_names]
    elsewhere = {*walk.unit.upstreams, *walk.unit.maps}
    close = walk.unit.nearest(word, known) if len(word) > 2 and word not in elsewhere else None
    labels: list[Label] = []
    if close is not None:
        cure = f"did you mean `{close}`?"
        var = walk.state.names.get(close)
        if var is not None:
            labels.append(Label(var.span, f"`{close}` is set here"))
    elif word == "failure":
        cure = "a failure is known in `on failure`, and under its own name in `catch e { … }`"
    elif word in walk.unit.upstreams:
        cure = f"`{word}` is an upstream: only a parameter that takes an upstream may name it"
    elif word in walk.unit.maps:
        cure = f'read the map with `map("{word}")`'
    elif walk.place == "balance":
        cure = IN_BALANCE
    elif walk.definition is not None:
        cure = f"an assertion sees its own parameters only: declare `{word}` as one"
    else:
        cure = f"bind it before with `let {word} = …`, or write text in quotes"
    walk.error("unknown-name", span, f"nothing here is called `{word}`", help=cure, labels=labels)
