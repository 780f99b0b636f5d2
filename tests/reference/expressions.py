"""Expressions, evaluated straight from the syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from reference import values as v
from reference.message import Message, Request, Response, single
from reference.values import Failing, Interval, Known
from reference.walk import walk

from policylang.catalog import load_catalog
from policylang.sdk.card import FunctionCard, ParamCard
from policylang.sdk.outcome import Failed
from policylang.sdk.patterns import compile_pattern
from policylang.sdk.values import Duration, Ip, Principal, Rate, Size, Time
from policylang.source import Source
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse

if TYPE_CHECKING:
    from reference.interpreter import Evaluation

BODY_WORDS = {"text", "json", "xml", "body", "size"}
PRIVATE_HEADERS = {"authorization", "proxy-authorization", "cookie", "set-cookie"}
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


class Table:
    """`request.header`, `.query`, `.cookie`: looked up by name."""

    def __init__(self, message: Message, what: str) -> None:
        self.message = message
        self.what = what

    def one(self, name: str) -> Known:
        if self.what == "header":
            return Known(self.message.header(name), name.lower() in PRIVATE_HEADERS)
        assert isinstance(self.message, Request)
        if self.what == "query":
            return Known(single(self.message.query(), name))
        return Known(single(self.message.cookies(), name), True)

    def every(self, name: str) -> Known:
        if self.what == "header":
            return Known(self.message.header_values(name), name.lower() in PRIVATE_HEADERS)
        assert isinstance(self.message, Request)
        pairs = self.message.query() if self.what == "query" else self.message.cookies()
        return Known([value for known, value in pairs if known == name], self.what == "cookie")


class Record:
    """A context variable with named parts."""

    def __init__(self, parts: dict[str, Known]) -> None:
        self.parts = parts


def evaluate(expr: n.Expr, at: Evaluation) -> Known:
    """Raises Failing."""
    match expr:
        case n.Text():
            return _text(expr, at)
        case n.Number() | n.Bool():
            return Known(expr.value)
        case n.NoneValue():
            return Known(None)
        case n.DurationValue():
            return Known(Duration(expr.amount * SECONDS[expr.unit]))
        case n.SizeValue():
            return Known(Size(int(expr.amount * BYTES[expr.unit])))
        case n.RateValue():
            return Known(Rate(expr.count, expr.unit))
        case n.Name():
            return _name(expr, at)
        case n.Member():
            return _member(evaluate(expr.base, at), Known(expr.name))
        case n.Index():
            base = evaluate(expr.base, at)
            return _member(base, evaluate(expr.key, at))
        case n.Unary():
            operand = evaluate(expr.operand, at)
            if expr.op == "not":
                return Known(not v.boolean(operand.value), operand.private)
            if v.kind_of(operand.value) != "number":
                raise v.wrong_type(f"-{v.kind_of(operand.value)}")
            return Known(-operand.value, operand.private)
        case n.Binary():
            return _binary(expr, at)
        case n.Conditional():
            condition = evaluate(expr.condition, at)
            taken = evaluate(expr.then if v.boolean(condition.value) else expr.orelse, at)
            return Known(taken.value, taken.private or condition.private)
        case n.ListValue():
            items = [evaluate(item, at) for item in expr.items]
            return Known([plain(item.value) for item in items], any(item.private for item in items))
        case n.MapValue():
            entries = {entry.key: evaluate(entry.value, at) for entry in expr.entries}
            private = any(entry.private for entry in entries.values())
            return Known({name: plain(entry.value) for name, entry in entries.items()}, private)
        case n.CallExpr():
            return _call(expr, at)
    raise AssertionError(f"no meaning for {expr!r}")


def _text(expr: n.Text, at: Evaluation) -> Known:
    text, private = "", False
    for part in expr.parts:
        if isinstance(part, str):
            text += part
        else:
            known = evaluate(part, at)
            text += v.as_text(known.value)
            private = private or known.private
    return Known(text, private)


def _name(expr: n.Name, at: Evaluation) -> Known:
    name = expr.name
    if name in at.variables:
        return at.variables[name]
    if name in at.policy.constants:
        return at.policy.constants[name]
    match name:
        case "request" | "response":
            message = at.state.request if name == "request" else at.state.response
            return Known(message)
        case "user":
            return Known(at.state.user)
        case "path":
            return Known(dict(at.captures))
        case "client":
            return Known(Record({"ip": Known(Ip(at.client_ip)), "port": Known(at.client_port), "cert": Known(None)}))
        case "service":
            return Known(Record({"name": Known(at.service_name)}))
        case "gateway":
            return Known(Record({
                "name": Known(at.world.name), "version": Known(at.world.version), "node": Known(at.world.node),
            }))  # fmt: skip
        case "now":
            return Known(Time(at.world.wall()))
    raise AssertionError(f"`{name}` is unset: {expr.span}")


def _member(base: Known, key: Known) -> Known:
    private = base.private or key.private
    match base.value:
        case Record():
            part = base.value.parts[key.value]
            return Known(part.value, private or part.private)
        case Principal():
            return Known(list(base.value.roles) if key.value == "roles" else getattr(base.value, key.value), private)
        case Table():
            if key.value is None:
                raise v.missing_value("none is no name")
            if not isinstance(key.value, str):
                raise v.wrong_type("a name is a string")
            found = base.value.one(key.value)
            return Known(found.value, private or found.private)
        case Message():
            return _message_member(base.value, key.value)
    return Known(v.member(base.value, key.value), private)


def _message_member(message: Message, name: str) -> Known:
    match name:
        case "header" | "query" | "cookie":
            return Known(Table(message, name))
        case "json":
            return Known(message.json())
        case "text":
            return Known(message.text())
        case "xml":
            return Known(message.xml())
        case "body":
            return Known(message.decoded())
        case "size":
            return Known(Size(len(message.body)))
        case "content_type":
            return Known(message.content_type())
        case "bearer":
            assert isinstance(message, Request)
            return Known(message.bearer(), True)
    return Known(getattr(message, name))


def _binary(expr: n.Binary, at: Evaluation) -> Known:
    op = expr.op
    left = evaluate(expr.left, at)
    if op == "??":
        if left.value is not None:
            return left
        right = evaluate(expr.right, at)
        return Known(right.value, left.private or right.private)
    if op in ("and", "or"):
        if v.boolean(left.value) is (op == "or"):
            return left
        right = evaluate(expr.right, at)
        return Known(v.boolean(right.value), left.private or right.private)
    right = evaluate(expr.right, at)
    return Known(_operate(op, left.value, right.value), left.private or right.private)


def _operate(op: str, left: Any, right: Any) -> Any:
    match op:
        case "==":
            return v.equal(left, right)
        case "!=":
            return not v.equal(left, right)
        case "<" | "<=" | ">" | ">=":
            return v.ordered(op, left, right)
        case "+" | "-" | "*" | "/" | "%":
            return v.calculate(op, left, right)
        case "..":
            if v.kind_of(left) != "number" or v.kind_of(right) != "number":
                raise v.wrong_type("a range is between numbers")
            return Interval(left, right)
        case "in":
            return v.is_in(left, right)
        case "contains":
            if isinstance(left, str) and isinstance(right, str):
                return right in left
            if v.kind_of(left) == "list":
                return any(v.same(each, right) for each in left)
            raise v.wrong_type(f"{v.kind_of(left)} contains")
    if v.kind_of(left) != "string" or v.kind_of(right) != "string":
        raise v.wrong_type(f"{v.kind_of(left)} {op} {v.kind_of(right)}")
    match op:
        case "starts_with":
            return left.startswith(right)
        case "ends_with":
            return left.endswith(right)
        case "matches":
            return compile_pattern(right).search(left) is not None
    raise AssertionError(op)


def _call(expr: n.CallExpr, at: Evaluation) -> Known:
    if expr.name == "all":
        return _every(expr.args[0].value, at)
    if expr.name == "map":
        name = evaluate(expr.args[0].value, at).value
        return Known(at.policy.maps[name])
    if expr.name == "reveal":
        return Known(evaluate(expr.args[0].value, at).value)
    card = load_catalog().functions[expr.name]
    given: dict[str, Known] = {}
    for position, argument in enumerate(expr.args):
        name = argument.name or card.params[position].name
        given[name] = evaluate(argument.value, at)
    arguments: list[Any] = []
    private = False
    fault: int | None = None
    for param in card.params:
        known = given.get(param.name)
        if known is None:
            arguments.append(_default(param))
            continue
        value = known.value
        if isinstance(value, Message):
            fault = value.fault
            value = value.text() if expr.name == "xpath" else value.json()
        else:
            value = v.check_fit(value, tuple(t.name for t in param.types), param.accepts_none, param.name)
        arguments.append(value)
        private = private or known.private
    return Known(_apply(card, arguments, fault), private)


def _apply(card: FunctionCard, arguments: list[Any], fault: int | None) -> Any:
    try:
        return card.call(*arguments)
    except Failed as failed:
        failing = Failing(failed.failure.name, fault or failed.failure.status, failed.failure.detail, kind="error")
        failing.blames_expression = fault is None  # a message that cannot be read is to blame itself
        raise failing from None
    except Exception as error:
        raise Failing("defect", 500, repr(error), kind="defect") from None


def _default(param: ParamCard) -> Any:
    return None if param.default is None else constant_text(param.default)


def _every(expr: n.Expr, at: Evaluation) -> Known:
    """`all(request.query.x)`: every value of a name."""
    if isinstance(expr, n.Member):
        base, key = evaluate(expr.base, at), Known(expr.name)
    else:
        assert isinstance(expr, n.Index)
        base, key = evaluate(expr.base, at), evaluate(expr.key, at)
    return Known([]) if base.value is None else base.value.every(key.value)


@cache
def constant_text(text: str) -> Any:
    """A default, written in a card as `.pol` text."""
    file, found = parse(Source("default", f"let x = {text}\n"))
    assert not found, found
    constant = file.declarations[0]
    assert isinstance(constant, n.Constant)
    return evaluate(constant.value, NOWHERE).value


class _Nowhere:
    """Where constants are worked out: no message, no names."""

    variables: dict[str, Known] = {}


NOWHERE: Any = _Nowhere()


def plain(value: Any) -> Any:
    """Inside lists and maps everything is JSON or a value of its own."""
    return list(value) if isinstance(value, tuple) else value


def inside(exprs: tuple[n.Expr, ...]) -> Iterator[n.Expr]:
    """Expressions and all that stands in them."""
    return (node for node in walk(exprs) if isinstance(node, n.Expr))


def optional_parts(exprs: tuple[n.Expr, ...]) -> Iterator[n.Expr]:
    """What may be left out when these are worked out."""
    for expr in inside(exprs):
        if isinstance(expr, n.Binary) and expr.op in ("??", "and", "or"):
            yield expr.right
        elif isinstance(expr, n.Conditional):
            yield from (expr.then, expr.orelse)


def reads_message(exprs: tuple[n.Expr, ...], name: str) -> bool:
    return any(isinstance(e, n.Name) and e.name == name for e in inside(exprs))


def reads_body(exprs: tuple[n.Expr, ...], name: str, perhaps: bool = False) -> bool:
    """Whether some part of these reads the body of `request` or `response`; `perhaps`: one that may be left out."""
    if perhaps:
        return reads_body(tuple(optional_parts(exprs)), name)
    whole = set()
    for e in inside(exprs):
        if isinstance(e, n.Member) and isinstance(e.base, n.Name) and e.base.name == name:
            if e.name in BODY_WORDS:
                return True
            whole.add(id(e.base))
    return any(isinstance(e, n.Name) and e.name == name and id(e) not in whole for e in inside(exprs))


__all__ = ["NOWHERE", "Record", "Response", "evaluate", "inside", "reads_body", "reads_message"]
