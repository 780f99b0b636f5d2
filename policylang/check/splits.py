"""`split`: one of several arms for each request, by shares."""

from __future__ import annotations

from fractions import Fraction

from policylang.check import program as p
from policylang.check.arguments import Given, assign, signature_of
from policylang.check.binding import join_ways
from policylang.check.blocks import check_block, head
from policylang.check.fitting import fit, known_at_call
from policylang.check.scope import State
from policylang.check.special import SPLIT
from policylang.check.walk import Arms, Walk, is_unknown
from policylang.sdk import static_types as t
from policylang.source import Span
from policylang.syntax import nodes as n

_SPLIT = signature_of("split", SPLIT)
_WHOLE = 100


def check_split(walk: Walk, node: n.Split) -> p.Statement:
    given, _ = assign(walk, _SPLIT, node.args, head(node))
    subject, counter = _subject(walk, node, given)
    entry = walk.state
    ways: list[State] = []
    cases: list[p.Case] = []
    shares: list[p.Const] = []
    known = True
    arms = Arms(walk.frame)
    for case in node.cases:
        arms.begin()
        walk.state = entry.copy()
        share = _share(walk, case)
        known = known and share is not None
        patterns = () if share is None else (share,)
        cases.append(p.Case(patterns, check_block(walk, case.body)))
        ways.append(walk.state)
        shares += patterns
    arms.end()
    walk.state = entry
    if len(node.cases) < 2:
        _bad(walk, head(node), "a `split` of fewer than two arms splits nothing",
             "give it a second one: `95 -> …` and `5 -> …`")  # fmt: skip
    elif known:
        _come_to_whole(walk, node, shares)
    if ways:
        join_ways(walk, entry, ways, "inside this `split`", "branch")
    return p.Split(node.span, subject, tuple(cases), None, counter)


def _subject(walk: Walk, node: n.Split, given: Given) -> tuple[p.Expr, str]:
    """What decides, and the name of the decision."""
    found = given.get("by")
    name = given.get("name")
    text, word = "", None
    subject: p.Expr = p.Const(node.span, t.NONE, False, None)
    if found:
        value = found[0].value
        subject, text = fit(walk, SPLIT[0], walk.expr(value), value), " ".join(value.span.text.split())
    if name:
        word = fit(walk, SPLIT[1], walk.expr(name[0].value), name[0].value)
        if not found:
            walk.error("missing-parameter", name[0].span, "`name` needs `by`: what is drawn anew decides nothing alike",
                       help="write `by: …` before it, or leave it out")  # fmt: skip
    place = f"{walk.frame.name}|split|{text}"
    ordinal = walk.frame.counters.get(place, 0)
    walk.frame.counters[place] = ordinal + 1
    if isinstance(word, p.Const) and isinstance(word.value, str):
        return subject, f"split|{word.value}"
    return subject, f"{place}|{ordinal}"


# --- shares --------------------------------------------------------------------------------------


def _share(walk: Walk, case: n.Case) -> p.Const | None:
    """The case's share; None where it is not known or was reported."""
    if not case.patterns:
        _bad(walk, head(case), "a `split` has no `else`", f"give this arm what is left of {_WHOLE}")
        return None
    if len(case.patterns) > 1:
        _bad(walk, case.patterns[1].span, "an arm of a `split` has one share", "write their sum, or an arm for each")
        return None
    share = walk.value(case.patterns[0])
    if is_unknown(share) or (not isinstance(share, p.Const) and known_at_call(walk, share)):
        return None
    if not isinstance(share, p.Const):
        walk.error("not-constant", share.span, "a share must be known when the policy is loaded",
                   help="write it as a literal or a constant; for a choice by value use `match`")  # fmt: skip
        return None
    if share.type.name != "number" or not share.value > 0:
        _bad(walk, share.span, f"`{share.span.text}` is no share", "a share is a number above 0, such as `95` or `0.5`")
        return None
    return share


def _come_to_whole(walk: Walk, node: n.Split, shares: list[p.Const]) -> None:
    """Exactly: 33.3, 33.3 and 33.4 are 100, as they are to whoever has written them."""
    total = sum((Fraction(str(share.value)) for share in shares), Fraction(0))
    if total != _WHOLE:
        cure = "shares are percent: `95` and `5`, not `0.95` and `0.05`" if total == 1 else "change one of them"
        _bad(walk, head(node), f"the shares of this `split` come to {float(total):.10g}, not to {_WHOLE}", cure)


def _bad(walk: Walk, span: Span, message: str, cure: str) -> None:
    walk.error("bad-split", span, message, help=cure)
