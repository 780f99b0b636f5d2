"""Simple statements: calls, `require`, `let`, `respond`, `fail`, `ignore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from policylang.check import program as p
from policylang.check.arguments import assign, bind, signature_of
from policylang.check.assertions import call_definition
from policylang.check.binding import bind_name, inner_names, kept_type
from policylang.check.blocks import check_block
from policylang.check.expressions import boolean, decided
from policylang.check.fitting import fit
from policylang.check.kinds import UNKNOWN, phrase
from policylang.check.literals import header_value, place_of, status, written_header
from policylang.check.narrowing import narrow, present_names
from policylang.check.skipping import check_skipped
from policylang.check.special import FAIL, RESPOND, SPECIAL
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.diagnostics import Edit, Fix, Label
from policylang.sdk import static_types as t
from policylang.sdk.card import Card, ParamCard
from policylang.sdk.shared_map import SharedMap
from policylang.sdk.static_types import Type
from policylang.syntax import nodes as n
from policylang.testing import WORDS as TEST_WORDS

if TYPE_CHECKING:
    from policylang.check.unit import Unit

_RESPOND = signature_of("respond", RESPOND)
_FAIL = signature_of("fail", FAIL)
_HEADER_VALUE = ParamCard("header", "", (t.STRING,), True)


# --- calls ---------------------------------------------------------------------------------------


def check_call(walk: Walk, node: n.Call) -> p.Statement | None:
    definition = walk.unit.definitions.get(node.name)
    if definition is not None:
        return call_definition(walk, node, definition)
    card = walk.unit.catalog.assertions.get(node.name)
    if card is None:
        _unknown_assertion(walk, node)
        return None
    bound, _ = bind(walk, walk.unit.signature(card), node.args, node.name_span)
    private = any(each.value.private for each in bound)
    _rules(walk, node, card, bound)
    counter = _counter(walk, node, card, bound) if card.waits else ""
    block = _block(walk, node, card)
    if card.skips_block and block is not None:
        check_skipped(walk, node, bound, block)
    given = card.outputs if block is None else {}  # whoever stands around a block gives what the block does
    where = " where it has a block" if card.outputs else ""
    outputs = bind_outputs(walk, node, given, private, card.private_outputs, where)
    effects = card.effects
    state = walk.state
    if "user" in effects:
        state.user = True
    if card.answers:
        state.response = "set"
        state.response_label = Label(node.name_span, "`response` is set here, on one way only")
    return p.Invoke(node.span, card, bound, outputs, block, counter)


def _rules(walk: Walk, node: n.Call, card: Card, bound: tuple[p.Bound, ...]) -> None:
    """What the assertion itself has to say about its constants."""
    constants: dict[str, Any] = {}
    for each in bound:
        value = each.value
        if isinstance(value, p.Const) and value.type.name != "unknown":
            constants[each.param.name] = value.value
    for each in bound:
        if each.param.kept and each.value.private:
            _keeps_private(walk, each, constants)
    message = card.make.check(constants)  # type: ignore[attr-defined]
    if message is not None:
        place = place_of(node.args, message) or node.name_span
        walk.error("bad-literal", place, message, help=f"`pol explain {card.name}` says what it takes")


def _keeps_private(walk: Walk, kept: p.Bound, constants: Mapping[str, Any]) -> None:
    """What is private stays so in a map, from which other services read, only where the map says it; in no cache."""
    there = next((value for value in constants.values() if isinstance(value, SharedMap)), None)
    if there is None:
        walk.error("private-in-cache", kept.value.span, "this is private, and what a cache holds is not",
                   help=f"end it with `reveal({kept.text})`, or keep it in a private map")  # fmt: skip
    elif not there.private:
        walk.error(
            "private-in-map", kept.value.span, f"this is private, and what the map `{there.name}` holds is not",
            labels=[Label(walk.unit.maps[there.name].node.name_span, "declared here")],
            help=f"declare it with `private: true`, or end it with `reveal({kept.text})`",
        )  # fmt: skip


def _block(walk: Walk, node: n.Call, card: Card) -> p.Block | None:
    if node.block is None:
        if card.takes_block and not card.block_optional:
            walk.error("missing-block", node.name_span, f"`{node.name}` needs a block",
                       help=f"write `{node.name} … {{ … }}`")  # fmt: skip
        return None
    if not card.takes_block:
        walk.error(
            "unexpected-block", node.block.span, f"`{node.name}` takes no block",
            help="put the statements on lines of their own, or into `all { … }`",
        )  # fmt: skip
    entry = walk.state.copy()
    block = check_block(walk, node.block)
    inner = walk.state
    walk.state = entry
    entry.end(inner_names(entry, inner), "inside this block", "block", True)
    entry.lost = entry.lost or inner.lost
    if not inner.alive or inner.response == "set":
        # it passes when its block has, or when it has given an answer in the block's place
        entry.response = "set"
    return block


def bind_outputs(
    walk: Walk, node: n.Call, outputs: dict[str, Type] | Any, private: bool, private_outputs: frozenset[str],
    where: str = "",
) -> tuple[int | None, ...]:  # fmt: skip
    """Bind the names after `->` to the outputs, in their order."""
    kinds = list(outputs.items())
    slots: list[int | None] = []
    for place, output in enumerate(node.outputs):
        if place < len(kinds):
            name, kind = kinds[place]
            hidden = output.private or private or name in private_outputs
            slot = bind_name(walk, output.name, output.span, kept_type(_known(kind), False), "output", hidden)
            slots.append(slot)
            continue
        if place == len(kinds):
            has = f"no output{where}" if not kinds else "one output" if len(kinds) == 1 else f"{len(kinds)} outputs"
            walk.error("too-many-outputs", output.span, f"`{node.name}` has {has}", help="leave this name out")
        bind_name(walk, output.name, output.span, UNKNOWN, "output")
    slots.extend([None] * (len(kinds) - len(slots)))
    return tuple(slots)


def _known(kind: Type) -> Type:
    return t.JSON if kind.name == "any" else kind


def _unknown_assertion(walk: Walk, node: n.Call) -> None:
    name = node.name
    unit = walk.unit
    known = [*unit.catalog.assertions, *unit.definitions]
    close = unit.nearest(name, [*known, "require", "respond", "remove", "ignore", "parallel", "match"])
    fix = None
    if name in unit.catalog.functions or name in SPECIAL:
        walk.error(
            "function-as-statement", node.name_span, f"`{name}` is a function: it gives a value and refuses nothing",
            help=f"use its value: `let x = {name}(…)` or `require {name}(…) == …`",
        )  # fmt: skip
    elif not unit.perhaps_declared(name):
        if name in TEST_WORDS:
            cure = f"`{name}` is a word of tests: it stands in a file whose name ends in `_test.pol`"
        elif close is not None:
            cure = f"did you mean `{close}`?"
            fix = Fix(f"write `{close}`", (Edit(node.name_span, close),))
        elif "." in name:
            cure = f"no plug-in called `{name.partition('.')[0]}` is installed"
        else:
            cure = f"declare it with `assertion {name} {{ … }}`, or look into `pol docs`"
        walk.error("unknown-assertion", node.name_span, f"there is no assertion `{name}`", help=cure, fix=fix)
    for arg in node.args:
        if type(arg.value) is not n.Name:
            walk.expr(arg.value)
    if node.block is not None:
        entry = walk.state.copy()
        check_block(walk, node.block)
        walk.state = entry
    for output in node.outputs:
        bind_name(walk, output.name, output.span, UNKNOWN, "output")
    forgive(walk)


def forgive(walk: Walk) -> None:
    """After a statement that nobody understands: what it would have done must not be missed."""
    walk.state.lost = True
    walk.state.user = True
    if walk.state.response == "":
        walk.state.response = "set"


def _counter(walk: Walk, node: n.Call, card: Card, bound: Sequence[p.Bound]) -> str:
    """Names the counter: `name:` where given, else service, assertion, text of the key and ordinal among equals.

    What is kept for a block belongs to that block, with its text.
    """
    text = ""
    for each in bound:
        if isinstance(each.value, p.Const) and isinstance(each.value.value, SharedMap):
            return each.value.value.counter
    for each in bound:
        if each.param.name == "name" and isinstance(each.value, p.Const) and each.value.value is not None:
            return f"name|{each.value.value}"
        if each.param.types[0].name == "key":
            text = " ".join(each.text.split())
    if card.skips_block and node.block is not None:
        # What is kept of one block must never pass for what another gives: neither of another arm, nor after a reload.
        place = f"{walk.frame.name}|{card.name}|{text}|{node.block.span.text}"
        return f"{place}|{walk.frame.next_of(place)}"
    place = f"{walk.frame.name}|{card.counts_as or card.name}|{text}"
    ordinal = walk.frame.counters.get(place, 0)
    unit = walk.unit
    if card.counts_as:
        if walk.definition is None or walk.expanding:
            unit.asked[node.name_span] = place, card
        return f"{place}|{max(0, ordinal - 1)}"
    unit.counted.add(place)
    walk.frame.counters[place] = ordinal + 1
    return f"{place}|{ordinal}"


def check_asked(unit: Unit) -> None:
    """Report what asks for a counter that nothing counts in. One with a name may be another policy's."""
    for span, (place, card) in unit.asked.items():
        if place not in unit.counted and not unit.broken:
            service, _, text = place.split("|", 2)
            where = f"in `{service}`" if service != "global" else "in the global blocks"
            unit.report.error(
                "nothing-counted", span, f"no `{card.counts_as}` {where} counts by `{text}`",
                help=f"write the key as that `{card.counts_as}` does, or give both the same `name:`",
            )  # fmt: skip


# --- require, let --------------------------------------------------------------------------------


def check_require(walk: Walk, node: n.Require) -> p.Statement:
    expr = walk.value(node.condition)
    boolean(walk, expr, node.condition)
    names = present_names(node.condition, True)
    if names:
        narrow(walk.state, names)
    if decided(walk, expr) is False:
        walk.state.alive = False
    return p.Require(node.span, expr)


def check_let(walk: Walk, node: n.Let) -> p.Statement:
    value = walk.value(node.value)
    if value.type.name == "none" and not node.optional:
        walk.error("may-be-none", value.span, f"`{node.name}` would always be `none`, and this `let` always fail",
                   help=f"write `let {node.name}? = none`")  # fmt: skip
    kind = kept_type(value.type, node.optional)
    private = node.private or value.private
    slot = bind_name(walk, node.name, node.name_span, kind, "let", private, node.optional)
    return p.Let(node.span, slot, node.name, node.optional, value)


# --- respond, fail, ignore -----------------------------------------------------------------------


def check_respond(walk: Walk, node: n.Respond) -> p.Statement:
    where = walk.closed
    if where:
        walk.error("misplaced-respond", node.span, f"`respond` cannot stand in {where}", help=_INSTEAD[where])
    if walk.responds is None:
        walk.responds = node.span
    given, _ = assign(walk, _RESPOND, node.args, node.span)
    values: dict[str, p.Expr] = {}
    headers: tuple[tuple[str, p.Expr], ...] = ()
    for param in RESPOND:
        found = given.get(param.name)
        if found is None:
            continue
        if param.name == "header":
            headers = _headers(walk, found[0].value)
        else:
            values[param.name] = fit(walk, param, walk.expr(found[0].value), found[0].value)
    code = values.get("status", unknown(node.span))
    status(walk, code, 200, 599, "`respond`")
    if "body" in given and "json" in given:
        walk.error(
            "duplicate-parameter", given["json"][0].span, "an answer has `body` or `json`, not both",
            labels=[Label(given["body"][0].span, "given here")], help="keep one of them",
        )  # fmt: skip
    kind = values.get("content_type")
    if kind is not None:
        header_value(walk, kind)
    walk.state.alive = False
    return p.Respond(node.span, code, values.get("body"), values.get("json"), kind, headers)


_INSTEAD = {
    "`none`": "answer after the `none`",
    "`parallel`": "set a name in the branch, and answer after the `parallel`",
    "`global after`": "change `response` instead, with `set`",
}


def _headers(walk: Walk, node: n.Expr) -> tuple[tuple[str, p.Expr], ...]:
    if not isinstance(node, n.MapValue):
        found = walk.value(node)
        if not is_unknown(found):
            walk.error("wrong-type", node.span, "`header` takes a map that is written out",
                       help='write it as `header: { "X-Account": value }`')  # fmt: skip
        return ()
    fields: list[tuple[str, p.Expr]] = []
    seen: dict[str, n.MapEntry] = {}
    for entry in node.entries:
        written_header(walk, entry.key_span, entry.key)
        first = seen.setdefault(entry.key.lower(), entry)
        if first is not entry:
            walk.error("duplicate-key", entry.key_span, f"the field `{entry.key}` stands twice",
                       labels=[Label(first.key_span, "first here")], help="keep one of them")  # fmt: skip
        value = walk.value(entry.value)
        if value.type.name not in ("string", "json", "unknown"):
            cure = f'make text of it: `"${{{entry.value.span.text}}}"`'
            walk.error("wrong-type", value.span, f"a header's value is text, not {phrase(value.type)}", help=cure)
        else:
            value = fit(walk, _HEADER_VALUE, value, entry.value)
            header_value(walk, value)
        fields.append((entry.key, value))
    return tuple(fields)


def check_fail(walk: Walk, node: n.Fail) -> p.Statement:
    given, _ = assign(walk, _FAIL, node.args, node.span)
    values: dict[str, p.Expr] = {}
    for param in FAIL:
        found = given.get(param.name)
        if found is not None:
            values[param.name] = fit(walk, param, walk.expr(found[0].value), found[0].value)
    code = values.get("status", unknown(node.span))
    status(walk, code, 400, 599, "`fail`")
    name = values.get("name")
    word = "failed"
    if isinstance(name, p.Const) and isinstance(name.value, str):
        word = name.value
        if not word.replace("-", "").isalnum() or not word.isascii() or word != word.lower():
            walk.error("bad-literal", name.span, f"`{word}` is no failure's name",
                       help="a name has small letters, digits and `-`, such as `out-of-stock`")  # fmt: skip
    walk.state.alive = False
    return p.Fail(node.span, code, values.get("detail"), word, values.get("title"))


def check_ignore(walk: Walk, node: n.Ignore) -> p.Statement:
    return p.Ignore(node.span)


def check_bad(walk: Walk, node: n.BadStatement) -> None:
    forgive(walk)
