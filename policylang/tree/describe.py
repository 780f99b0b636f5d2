"""The assertion tree as text: what `pol tree` prints.

One line for each statement, with its slots (`%0`), folded constants as their values, types of what is bound, and after
`;` what the compiler found out: that it waits, whose body it holds before, what a failed branch would take back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from policylang.check import program as p
from policylang.sdk.networks import Networks
from policylang.sdk.values import Duration, Rate, Size, Time, UpstreamName
from policylang.tree.build import run_of, word_of
from policylang.tree.facts import REQUEST, RESPONSE, needs, wants_request, writes
from policylang.tree.keys import prefix_of
from policylang.tree.tree import Tree
from policylang.tree.values import PRIVATE

_STEP = "    "
_LONGEST = 60
"""Characters of a constant that are shown."""
_BINDING = {"or": 1, "and": 2, "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "in": 4, "contains": 4,
            "starts_with": 4, "ends_with": 4, "matches": 4, "..": 5, "+": 6, "-": 6, "*": 7, "/": 7, "%": 7,
            "??": 8}  # fmt: skip


def describe(tree: Tree) -> str:
    """The whole tree, ending with a line break."""
    program = tree.program
    lines = [f"policy {program.hash}" if program.hash else "policy"]
    for word, blocks in (("global before", program.before), ("global after", program.after)):
        for block in blocks:
            lines += ["", word]
            lines += _lines(block.statements, 1, word == "global before")
    last = any(wants_request(each) for block in program.after for each in block.statements)
    for service in program.services:
        lines += ["", *_service(service, last)]
    return "\n".join(lines) + "\n"


def _service(service: p.Service, wanted: bool) -> Iterator[str]:
    parts = [f"service {service.name}", *[path.text for path in service.paths]]
    parts.append(" ".join(service.methods) if service.methods else "any method")
    if service.host:
        parts.append(f"host {service.host}")
    yield "  ".join(parts)
    if service.slot_names:
        slots = ", ".join(f"%{slot} {name}" for slot, name in enumerate(service.slot_names))
        yield f"{_STEP}slots {slots}"
    late = service.on_failure.statements if service.on_failure is not None else ()
    yield from _lines(service.body.statements, 1, wanted or any(wants_request(each) for each in late))
    if service.on_failure is not None:
        yield f"{_STEP}on failure"
        yield from _lines(late, 2, wanted)


def _lines(statements: Iterable[p.Statement], depth: int, wanted: bool) -> Iterator[str]:
    """`wanted`: the request's body is still read or sent after these."""
    listed = tuple(statements)
    for place, statement in enumerate(listed):
        later = wanted or any(wants_request(each) for each in listed[place + 1 :])
        yield from _statement(statement, depth, later)


def _statement(statement: p.Statement, depth: int, wanted: bool) -> Iterator[str]:
    head = _STEP * depth + _head(statement)
    notes = _notes(statement, wanted)
    yield f"{head}  ; {', '.join(notes)}" if notes else head
    if isinstance(statement, p.If):
        for place, (condition, block) in enumerate(statement.arms):
            if place:
                yield f"{_STEP * depth}else if {show(condition)}"
            yield from _lines(block.statements, depth + 1, wanted)
        if statement.orelse is not None:
            yield f"{_STEP * depth}else"
            yield from _lines(statement.orelse.statements, depth + 1, wanted)
    elif isinstance(statement, p.Match):
        for case in statement.cases:
            yield f"{_STEP * (depth + 1)}{', '.join(show(pattern) for pattern in case.patterns)} ->"
            yield from _lines(case.body.statements, depth + 2, wanted)
        if statement.orelse is not None:
            yield f"{_STEP * (depth + 1)}else ->"
            yield from _lines(statement.orelse.statements, depth + 2, wanted)
    elif isinstance(statement, p.Try):
        yield from _lines(statement.body.statements, depth + 1, wanted)
        yield f"{_STEP * depth}catch" + ("" if statement.slot is None else f" %{statement.slot}")
        yield from _lines(statement.handler.statements, depth + 1, wanted)
    elif isinstance(statement, p.Else):
        yield from _lines((statement.left,), depth + 1, wanted)
        yield f"{_STEP * depth}or else"
        yield from _lines(statement.right.statements, depth + 1, wanted)
    elif isinstance(statement, (p.Group, p.For, p.Expand)):
        yield from _lines(statement.body.statements, depth + 1, wanted)
    elif isinstance(statement, p.Invoke) and statement.block is not None:
        yield from _lines(statement.block.statements, depth + 1, wanted)


def _head(statement: p.Statement) -> str:
    word = word_of(statement)
    if isinstance(statement, p.Invoke):
        shown = [(bound.param.name, show(bound.value)) for bound in statement.args]
        arguments = ", ".join(f"{name}: {text}" for name, text in shown if text != "none")
        outputs = [
            "_" if slot is None else f"%{slot}: {kind}"
            for slot, kind in zip(statement.outputs, statement.card.outputs.values(), strict=False)
        ]
        taken = f" -> {', '.join(outputs)}" if any(output != "_" for output in outputs) else ""
        return f"{word} {arguments}".rstrip() + taken
    if isinstance(statement, p.Expand):
        arguments = ", ".join(f"%{slot} = {show(value)}" for slot, value in statement.arguments)
        outputs = [f"%{outer} = %{inner}" for inner, outer in statement.outputs]
        return f"{word} {arguments}".rstrip() + (f" -> {', '.join(outputs)}" if outputs else "")
    if isinstance(statement, p.Require):
        return f"require {show(statement.condition)}"
    if isinstance(statement, p.Let):
        mark = "?" if statement.optional else ""
        return f"let %{statement.slot} {statement.name}{mark}: {statement.value.type} = {show(statement.value)}"
    if isinstance(statement, p.SetPlace):
        return f"set {_place(statement.place)} = {show(statement.value)}"
    if isinstance(statement, p.RemovePlace):
        return f"remove {_place(statement.place)}"
    if isinstance(statement, p.If):
        return f"if {show(statement.arms[0][0])}"
    if isinstance(statement, p.Split):
        return word if _drawn(statement) else f"{word} by: {show(statement.subject)}"
    if isinstance(statement, p.Match):
        return f"match {show(statement.subject)}"
    if isinstance(statement, p.For):
        return f"for %{statement.slot} {statement.name} in {show(statement.iterable)}"
    if isinstance(statement, p.Respond):
        parts = [show(statement.status)]
        for name, expr in (("body", statement.body), ("json", statement.json), ("type", statement.content_type)):
            if expr is not None:
                parts.append(f"{name}: {show(expr)}")
        parts += [f"{name}: {show(expr)}" for name, expr in statement.headers]
        return "respond " + ", ".join(parts)
    if isinstance(statement, p.Fail):
        detail = "" if statement.detail is None else f", {show(statement.detail)}"
        name = f", name: {statement.name}" if statement.name else ""
        return f"fail {show(statement.status)}{detail}{name}"
    return word


def _notes(statement: p.Statement, wanted: bool) -> list[str]:
    notes = []
    _, waits = run_of((statement,), wanted)
    if waits:
        notes.append("may wait")
    held = needs(statement)
    if isinstance(statement, p.Invoke) and statement.card.answers and wanted:
        held |= REQUEST
    for bit, name in ((REQUEST, "request"), (RESPONSE, "response")):
        if held & bit:
            notes.append(f"holds the {name}'s body")
    if (isinstance(statement, p.Group) and statement.kind in ("any", "none")) or isinstance(statement, p.Try):
        notes += _undone(statement.body.statements)
    elif isinstance(statement, p.Else):
        notes += _undone((statement.left,))
    if isinstance(statement, p.Split) and not _drawn(statement):
        notes.append(f"decision {prefix_of(statement.counter).hex()}")
    if isinstance(statement, p.Invoke) and any(kind.name == "key" for b in statement.args for kind in b.param.types):
        notes.append(f"counter {prefix_of(statement.counter).hex()}")
    return notes


def _drawn(statement: p.Split) -> bool:
    return isinstance(statement.subject, p.Const) and statement.subject.value is None


def _undone(statements: Iterable[p.Statement]) -> list[str]:
    found = writes(*statements)
    names = [name for name in ("request", "response", "user") if getattr(found, name)]
    names += [f"%{slot}" for slot in sorted(found.slots)]
    return [f"takes back {' '.join(names)}"] if names else []


def _place(place: p.Place) -> str:
    if isinstance(place, p.SlotPlace):
        return f"%{place.slot}"
    if isinstance(place, p.FieldPlace):
        return f"{place.message}.{place.field}"
    return f"{place.message}.{place.kind}[{show(place.key)}]"


# --- expressions ---


def show(expr: p.Expr, within: int = 0) -> str:
    """`within`: how tightly what stands around it binds."""
    if isinstance(expr, p.Const):
        return PRIVATE if expr.private else show_value(expr.value)
    if isinstance(expr, p.SlotRef):
        return f"%{expr.slot}"
    if isinstance(expr, p.MessageRef):
        return expr.message
    if isinstance(expr, p.MessageField):
        return f"{expr.message}.{expr.field}"
    if isinstance(expr, p.Named):
        text = f"{expr.message}.{expr.kind}[{show(expr.key)}]"
        return f"all({text})" if expr.all else text
    if isinstance(expr, p.ContextValue):
        return f"{expr.root}.{expr.field}" if expr.field else expr.root
    if isinstance(expr, p.MemberOf):
        key = expr.key
        if isinstance(key, p.Const) and isinstance(key.value, str) and key.value.isidentifier():
            return f"{show(expr.base, 9)}.{key.value}"
        return f"{show(expr.base, 9)}[{show(key)}]"
    if isinstance(expr, p.UnaryOp):
        return f"not {show(expr.operand, 3)}" if expr.op == "not" else f"-{show(expr.operand, 9)}"
    if isinstance(expr, p.BinaryOp):
        own = _BINDING.get(expr.op, 4)
        gap = "" if expr.op == ".." else " "
        text = f"{show(expr.left, own)}{gap}{expr.op}{gap}{show(expr.right, own + 1)}"
        return f"({text})" if own < within else text
    if isinstance(expr, p.IfExpr):
        return f"(if {show(expr.condition)} then {show(expr.then)} else {show(expr.orelse)})"
    if isinstance(expr, p.ListOf):
        return "[" + ", ".join(show(item) for item in expr.items) + "]"
    if isinstance(expr, p.MapOf):
        return "{ " + ", ".join(f"{_text(key)}: {show(value)}" for key, value in expr.entries) + " }"
    if isinstance(expr, p.Template):
        parts = [_escaped(part) if isinstance(part, str) else "${" + show(part) + "}" for part in expr.parts]
        return '"' + "".join(parts) + '"'
    if isinstance(expr, p.FunctionCall):
        if expr.card.group == "argument":  # only a check of its type, which nobody has written
            return show(expr.args[0], within)
        return f"{expr.card.name}({', '.join(show(arg) for arg in expr.args)})"
    raise TypeError(f"no text for {expr!r}")


def show_value(value: Any) -> str:
    """A constant as a policy would write it, long ones shortened."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (int, float, Duration, Size, Rate, Time)):
        return str(value)
    if isinstance(value, UpstreamName):
        return value.name
    if isinstance(value, Networks):
        return "networks"
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    if isinstance(value, dict):
        return f"map of {len(value)}"
    if isinstance(value, (list, tuple)):
        text = "[" + ", ".join(show_value(each) for each in value) + "]"
        return text if len(text) <= _LONGEST else f"list of {len(value)}"
    return type(value).__name__


def _text(value: str) -> str:
    shown = value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    return f'"{_escaped(shown)}"'


def _escaped(value: str) -> str:
    """On one line, whatever it holds."""
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


__all__ = ["describe", "show"]
