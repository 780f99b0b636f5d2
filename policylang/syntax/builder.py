"""One method for each node that the grammar names: token numbers and children in, frozen nodes out.

Every method gets the number of its first token, the number one past its last, and the values of the
symbols that the grammar keeps (None where an optional one was not written).
"""

from __future__ import annotations

import re
from typing import Any

from policylang.diagnostics import Diagnostic, Edit, Fix
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax import strings
from policylang.syntax import words as w
from policylang.syntax.lexer import Tokens

# How deep an expression, or a chain of `else`, may become: what walks the tree recurses.
DEPTH_LIMIT = 64
# Longer numbers than any counter, size or identifier has.
DIGITS_LIMIT = 40

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake_case(name: str) -> str:
    return _CAMEL.sub("_", name).lower()


class Builder:
    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.source: Source = tokens.source
        self.found = tokens.found
        # How deep each composite expression is, by its identity.
        self.depths: dict[int, int] = {}
        self.measured: list[n.Node] = []
        self.too_deep: set[int] = set()
        self._comment_lines: dict[int, str] | None = None

    # --- small things ----------------------------------------------------------------------------

    def span(self, b: int, e: int) -> Span:
        return Span(self.source, self.tokens.starts[b], self.tokens.ends[e - 1])

    def say(self, name: str, span: Span, message: str, *, help: str = "", fix: Fix | None = None) -> None:
        self.found.append(Diagnostic(name, span, message, help=help, fix=fix))

    def token_name(self, i: int) -> str:
        """The name that token `i` writes; one with capitals is reported."""
        name = self.tokens.text(i)
        if not name.islower() and snake_case(name) != name:
            better = snake_case(name)
            span = self.tokens.span(i)
            fix = Fix(f"write `{better}`", (Edit(span, better),))
            self.say("upper-case-name", span, f"names are written in lower case: `{better}`", fix=fix)
        return name

    def limited(self, node: n.Expr, *children: n.Expr) -> n.Expr:
        """The node, or a BadExpr where the tree becomes too deep to be walked."""
        return node if self.within(node, children) else n.BadExpr(node.span)

    def within(self, node: n.Node, children: tuple[n.Node, ...]) -> bool:
        depths = self.depths
        deepest = 1 + max([depths.get(id(child), 0) for child in children], default=0)
        if deepest < DEPTH_LIMIT:
            depths[id(node)] = deepest
            # Kept alive: the number of a node that was thrown away could become another's.
            self.measured.append(node)
            return True
        ends = {node.span.start, node.span.end}
        if not ends & self.too_deep:
            self.say(
                "too-deep", node.span, f"more than {DEPTH_LIMIT} parts inside one another",
                help="name a part with `let`, or write a list: `x in [a, b]`",
            )
        self.too_deep |= ends
        return False

    def doc(self, b: int) -> str:
        """The comment block that ends on the line above token `b`."""
        if not self.tokens.comments:
            return ""
        lines = self._comment_lines
        if lines is None:
            lines = self._comment_lines = {
                self.source.position(c.span.start)[0]: c.text for c in self.tokens.comments if c.own_line
            }
        line = self.source.position(self.tokens.starts[b])[0] - 1
        block: list[str] = []
        while line in lines:
            block.append(lines[line].removeprefix("#").removeprefix(" "))
            line -= 1
        return "\n".join(reversed(block))

    def first(self, b: int, e: int, *values: Any) -> list[Any]:
        return list(values)

    def more(self, b: int, e: int, before: list[Any], *values: Any) -> list[Any]:
        before.extend(values)
        return before

    # --- declarations ------------------------------------------------------------------------------

    def file(self, b: int, e: int, first: n.Declaration | None = None, rest: Any = ()) -> n.File:
        found = tuple(d for d in (first, *rest) if d is not None)
        return n.File(self.source, found, tuple(self.tokens.comments))

    def import_file(self, b: int, e: int, path: n.Text) -> n.Import:
        return n.Import(self.span(b, e), path, doc=self.doc(b))

    def gateway(self, b: int, e: int, settings: tuple[n.Setting, ...]) -> n.Gateway:
        return n.Gateway(self.span(b, e), settings, doc=self.doc(b))

    def upstream(self, b: int, e: int, name: int, settings: tuple[n.Setting, ...]) -> n.Upstream:
        return n.Upstream(
            self.span(b, e), self.token_name(name), self.tokens.span(name), settings, doc=self.doc(b)
        )

    def settings(self, b: int, e: int, first: n.Setting | None = None, rest: Any = ()) -> tuple[n.Setting, ...]:
        return tuple(s for s in (first, *rest) if s is not None)

    def setting(self, b: int, e: int, name: tuple[str, Span], args: list[n.Argument] | None) -> n.Setting:
        return n.Setting(self.span(b, e), name[0], name[1], self.arguments(args))

    def map_declaration(self, b: int, e: int, name: int, args: list[n.Argument] | None) -> n.MapDeclaration:
        return n.MapDeclaration(
            self.span(b, e), self.token_name(name), self.tokens.span(name), self.arguments(args), doc=self.doc(b)
        )

    def constant(self, b: int, e: int, private: int | None, name: int, value: n.Expr) -> n.Constant:
        return n.Constant(
            self.span(b, e), self.token_name(name), self.tokens.span(name), private is not None, value, doc=self.doc(b)
        )

    def assertion(
        self, b: int, e: int, name: int, parameters: tuple[n.Parameter, ...] | None,
        outputs: tuple[n.Output, ...] | None, body: n.Block,
    ) -> n.AssertionDeclaration:
        return n.AssertionDeclaration(
            self.span(b, e), self.token_name(name), self.tokens.span(name), parameters or (), outputs or (), body,
            doc=self.doc(b),
        )

    def parameters(self, b: int, e: int, first: n.Parameter | None = None, rest: Any = ()) -> tuple[n.Parameter, ...]:
        return () if first is None else (first, *(rest or ()))

    def parameter(
        self, b: int, e: int, private: int | None, key: int, type_: int, optional: int | None, default: n.Expr | None
    ) -> n.Parameter:
        name, name_span = self.key(key)
        return n.Parameter(
            self.span(b, e), name, name_span, self.tokens.text(type_), self.tokens.span(type_), optional is not None,
            private is not None, default,
        )

    def service(
        self, b: int, e: int, name: int, args: list[n.Argument] | None,
        block: tuple[n.Block, n.Block | None, Span | None],
    ) -> n.Service:
        body, on_failure, on_span = block
        return n.Service(
            self.span(b, e), self.token_name(name), self.tokens.span(name), self.arguments(args), body, on_failure,
            on_span, doc=self.doc(b),
        )

    def service_block(
        self, b: int, e: int, statements: list[n.Statement] | None
    ) -> tuple[n.Block, n.Block | None, Span | None]:
        return self.block(b, e, statements), None, None

    def service_block_on_failure(
        self, b: int, e: int, statements: list[n.Statement] | None, on: int, block: n.Block
    ) -> tuple[n.Block, n.Block | None, Span | None]:
        return self.block(b, e, statements), block, self.span(on, on + 2)

    def global_block(self, b: int, e: int, when: int, body: n.Block) -> n.Global:
        return n.Global(self.span(b, e), self.tokens.text(when), body, doc=self.doc(b))

    def test_table(self, b: int, e: int, title: n.Text, name: int, rows: n.Expr, body: n.Block) -> n.Test:
        where = self.tokens.span(name)
        return n.Test(self.span(b, e), title, body, self.token_name(name), where, rows, doc=self.doc(b))

    def test(self, b: int, e: int, title: n.Text, body: n.Block) -> n.Test:
        return n.Test(self.span(b, e), title, body, doc=self.doc(b))

    def bad_declaration(self, b: int, e: int, bad: int) -> None:
        return None

    bad_setting = bad_declaration
    bad_case = bad_declaration

    # --- statements --------------------------------------------------------------------------------

    def block(self, b: int, e: int, statements: list[n.Statement] | None) -> n.Block:
        return n.Block(self.span(b, e), tuple(statements or ()))

    def alone(self, body: n.Block | n.Statement) -> n.Block:
        return body if isinstance(body, n.Block) else n.Block(body.span, (body,), False)

    def else_statement(self, b: int, e: int, left: n.Statement, right: n.Statement) -> n.Statement:
        return self.else_block(b, e, left, self.alone(right))

    def else_block(self, b: int, e: int, left: n.Statement, right: n.Block) -> n.Statement:
        node = n.Else(self.span(b, e), left, right)
        return node if self.within(node, (left,)) else n.BadStatement(node.span)

    def call(
        self, b: int, e: int, name: tuple[str, Span], args: list[n.Argument] | None,
        outputs: tuple[n.Output, ...] | None, block: n.Block | None,
    ) -> n.Call:
        return n.Call(self.span(b, e), name[0], name[1], self.arguments(args), outputs or (), block)

    def require(self, b: int, e: int, condition: n.Expr) -> n.Require:
        return n.Require(self.span(b, e), condition)

    def let(self, b: int, e: int, private: int | None, name: int, optional: int | None, value: n.Expr) -> n.Let:
        return n.Let(
            self.span(b, e), self.token_name(name), self.tokens.span(name), optional is not None, private is not None,
            value,
        )

    def set(self, b: int, e: int, target: n.Expr, value: n.Expr) -> n.Set:
        return n.Set(self.span(b, e), self.target(target, "set"), value)

    def remove(self, b: int, e: int, target: n.Expr) -> n.Remove:
        return n.Remove(self.span(b, e), self.target(target, "removed"))

    def target(self, target: n.Expr, done: str) -> n.Expr:
        inner = target
        while isinstance(inner, n.Member | n.Index):
            inner = inner.base
        if isinstance(inner, n.Name | n.BadExpr):
            return target
        self.say(
            "bad-target", target.span, f"this cannot be {done}",
            help='a target is a name or a part of a message: `response.header["X-Y"]`',
        )
        return n.BadExpr(target.span)

    def group(self, b: int, e: int, kind: int, body: n.Block) -> n.Group:
        return n.Group(self.span(b, e), self.tokens.text(kind), body)

    def try_catch(self, b: int, e: int, body: n.Block, name: int | None, handler: n.Block) -> n.Try:
        if name is None:
            return n.Try(self.span(b, e), body, None, None, handler)
        return n.Try(self.span(b, e), body, self.token_name(name), self.tokens.span(name), handler)

    def ignore(self, b: int, e: int) -> n.Ignore:
        return n.Ignore(self.span(b, e))

    def bad_statement(self, b: int, e: int, bad: int) -> n.BadStatement:
        return n.BadStatement(self.span(b, e))

    def arm(self, b: int, e: int, condition: n.Expr, body: n.Block) -> n.Arm:
        return n.Arm(self.span(b, e), condition, body)

    def if_statement(self, b: int, e: int, first: n.Arm, *rest: Any) -> n.If:
        arms = [first]
        for value in rest:
            if isinstance(value, list):
                arms += value
        return n.If(self.span(b, e), tuple(arms), rest[-1] if rest and isinstance(rest[-1], n.Block) else None)

    def match(self, b: int, e: int, subject: n.Expr, first: n.Case | None = None, rest: Any = ()) -> n.Match:
        return n.Match(self.span(b, e), subject, tuple(c for c in (first, *(rest or ())) if c is not None))

    def split(
        self, b: int, e: int, args: list[n.Argument] | None, first: n.Case | None = None, rest: Any = ()
    ) -> n.Split:
        cases = tuple(c for c in (first, *(rest or ())) if c is not None)
        return n.Split(self.span(b, e), self.arguments(args), cases)

    def case(self, b: int, e: int, pattern: n.Expr, *rest: Any) -> n.Case:
        patterns = (pattern, *rest[0]) if len(rest) == 2 else (pattern,)
        body = self.alone(rest[-1])
        if len(patterns) == 1 and isinstance(pattern, n.Name) and pattern.name in ("_", "default", "otherwise"):
            fix = Fix("write `else`", (Edit(pattern.span, "else"),))
            self.say("default-case", pattern.span, "the case for everything else is written `else -> …`", fix=fix)
            patterns = ()
        return n.Case(self.span(b, e), patterns, body)

    def else_case(self, b: int, e: int, body: n.Block | n.Statement) -> n.Case:
        return n.Case(self.span(b, e), (), self.alone(body))

    def for_each(self, b: int, e: int, name: int, iterable: n.Expr, body: n.Block) -> n.For:
        return n.For(self.span(b, e), self.token_name(name), self.tokens.span(name), iterable, body)

    def respond(self, b: int, e: int, args: list[n.Argument] | None) -> n.Respond:
        return n.Respond(self.span(b, e), self.arguments(args))

    def fail(self, b: int, e: int, args: list[n.Argument] | None) -> n.Fail:
        return n.Fail(self.span(b, e), self.arguments(args))

    def outputs(self, b: int, e: int, first: n.Output, rest: Any = ()) -> tuple[n.Output, ...]:
        return (first, *rest)

    def output(self, b: int, e: int, private: int | None, name: int) -> n.Output:
        return n.Output(self.span(b, e), self.token_name(name), private is not None)

    # --- arguments and names -------------------------------------------------------------------------

    def arguments(self, args: list[n.Argument] | None) -> tuple[n.Argument, ...]:
        if not args:
            return ()
        named = False
        for arg in args:
            if arg.name is not None:
                named = True
            elif named:
                self.say(
                    "argument-order", arg.span, "an argument without a name stands before those with one",
                    help="move it to the front, or give it its name: `name: value`",
                )
                break
        return tuple(args)

    def positional(self, b: int, e: int, value: n.Expr) -> n.Argument:
        return n.Argument(self.span(b, e), None, None, value)

    def named(self, b: int, e: int, key: int, value: n.Expr) -> n.Argument:
        name, name_span = self.key(key)
        if name in w.KEPT_PARAMETERS:
            self.say("kept-word", name_span, f"`{name}:` is kept for a later version of the language")
        return n.Argument(self.span(b, e), name, name_span, value)

    def key(self, i: int, *, any_case: bool = False) -> tuple[str, Span]:
        """The word before a colon and its place."""
        name = self.tokens.text(i).rstrip(": \t")
        start = self.tokens.starts[i]
        span = Span(self.source, start, start + len(name))
        if not any_case and not name.islower() and snake_case(name) != name:
            better = snake_case(name)
            fix = Fix(f"write `{better}`", (Edit(span, better),))
            self.say("upper-case-name", span, f"names are written in lower case: `{better}`", fix=fix)
        return name, span

    def dotted(self, b: int, e: int, first: int, rest: Any = ()) -> tuple[str, Span]:
        name = self.token_name(first)
        for part in rest:
            name += "." + self.token_name(part)
        return name, self.span(b, e)

    def name(self, b: int, e: int, token: int) -> int:
        return token

    # --- expressions -----------------------------------------------------------------------------------

    def conditional(self, b: int, e: int, condition: n.Expr, then: n.Expr, orelse: n.Expr) -> n.Expr:
        node = n.Conditional(self.span(b, e), condition, then, orelse)
        return self.limited(node, condition, then, orelse)

    def binary(self, b: int, e: int, left: n.Expr, op: int, right: n.Expr) -> n.Expr:
        node = n.Binary(self.span(b, e), self.tokens.text(op), left, right, self.tokens.span(op))
        return self.limited(node, left, right)

    def unary(self, b: int, e: int, op: int, operand: n.Expr) -> n.Expr:
        node = n.Unary(self.span(b, e), self.tokens.text(op), operand)
        return self.limited(node, operand)

    def member(self, b: int, e: int, base: n.Expr, name: int) -> n.Expr:
        node = n.Member(self.span(b, e), base, self.tokens.text(name), self.tokens.span(name))
        return self.limited(node, base)

    def index(self, b: int, e: int, base: n.Expr, key: n.Expr) -> n.Expr:
        node = n.Index(self.span(b, e), base, key)
        return self.limited(node, base, key)

    def call_expr(self, b: int, e: int, callee: n.Expr, args: list[n.Argument] | None) -> n.Expr:
        parts: list[str] = []
        inner = callee
        while isinstance(inner, n.Member):
            parts.append(inner.name)
            inner = inner.base
        if not isinstance(inner, n.Name):
            if not isinstance(inner, n.BadExpr):
                self.say("not-a-function", callee.span, "only a function's name can stand before `(`")
            return n.BadExpr(self.span(b, e))
        parts.append(inner.name)
        arguments = self.arguments(args)
        node = n.CallExpr(self.span(b, e), ".".join(reversed(parts)), callee.span, arguments)
        return self.limited(node, *(a.value for a in arguments))

    def variable(self, b: int, e: int, token: int) -> n.Name:
        return n.Name(self.span(b, e), self.token_name(token))

    def number(self, b: int, e: int, token: int) -> n.Expr:
        value = self.amount(token, self.tokens.text(token))
        return n.BadExpr(self.span(b, e)) if value is None else n.Number(self.span(b, e), value)

    def duration(self, b: int, e: int, token: int) -> n.Expr:
        text = self.tokens.text(token)
        digits = text.rstrip("mshd")
        value = self.amount(token, digits)
        span = self.span(b, e)
        return n.BadExpr(span) if value is None else n.DurationValue(span, value, text[len(digits) :])

    def size(self, b: int, e: int, token: int) -> n.Expr:
        text = self.tokens.text(token)
        digits = text.rstrip("KMGTiB")
        value = self.amount(token, digits)
        span = self.span(b, e)
        return n.BadExpr(span) if value is None else n.SizeValue(span, value, text[len(digits) :])

    def rate(self, b: int, e: int, token: int) -> n.Expr:
        digits, _, unit = self.tokens.text(token).partition("/")
        value = self.amount(token, digits)
        span = self.span(b, e)
        return n.BadExpr(span) if value is None else n.RateValue(span, int(value), unit)

    def amount(self, token: int, digits: str) -> int | float | None:
        if len(digits) > DIGITS_LIMIT:
            self.say("malformed-number", self.tokens.span(token), f"a number has at most {DIGITS_LIMIT} digits")
            return None
        return float(digits) if "." in digits else int(digits)

    def boolean(self, b: int, e: int, token: int) -> n.Bool:
        return n.Bool(self.span(b, e), self.tokens.kinds[token] == w.TRUE)

    def none_value(self, b: int, e: int, token: int) -> n.NoneValue:
        return n.NoneValue(self.span(b, e))

    def bad_expr(self, b: int, e: int, token: int) -> n.BadExpr:
        return n.BadExpr(self.span(b, e))

    def list_value(self, b: int, e: int, first: n.Expr | None = None, rest: Any = ()) -> n.Expr:
        items = () if first is None else (first, *(rest or ()))
        node = n.ListValue(self.span(b, e), items)
        return self.limited(node, *items)

    def map_value(self, b: int, e: int, first: n.MapEntry | None = None, rest: Any = ()) -> n.Expr:
        entries = () if first is None else (first, *(rest or ()))
        node = n.MapValue(self.span(b, e), entries)
        return self.limited(node, *(entry.value for entry in entries))

    def entry(self, b: int, e: int, key: int, value: n.Expr) -> n.MapEntry:
        name, span = self.key(key, any_case=True)
        return n.MapEntry(self.span(b, e), name, span, value)

    def text_entry(self, b: int, e: int, key: n.Text, value: n.Expr) -> n.MapEntry:
        if key.literal is None:
            self.say("computed-key", key.span, "a map's key is plain text, without `${`",
                     help="write each key out")
        return n.MapEntry(self.span(b, e), key.literal or "", key.span, value)

    # --- strings -----------------------------------------------------------------------------------------

    def plain_text(self, b: int, e: int, token: int) -> n.Text:
        text = self.tokens.text(token)
        span = self.span(b, e)
        kind = self.tokens.kinds[token]
        if kind == w.RAW:
            body, style = text[2:-1], "r"
        elif kind == w.TRIPLE:
            style = '"""'
            body = strings.lines_between([text[3:-3]])[0]
        else:
            body, style = text[1:-1], '"'
        if "\\" in body and kind != w.RAW:
            if self.tokens.starts[token] not in self.tokens.written:
                self.found.extend(strings.odd_escapes(span))
            body = strings.unescape(body)
        return n.Text(span, (body,) if body else (), style)

    def template(self, b: int, e: int, head: int, first: n.Expr, *rest: Any) -> n.Expr:
        between: list[Any] = rest[0] if len(rest) == 2 else []
        tokens = [head, *between[::2], rest[-1]]
        values = [first, *between[1::2]]
        triple = self.tokens.kinds[head] == w.TRIPLE_HEAD
        quote = 3 if triple else 1
        pieces = []
        for k, token in enumerate(tokens):
            text = self.tokens.text(token)
            if "\\" in text and self.tokens.starts[token] not in self.tokens.written:
                self.found.extend(strings.odd_escapes(self.tokens.span(token)))
            pieces.append(text[quote if k == 0 else 1 : -quote if k == len(tokens) - 1 else -2])
        if triple:
            pieces = strings.lines_between(pieces)
        parts: list[str | n.Expr] = []
        for k, piece in enumerate(pieces):
            if piece:
                parts.append(strings.unescape(piece))
            if k < len(values):
                parts.append(values[k])
        node = n.Text(self.span(b, e), tuple(parts), '"""' if triple else '"')
        return self.limited(node, *values)
