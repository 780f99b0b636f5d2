"""Expressions become Python functions of the exchange.

Each is written as source once and compiled; constants are passed in, so that equal shapes share one code object and
no text of a policy ever stands in source. What the static types leave open is checked by the functions of `values`.
The functions refer to nothing but constants and this module's vocabulary: they are in no reference cycle.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from policylang.check import program as p
from policylang.sdk import static_types as t
from policylang.sdk.exchange import Exchange
from policylang.sdk.networks import Networks
from policylang.sdk.outcome import Failed
from policylang.sdk.patterns import compile_pattern
from policylang.sdk.values import Ip, Known, Size, Time
from policylang.tree import arithmetic
from policylang.tree import values as v
from policylang.tree.facts import REQUEST, RESPONSE, touches
from policylang.tree.outcome import at_502, copied, masked

Function = Callable[[Exchange], Any]

_DEEPEST = 24
"""Levels of one source; what lies deeper gets a function of its own (Python's parser has a limit of 200 brackets)."""

_VOCABULARY: dict[str, Any] = {
    name: getattr(module, name)
    for module, names in (
        (arithmetic, "add divide modulo multiply negate subtract"),
        (v, "attribute contains cookie_values ends_with equal failure_member greater greater_or_equal less"
            " less_or_equal matches member operand present principal_member query_values range_of same_secret"
            " starts_with string_of text_contains text_of truth within"),
    )
    for name in names.split()
} | {"Failed": Failed, "Size": Size, "Time": Time, "at_502": at_502, "masked": masked}  # fmt: skip

_PLAIN = """
def make({constants}):
    def expression(x):
        return {source}
    return expression
"""
_GUARDED = """
def make({constants}):
    def expression(x):
        try:
            return {source}
        except Failed as error:
            raise {blame} from None
    return expression
"""
_COMPARISONS = {"<": "less", "<=": "less_or_equal", ">": "greater", ">=": "greater_or_equal"}
_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}
_TEXT = {"starts_with": "starts_with", "ends_with": "ends_with"}
_SIMPLE = frozenset({"string", "number", "boolean", "duration", "size", "rate", "time"})
_FIELDS = {name: frozenset(t.RECORDS[name]) for name in ("request", "response")}
_CONTEXT = {
    ("client", "ip"): "x.client.ip", ("client", "port"): "x.client.port", ("client", "cert"): "x.client.cert",
    ("user", ""): "x.user", ("failure", ""): "x.failure", ("now", ""): "Time(x.environment.clock.wall())",
    ("service", "name"): "x.service", ("gateway", "name"): "x.environment.name",
    ("gateway", "version"): "x.environment.version", ("gateway", "node"): "x.environment.node",
}  # fmt: skip


@lru_cache(maxsize=65536)
def _maker(source: str) -> Callable[..., Function]:
    found: dict[str, Any] = {}
    exec(compile(source, "<expression>", "exec"), _VOCABULARY, found)
    maker: Callable[..., Function] = found["make"]
    return maker


def compiled(expr: p.Expr) -> Function:
    """The function that works an expression out. Raises Failed when it is called and the value cannot be had."""
    return Source(expr).function()


def convert(expr: p.Expr, by: Callable[[Any], Any]) -> Function:
    """As `compiled`, and what comes out goes through `by`."""
    source = Source(expr)
    source.text = f"{source.constant(by)}({source.text})"
    return source.function()


def condition(expr: p.Expr) -> Callable[[Exchange], bool]:
    source = Source(expr, empty=True)
    source.text = source.truth(expr, 0)
    return source.function()


def fixed(work: Callable[[], Any]) -> Function:
    """A value that no message changes, worked out now; where that fails, every message does."""
    try:
        value = work()
    except Failed as failed:
        failure = failed.failure

        def fail(exchange: Exchange) -> Any:
            raise Failed(copied(failure))

        return fail
    return Known(value)


def guarded(expr: p.Expr, function: Function, also_request: bool = False) -> Function:
    """`function` uses the expression's value: one that does not fit is the upstream's fault if it was read there.

    `also_request`: what cannot be read of the request stays the client's.
    """
    reads = touches(expr)
    if not reads & RESPONSE:
        return function
    of_request = also_request or bool(reads & REQUEST)

    def run(exchange: Exchange) -> Any:
        try:
            return function(exchange)
        except Failed as failed:
            raise at_502(failed, of_request) from None

    return run


class Source:
    """The Python source of one expression, as it grows."""

    __slots__ = ("_constants", "_temporaries", "expr", "text")

    def __init__(self, expr: p.Expr, *, empty: bool = False) -> None:
        self._constants: list[Any] = []
        self._temporaries = 0
        self.expr = expr
        self.text = "" if empty else self.of(expr, 0)

    def function(self) -> Function:
        names = ", ".join(f"k{number}" for number in range(len(self._constants)))
        reads = touches(self.expr)
        blame = "error"
        if reads & RESPONSE:
            blame = f"at_502({blame}, {bool(reads & REQUEST)})"
        if self.expr.private:
            blame = f"masked({blame}, '[private]')"
        frame = _PLAIN if blame == "error" else _GUARDED
        return _maker(frame.format(constants=names, source=self.text, blame=blame))(*self._constants)

    def constant(self, value: Any) -> str:
        self._constants.append(value)
        return f"k{len(self._constants) - 1}"

    def temporary(self) -> str:
        self._temporaries += 1
        return f"t{self._temporaries}"

    def of(self, expr: p.Expr, depth: int) -> str:
        if depth > _DEEPEST and not isinstance(expr, p.Const):
            return f"{self.constant(compiled(expr))}(x)"
        return _FORMS[type(expr)](self, expr, depth + 1)

    # --- what an expression must be ---

    def truth(self, expr: p.Expr, depth: int) -> str:
        text = self.of(expr, depth)
        return text if _surely(expr, "boolean") else f"truth({text})"

    def string(self, expr: p.Expr, depth: int) -> str:
        text = self.of(expr, depth)
        return text if _surely(expr, "string", "ip") else f"string_of({text})"

    def given(self, expr: p.Expr, word: str, depth: int) -> str:
        """A value that may not be none."""
        text = self.of(expr, depth)
        return f"present({text}, {self.constant(word)})" if expr.type.optional else text


def _surely(expr: p.Expr, *kinds: str) -> bool:
    return expr.type.name in kinds and not expr.type.optional


def _const(source: Source, expr: p.Const, depth: int) -> str:
    if expr.value is None or expr.value is True or expr.value is False:
        return repr(expr.value)
    return source.constant(expr.value)


def _slot(source: Source, expr: p.SlotRef, depth: int) -> str:
    return f"x.slots[{expr.slot:d}]"


def _message(source: Source, expr: p.MessageRef, depth: int) -> str:
    return "x.response" if expr.message == "response" else "x.request"


def _field(source: Source, expr: p.MessageField, depth: int) -> str:
    if expr.field not in _FIELDS[expr.message]:
        raise ValueError(f"a {expr.message} has no {expr.field}")
    text = f"x.{expr.message}.{'decoded' if expr.field == 'body' else expr.field}"
    if expr.field == "size":
        text = f"Size({text})"
    if expr.message == "response" and expr.type.optional and expr.field != "content_type":
        return f"(None if x.response is None else {text})"
    if expr.message == "response" and expr.field == "content_type":
        return "(None if x.response is None else x.response.content_type)"
    return text


def _named(source: Source, expr: p.Named, depth: int) -> str:
    if expr.kind == "header":
        if isinstance(expr.key, p.Const):
            key = source.constant(str(expr.key.value).lower().encode("utf-8", "surrogateescape"))
        else:
            key = f"{source.string(expr.key, depth)}.lower().encode('utf-8', 'surrogatepass')"
        look_up = f"x.{expr.message}.header_values({key})" if expr.all else f"x.{expr.message}.header({key})"
        if expr.message == "response":  # `on failure` may be there before one
            return f"({'[]' if expr.all else 'None'} if x.response is None else {look_up})"
        return look_up
    key = source.string(expr.key, depth)
    if expr.kind == "query":
        return f"query_values(x.request, {key})" if expr.all else f"x.request.query_value({key})"
    return f"cookie_values(x.request, {key})" if expr.all else f"x.request.cookie({key})"


def _context(source: Source, expr: p.ContextValue, depth: int) -> str:
    found = _CONTEXT.get((expr.root, expr.field))
    if found is not None:
        return found
    field = source.constant(expr.field)
    if expr.root == "path":
        return f"x.path[{field}]"
    if expr.root == "user":
        return "(None if x.user is None else x.user.id)" if expr.field == "id" else f"principal_member(x.user, {field})"
    if expr.root == "failure":
        return f"failure_member(x.failure, {field})"
    if expr.root == "test":  # of a test's own exchange, whose environment is policylang.testing.world.World
        return f"x.environment.told({field})"
    raise ValueError(f"{expr.root} has no {expr.field}")


def _member(source: Source, expr: p.MemberOf, depth: int) -> str:
    base = source.of(expr.base, depth)
    key = source.of(expr.key, depth)
    kind = expr.base.type.name
    if kind in ("certificate", "answer", "call"):
        return f"attribute({base}, {key})"
    if kind in ("json", "map") and isinstance(expr.key, p.Const) and expr.key.value.__class__ is str:
        name = source.temporary()
        return f"({name}.get({key}) if ({name} := {base}).__class__ is dict else member({name}, {key}))"
    return f"member({base}, {key})"


def _unary(source: Source, expr: p.UnaryOp, depth: int) -> str:
    if expr.op == "not":
        return f"(not {source.truth(expr.operand, depth)})"
    text = source.of(expr.operand, depth)
    return f"(-{text})" if _surely(expr.operand, "number") else f"negate({text})"


def _binary(source: Source, expr: p.BinaryOp, depth: int) -> str:
    op = expr.op
    if op == "and" or op == "or":
        return f"({source.truth(expr.left, depth)} {op} {source.truth(expr.right, depth)})"
    if op == "??":
        name = source.temporary()
        left = source.of(expr.left, depth)
        return f"({source.of(expr.right, depth)} if ({name} := {left}) is None else {name})"
    if op == "==" or op == "!=":
        return _equality(source, expr, depth)
    if op in _COMPARISONS:
        left, right = source.of(expr.left, depth), source.of(expr.right, depth)
        if expr.left.type.name in ("string", "number") and _alike(expr):
            return f"({left} {op} {right})"
        return f"{_COMPARISONS[op]}({left}, {right})"
    if op == "..":
        return f"range_of({source.of(expr.left, depth)}, {source.of(expr.right, depth)})"
    if op in _ARITHMETIC:
        return f"{_ARITHMETIC[op]}({source.of(expr.left, depth)}, {source.of(expr.right, depth)})"
    if op == "matches":
        return _matches(source, expr, depth)
    if op in _TEXT:
        left, right = source.of(expr.left, depth), source.of(expr.right, depth)
        if _surely(expr.left, "string") and _surely(expr.right, "string"):
            return f"{left}.{op.replace('_', '')}({right})"
        return f"{_TEXT[op]}({left}, {right})"
    if op == "in":
        return _in(source, expr.left, expr.right, depth)
    if op == "contains":
        if expr.left.type.name == "string":
            return f"text_contains({source.of(expr.left, depth)}, {source.of(expr.right, depth)})"
        return f"contains({source.of(expr.left, depth)}, {source.of(expr.right, depth)})"
    raise ValueError(f"no operator {op}")


def _alike(expr: p.BinaryOp) -> bool:
    return (
        expr.left.type.name == expr.right.type.name and not expr.left.type.optional and not expr.right.type.optional
    )


def _equality(source: Source, expr: p.BinaryOp, depth: int) -> str:
    left, right, negated = expr.left, expr.right, expr.op == "!="
    for side, other in ((left, right), (right, left)):
        if isinstance(side, p.Const) and side.value is None:
            return f"({source.of(other, depth)} is {'not ' if negated else ''}None)"
    a, b = left.type.name, right.type.name
    if expr.private and a in ("string", "json") and b in ("string", "json"):
        text = f"same_secret({source.of(left, depth)}, {source.of(right, depth)})"
        return f"(not {text})" if negated else text
    if "ip" in (a, b):
        for side, other in ((left, right), (right, left)):
            if isinstance(side, p.Const):
                found = side.value if isinstance(side.value, Networks) else Networks((side.value,))
                return f"({source.of(other, depth)} {'not ' if negated else ''}in {source.constant(found)})"
    if a == b and a in _SIMPLE:
        return f"({source.of(left, depth)} {expr.op} {source.of(right, depth)})"
    for side, other in ((left, right), (right, left)):
        if isinstance(side, p.Const) and side.value.__class__ is str and other.type.name == "json":
            # The usual question to JSON: a text, and is it this one?
            name, wanted = source.temporary(), source.constant(side.value)
            text = source.of(other, depth)
            return (
                f"({name} {expr.op} {wanted} if ({name} := {text}).__class__ is str"
                f" else {'not ' if negated else ''}equal({name}, {wanted}))"
            )
    text = f"equal({source.of(left, depth)}, {source.of(right, depth)})"
    return f"(not {text})" if negated else text


def _in(source: Source, item: p.Expr, container: p.Expr, depth: int) -> str:
    text = source.of(item, depth)
    if isinstance(container, p.Const):
        value = container.value
        if isinstance(value, Networks):
            return f"({text} in {source.constant(value)})"
        if isinstance(value, tuple) and container.type.name == "range":
            return f"within({text}, {source.constant(v.Between(*value))})"
        if isinstance(value, (list, tuple)) and all(each.__class__ is str for each in value):
            if _surely(item, "string"):
                return f"({text} in {source.constant(frozenset(value))})"
        elif isinstance(value, dict) and _surely(item, "string"):
            return f"({text} in {source.constant(value)})"
    if item.type.name == "number" and isinstance(container, p.BinaryOp) and container.op == "..":
        low, high = container.left, container.right
        if _surely(item, "number") and _surely(low, "number") and _surely(high, "number"):
            return f"({source.of(low, depth)} <= {text} <= {source.of(high, depth)})"
    return f"within({text}, {source.of(container, depth)})"


def _matches(source: Source, expr: p.BinaryOp, depth: int) -> str:
    right = expr.right
    if isinstance(right, p.Const):
        pattern = compile_pattern(right.value) if isinstance(right.value, str) else right.value
        return f"({source.constant(v.searcher(pattern))}({_operand(source, expr.left, depth)}) is not None)"
    return f"matches({source.of(expr.left, depth)}, {source.of(right, depth)})"


def _operand(source: Source, expr: p.Expr, depth: int) -> str:
    text = source.of(expr, depth)
    return text if _surely(expr, "string") else f"operand({text})"


def _if(source: Source, expr: p.IfExpr, depth: int) -> str:
    test = source.truth(expr.condition, depth)
    return f"({source.of(expr.then, depth)} if {test} else {source.of(expr.orelse, depth)})"


def _list(source: Source, expr: p.ListOf, depth: int) -> str:
    return "[" + ", ".join(source.of(item, depth) for item in expr.items) + "]"


def _map(source: Source, expr: p.MapOf, depth: int) -> str:
    return "{" + ", ".join(f"{source.constant(key)}: {source.of(item, depth)}" for key, item in expr.entries) + "}"


def _template(source: Source, expr: p.Template, depth: int) -> str:
    parts = [_part(source, part, depth) for part in expr.parts]
    if len(parts) == 2:
        return f"({parts[0]} + {parts[1]})"
    return '"".join((' + ", ".join(parts) + ",))"


def _part(source: Source, part: str | p.Expr, depth: int) -> str:
    if isinstance(part, str):
        return source.constant(part)
    text = source.of(part, depth)
    return text if _surely(part, "string", "ip") else f"text_of({text})"


def _call(source: Source, expr: p.FunctionCall, depth: int) -> str:
    card = expr.card
    call = card.call
    if card.prepare is not None:
        pairs = zip(card.params, expr.args, strict=True)
        call = card.prepare({param.name: arg.value for param, arg in pairs if isinstance(arg, p.Const)})
    name = source.constant(call)
    arguments = [
        taken(source, arg, param, f"`{param.name}` of `{card.name}`", depth)
        for param, arg in zip(card.params, expr.args, strict=True)
    ]
    return f"{name}({', '.join(arguments)})"


def taken(source: Source, expr: p.Expr, param: Any, word: str, depth: int) -> str:
    """An argument, checked for what its static type leaves open."""
    text = source.of(expr, depth)
    if isinstance(expr, p.Const):
        return text
    kinds = frozenset(kind.name for kind in param.types)
    accepts_none = param.accepts_none or "none" in kinds
    if expr.type.name not in ("json", "any") or kinds & {"json", "any"}:
        if not expr.type.optional or accepts_none:
            return text
        return f"present({text}, {source.constant(word)})"
    return f"{source.constant(v.taker(kinds, accepts_none, word))}({text})"


_FORMS: dict[type, Callable[[Source, Any, int], str]] = {
    p.Const: _const, p.SlotRef: _slot, p.MessageRef: _message, p.MessageField: _field, p.Named: _named,
    p.ContextValue: _context, p.MemberOf: _member, p.UnaryOp: _unary, p.BinaryOp: _binary, p.IfExpr: _if,
    p.ListOf: _list, p.MapOf: _map, p.Template: _template, p.FunctionCall: _call,
}  # fmt: skip

__all__ = ["Function", "Ip", "Source", "compiled", "condition", "convert", "fixed", "taken"]
