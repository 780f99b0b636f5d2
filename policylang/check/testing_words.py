"""Statements of a test: the words that only tests have, and those that they do not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from policylang.check import program as p
from policylang.check import statements, targets
from policylang.check.arguments import assign, bind, signature_of
from policylang.check.assertions import call_definition
from policylang.check.expressions import boolean
from policylang.check.fitting import argument, fit
from policylang.check.literals import place_of
from policylang.check.narrowing import narrow, present_names
from policylang.check.testing_unit import of_policy, unit_of
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.diagnostics import Edit, Fix
from policylang.sdk import static_types as t
from policylang.sdk.card import ParamCard
from policylang.sdk.shared_map import SharedMap
from policylang.source import Span
from policylang.syntax import nodes as n
from policylang.testing.expecting import Side
from policylang.testing.stubbing import wrong_answer
from policylang.testing.vocabulary import ANSWER, CARDS, EXPECTATION, GIVEN, REQUESTS

_ANSWER = signature_of("stub", ANSWER)
_GIVEN = {word: signature_of(card.name, card.params) for word, card in GIVEN.items()}
_EXPECT = signature_of("expect", CARDS["expect"].params)
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "contains", "starts_with", "ends_with", "matches"})
_LITERALS = (n.Number, n.Bool, n.NoneValue, n.DurationValue, n.SizeValue, n.RateValue)


def check_call(walk: Walk, node: n.Call) -> p.Statement | None:
    unit = unit_of(walk)
    name = node.name
    definition = unit.definitions.get(name)
    if definition is not None:
        return call_definition(walk, node, definition)
    if name == "given":
        return _given(walk, node)
    if name == "stub":
        return _stub(walk, node)
    if name == "expect":
        return _expect(walk, node)
    if name in CARDS:
        _called(walk, node)
        return _together(walk, node) if name == "together" else _request(walk, node)
    if name in unit.policy.catalog.assertions or name in unit.policy.definitions:
        of_policy(walk, node.name_span, name, "a test sends a request, such as `get \"/\"`, to the policy that has it")
        statements.forgive(walk)
        return None
    return statements.check_call(walk, node)


def _request(walk: Walk, node: n.Call) -> p.Statement | None:
    before = walk.state.response
    found = statements.check_call(walk, node)
    unit = unit_of(walk)
    if node.name in REQUESTS:
        unit.sent = True
        if not unit.together:
            walk.state.response = "set"
    elif unit.together:
        walk.state.response = before
    return found


def _together(walk: Walk, node: n.Call) -> p.Statement | None:
    unit = unit_of(walk)
    before, sent = walk.state.response, unit.sent
    unit.together += 1
    unit.sent = False
    walk.state.response = ""
    try:
        found = statements.check_call(walk, node)
    finally:
        unit.together -= 1
    walk.state.response = "set" if unit.sent and not unit.together else before
    unit.sent = unit.sent or sent
    return found


def _called(walk: Walk, node: n.Call) -> None:
    """`as:` and `cert:`, where they are literals that no `given` gives."""
    for arg in node.args:
        what = {"as": "caller", "cert": "certificate"}.get(arg.name or "")
        names = unit_of(walk).called.get(what) if what is not None else None
        text = arg.value.literal if isinstance(arg.value, n.Text) else None
        if what is None or names is None or text is None or text in names:
            continue
        close = walk.unit.nearest(text, sorted(names))
        fix = Fix(f"write `{close}`", (Edit(arg.value.span, f'"{close}"'),)) if close is not None else None
        cure = f"did you mean `{close}`?" if close is not None else f'write `given {what}("{text}"), …` before it'
        walk.error("unknown-given", arg.value.span, f"no {what} `{text}` is given", help=cure, fix=fix)


# --- given ---------------------------------------------------------------------------------------


def _given(walk: Walk, node: n.Call) -> p.Statement | None:
    first = node.args[0] if node.args else None
    call = first.value if first is not None and first.name is None else None
    words = ", ".join(f"`{word}`" for word in GIVEN)
    if not isinstance(call, n.CallExpr):
        walk.error("unknown-given", node.name_span if first is None else first.span, "`given` does not say what",
                   help=f'write it as in `given map("clients"), entries: {{ … }}`; there are {words}')  # fmt: skip
        return None
    card = GIVEN.get(call.name)
    if card is None:
        close = walk.unit.nearest(call.name, list(GIVEN))
        cure = f"did you mean `{close}`?" if close is not None else f"there are {words}"
        fix = Fix(f"write `{close}`", (Edit(call.name_span, close),)) if close is not None else None
        walk.error("unknown-given", call.name_span, f"`{call.name}` cannot be given", help=cure, fix=fix)
        return None
    _no_more(walk, node)
    args = (*call.args, *node.args[1:])
    where = _of_store(walk, call) if call.name == "map" else None
    if where is not None:
        return _entries(walk, node, args, where)
    bound, good = bind(walk, _GIVEN[call.name], args, call.span)
    if not good:
        return None
    constants = {each.param.name: each.value.value for each in bound if isinstance(each.value, p.Const)}
    make: Any = card.make
    wrong = make.check(constants)
    if wrong is not None:
        walk.error("bad-literal", place_of(args, wrong) or call.span, wrong,
                   help="`pol explain given` says what it takes")  # fmt: skip
        return None
    name = bound[0].value
    if call.name in _READ and isinstance(name, p.Const) and not _read(walk, call, name.value):
        return None
    return p.Invoke(node.span, card, bound, (), None)


def _no_more(walk: Walk, node: n.Call) -> None:
    if node.block is not None:
        walk.error("unexpected-block", node.block.span, f"`{node.name}` takes no block",
                   help="put the statements on lines of their own")  # fmt: skip
    statements.bind_outputs(walk, node, {}, False, frozenset())


_READ = ("map", "env", "secret", "file")


def _read(walk: Walk, call: n.CallExpr, name: str) -> bool:
    """Report what is given although the policy never reads it."""
    unit = unit_of(walk).policy
    if call.name == "map":
        known: list[str] = list(unit.maps)
        message, otherwise = f"there is no map `{name}`", "declare it in the policy"
    else:
        known = sorted(read for what, read in unit.surroundings.asked if what == call.name)
        what = {"env": "environment variable", "secret": "secret", "file": "file"}[call.name]
        message, otherwise = f"the policy reads no {what} `{name}`", "leave it out, or let the policy read it"
    if name in known or unit.broken:
        return True
    close = unit.nearest(name, known)
    walk.error("unknown-given", call.args[0].value.span, message,
               help=f"did you mean `{close}`?" if close is not None else otherwise)  # fmt: skip
    return False


def _of_store(walk: Walk, call: n.CallExpr) -> SharedMap | None:
    text = call.args[0].value.literal if call.args and isinstance(call.args[0].value, n.Text) else None
    declared = unit_of(walk).policy.maps.get(text or "")
    return declared.value if declared is not None and isinstance(declared.value, SharedMap) else None


def _entries(walk: Walk, node: n.Call, args: tuple[n.Argument, ...], where: SharedMap) -> p.Statement | None:
    """Entries of a map in the store are put there with `store`, one by one."""
    given, good = assign(walk, _GIVEN["map"], args, node.name_span)
    if not good:
        return None
    entries = given["entries"][0].value
    if not isinstance(entries, n.MapValue):
        walk.error("not-constant", entries.span, "the entries of a map in the store are written out",
                   help="write them as in `entries: { key: value }`")  # fmt: skip
        return None
    card = unit_of(walk).policy.catalog.assertions["store"]
    made: list[p.Statement] = []
    for entry in entries.entries:
        values: dict[str, p.Expr] = {
            "key": p.Const(entry.key_span, t.STRING, False, entry.key), "value": walk.value(entry.value),
            "in": p.Const(args[0].span, t.SHARED_MAP, False, where), "ttl": p.Const(node.span, t.NONE, False, None),
        }  # fmt: skip
        bound = tuple(p.Bound(param, values[param.name], "") for param in card.params)
        if not any(is_unknown(value) for value in values.values()):
            made.append(p.Invoke(node.span, card, bound, (), None, where.counter))
    return p.Group(node.span, "all", p.Block(node.span, tuple(made)))


# --- stub ----------------------------------------------------------------------------------------


def _stub(walk: Walk, node: n.Call) -> p.Statement | None:
    sequence = next((arg for arg in node.args if arg.name == "sequence"), None)
    fails = next((arg for arg in node.args if arg.name == "fails" and _worked_out(walk, arg.value)), None)
    found = statements.check_call(walk, _without(node, sequence, fails))
    if not isinstance(found, p.Invoke):
        return found
    args = {each.param.name: each for each in found.args}
    if fails is not None:
        param = _as_text(args["fails"].param)
        value = argument(walk, param, fails.value)
        if is_unknown(value):
            return None
        args["fails"] = p.Bound(param, value, "")
    if sequence is not None:
        answers = _answers(walk, sequence.value)
        if answers is None:
            return None
        args["sequence"] = replace(args["sequence"], value=answers)
        mixed = next((arg for arg in node.args if arg.name in {each.name for each in ANSWER}), None)
        if mixed is not None:
            walk.error("duplicate-parameter", mixed.span, "`sequence` holds whole answers",
                       help=f"put `{mixed.name}` into them")  # fmt: skip
    return replace(found, args=tuple(args.values()))


def _worked_out(walk: Walk, node: n.Expr) -> bool:
    """Whether it is no word of `fails`, but comes to one, such as a member of a table's row."""
    if isinstance(node, n.Name):
        return node.name in walk.state.names or unit_of(walk).constant(node.name) is not None
    return not isinstance(node, (n.Text, n.BadExpr)) and not isinstance(node, _LITERALS)


def _as_text(param: ParamCard) -> ParamCard:
    return replace(param, types=(t.STRING,), symbols=())


def _without(node: n.Call, *gone: n.Argument | None) -> n.Call:
    """The call without arguments that are looked at by themselves."""
    return replace(node, args=tuple(arg for arg in node.args if not any(arg is each for each in gone)))


def _answers(walk: Walk, node: n.Expr) -> p.Expr | None:
    if not isinstance(node, n.ListValue) or not node.items or not all(isinstance(x, n.MapValue) for x in node.items):
        walk.error("wrong-type", node.span, "`sequence` takes a list of answers that are written out",
                   help="write it as in `sequence: [{ status: 503 }, { status: 200 }]`")  # fmt: skip
        return None
    made: list[p.Expr] = []
    for item in node.items:
        assert isinstance(item, n.MapValue)
        args = tuple(n.Argument(each.span, each.key, each.key_span, each.value) for each in item.entries)
        given, good = assign(walk, _ANSWER, args, item.span)
        values = {name: _of_answer(walk, _ANSWER.by_name[name], found[0].value) for name, found in given.items()}
        constants = {name: value.value for name, value in values.items() if isinstance(value, p.Const)}
        wrong = wrong_answer({**constants, **{param.name: None for param in ANSWER if param.name not in values}})
        if wrong is not None:
            walk.error("bad-literal", place_of(args, wrong) or item.span, wrong,
                       help="`pol explain stub` says what it takes")  # fmt: skip
        made.append(p.MapOf(item.span, t.MAP, False, tuple(values.items())) if good else unknown(item.span))
    if any(is_unknown(each) for each in made):
        return None
    return p.ListOf(node.span, t.LIST, False, tuple(made))


def _of_answer(walk: Walk, param: ParamCard, node: n.Expr) -> p.Expr:
    return argument(walk, _as_text(param) if param.name == "fails" and _worked_out(walk, node) else param, node)


# --- expect --------------------------------------------------------------------------------------


def _expect(walk: Walk, node: n.Call) -> p.Statement | None:
    given, good = assign(walk, _EXPECT, node.args, node.name_span)
    _no_more(walk, node)
    if not good:
        return None
    condition = given["condition"][0].value
    why: p.Expr = p.Const(node.span, t.NONE, False, None)
    if "why" in given:
        why = fit(walk, _EXPECT.by_name["why"], walk.value(given["why"][0].value), given["why"][0].value)
    made = [_expectation(walk, node, part, why) for part in _joined(condition)]
    names = present_names(condition, True)
    if names:
        narrow(walk.state, names)
    return made[0] if len(made) == 1 else p.Group(node.span, "all", p.Block(node.span, tuple(made)))


def _joined(node: n.Expr) -> Iterator[n.Expr]:
    if isinstance(node, n.Binary) and node.op == "and":
        yield from _joined(node.left)
        yield from _joined(node.right)
    else:
        yield node


def _expectation(walk: Walk, node: n.Call, part: n.Expr, why: p.Expr) -> p.Statement:
    expr = walk.value(part)
    boolean(walk, expr, part)
    sides = [_sides(*each) for each in _alternatives(expr, part)]
    values = {
        "condition": expr, "why": why, "left": p.ListOf(part.span, t.LIST, False, tuple(left for left, _, _ in sides)),
        "right": p.ListOf(part.span, t.LIST, False, tuple(right for _, right, _ in sides)),
        "how": p.Const(part.span, t.ANY, False, (part.span, tuple(how for _, _, how in sides))),
    }  # fmt: skip
    bound = tuple(p.Bound(param, values[param.name], "") for param in EXPECTATION.params)
    return p.Invoke(node.span, EXPECTATION, bound, (), None)


def _alternatives(expr: p.Expr, part: n.Expr) -> Iterator[tuple[p.Expr, n.Expr]]:
    if isinstance(part, n.Binary) and part.op == "or" and isinstance(expr, p.BinaryOp) and expr.op == "or":
        yield from _alternatives(expr.left, part.left)
        yield from _alternatives(expr.right, part.right)
    else:
        yield expr, part


def _sides(expr: p.Expr, part: n.Expr) -> tuple[p.Expr, p.Expr, Side]:
    """The sides of a comparison, or a condition and nothing."""
    nothing = p.Const(part.span, t.NONE, False, None)
    if isinstance(expr, p.BinaryOp) and isinstance(part, n.Binary) and expr.op in _COMPARISONS:
        written = isinstance(part.right, _LITERALS) or getattr(part.right, "literal", None) is not None
        return expr.left, expr.right, (expr.op, part.left.span.text, part.right.span.text, written)
    if isinstance(expr, p.UnaryOp) and isinstance(part, n.Unary) and expr.op == "not":
        return expr.operand, nothing, ("not", part.operand.span.text, "", False)
    return expr, nothing, ("", part.span.text, "", False)


# --- what tests do not have ----------------------------------------------------------------------


def check_group(walk: Walk, node: n.Group) -> p.Statement | None:
    from policylang.check.branches import check_group as plain

    if node.kind != "parallel":
        return plain(walk, node)
    of_policy(walk, _first_word(node.span, "parallel"), "parallel", "begin requests side by side with `together { … }`")
    return None


def _first_word(span: Span, word: str) -> Span:
    return Span(span.source, span.start, span.start + len(word))


def check_split(walk: Walk, node: n.Split) -> p.Statement | None:
    of_policy(walk, _first_word(node.span, "split"), "split", "say what is sent: a test leaves nothing to chance")
    return None


def check_respond(walk: Walk, node: n.Respond) -> p.Statement | None:
    cure = "say what an upstream answers: `stub orders, status: 200`"
    of_policy(walk, _first_word(node.span, "respond"), "respond", cure)
    return None


def check_fail(walk: Walk, node: n.Fail) -> p.Statement | None:
    of_policy(walk, _first_word(node.span, "fail"), "fail", "say what has to be true: `expect …, \"why\"`")
    return None


def check_set(walk: Walk, node: n.Set) -> p.Statement | None:
    return None if _of_message(walk, node.target, "set") else targets.check_set(walk, node)


def check_remove(walk: Walk, node: n.Remove) -> p.Statement | None:
    return None if _of_message(walk, node.target, "remove") else targets.check_remove(walk, node)


def _of_message(walk: Walk, node: n.Expr, verb: str) -> bool:
    while isinstance(node, (n.Member, n.Index)):
        node = node.base
    if not isinstance(node, n.Name) or node.name not in ("request", "response") or node.name in walk.state.names:
        return False
    walk.error("not-in-tests", node.span, f"a test cannot {verb} a part of `{node.name}`",
               help="say what is sent with the request, and what is answered with `stub`")  # fmt: skip
    return True


