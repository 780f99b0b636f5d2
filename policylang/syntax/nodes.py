"""The syntax tree: what was written, with its places, before anything is known of its meaning.

Every node is frozen and carries the span it covers. Nothing here is resolved: a bare word is a `Name`
whether it will turn out to be a variable, an upstream or a symbol such as `shape`.
"""

from __future__ import annotations

from dataclasses import field

from policylang.record import record
from policylang.source import Source, Span


@record
class Node:
    span: Span


# --- expressions ---------------------------------------------------------------------------------


@record
class Expr(Node):
    pass


@record
class Text(Expr):
    """A string. `parts` alternates freely between literal text (escapes resolved) and expressions;
    `style` is `"`, `r` or `\"\"\"`: how it was written."""

    parts: tuple[str | Expr, ...]
    style: str

    @property
    def literal(self) -> str | None:
        """The text when nothing is interpolated."""
        if not self.parts:
            return ""
        if len(self.parts) == 1 and isinstance(self.parts[0], str):
            return self.parts[0]
        return None


@record
class Number(Expr):
    value: int | float


@record
class Bool(Expr):
    value: bool


@record
class NoneValue(Expr):
    pass


@record
class DurationValue(Expr):
    """`250ms 5s 1m 2h 1d`"""

    amount: int | float
    unit: str


@record
class SizeValue(Expr):
    """`512B 64KiB 10MB`"""

    amount: int | float
    unit: str


@record
class RateValue(Expr):
    """`1000/s 60/min 100/hour 10_000/day 1_000_000/month`; unit as written."""

    count: int
    unit: str


@record
class Name(Expr):
    name: str


@record
class Member(Expr):
    """`base.name`"""

    base: Expr
    name: str
    name_span: Span


@record
class Index(Expr):
    """`base[key]`"""

    base: Expr
    key: Expr


@record
class Unary(Expr):
    """op: `-` or `not`"""

    op: str
    operand: Expr


@record
class Binary(Expr):
    """op: `?? * / % + - .. == != < <= > >= in contains starts_with ends_with matches and or`"""

    op: str
    left: Expr
    right: Expr
    op_span: Span


@record
class Conditional(Expr):
    """`if C then A else B`"""

    condition: Expr
    then: Expr
    orelse: Expr


@record
class ListValue(Expr):
    items: tuple[Expr, ...]


@record
class MapEntry(Node):
    key: str
    key_span: Span
    value: Expr


@record
class MapValue(Expr):
    entries: tuple[MapEntry, ...]


@record
class Argument(Node):
    """`value` or `name: value`"""

    name: str | None
    name_span: Span | None
    value: Expr


@record
class CallExpr(Expr):
    """A function call inside an expression; `name` may be dotted."""

    name: str
    name_span: Span
    args: tuple[Argument, ...]


@record
class BadExpr(Expr):
    """Stands where an expression could not be read; its diagnostic was already made."""


# --- statements ----------------------------------------------------------------------------------


@record
class Statement(Node):
    pass


@record
class Block(Node):
    """`braced` is false for the single statement of a `match` case or of a postfix `else`."""

    statements: tuple[Statement, ...]
    braced: bool = True


@record
class Output(Node):
    """One name after `->`."""

    name: str
    private: bool = False


@record
class Call(Statement):
    """`NAME args… [-> outputs] [{ block }]`: an assertion of the catalog or of the user."""

    name: str
    name_span: Span
    args: tuple[Argument, ...]
    outputs: tuple[Output, ...] = ()
    block: Block | None = None


@record
class Require(Statement):
    condition: Expr


@record
class Let(Statement):
    name: str
    name_span: Span
    optional: bool
    private: bool
    value: Expr


@record
class Set(Statement):
    """`target` is a Name, Member or Index chain."""

    target: Expr
    value: Expr


@record
class Remove(Statement):
    target: Expr


@record
class Group(Statement):
    """kind: `all`, `any`, `none` or `parallel`"""

    kind: str
    body: Block


@record
class Arm(Node):
    condition: Expr
    body: Block


@record
class If(Statement):
    arms: tuple[Arm, ...]
    orelse: Block | None


@record
class Case(Node):
    """No patterns: the `else` case."""

    patterns: tuple[Expr, ...]
    body: Block


@record
class Match(Statement):
    subject: Expr
    cases: tuple[Case, ...]


@record
class Split(Statement):
    """`split by: KEY { 95 -> …, 5 -> … }`; each case's pattern is its share."""

    args: tuple[Argument, ...]
    cases: tuple[Case, ...]


@record
class For(Statement):
    name: str
    name_span: Span
    iterable: Expr
    body: Block


@record
class Try(Statement):
    body: Block
    name: str | None
    name_span: Span | None
    handler: Block


@record
class Else(Statement):
    """`LEFT else RIGHT`; `right` is unbraced when it is a single statement."""

    left: Statement
    right: Block


@record
class Respond(Statement):
    """`respond STATUS, name: value…`; every argument, the status too, stands in `args`."""

    args: tuple[Argument, ...]


@record
class Fail(Statement):
    """`fail STATUS, "detail"`; as for Respond."""

    args: tuple[Argument, ...]


@record
class Ignore(Statement):
    pass


@record
class BadStatement(Statement):
    """Stands where a statement could not be read; its diagnostic was already made."""


# --- declarations --------------------------------------------------------------------------------


@record
class Declaration(Node):
    """`doc` is the comment block directly above, without the `#`."""

    doc: str = field(default="", kw_only=True)


@record
class Import(Declaration):
    path: Text


@record
class Setting(Node):
    """One line of a `gateway` or `upstream` block: the shape of a call."""

    name: str
    name_span: Span
    args: tuple[Argument, ...]


@record
class Gateway(Declaration):
    settings: tuple[Setting, ...]


@record
class Upstream(Declaration):
    name: str
    name_span: Span
    settings: tuple[Setting, ...]


@record
class MapDeclaration(Declaration):
    name: str
    name_span: Span
    args: tuple[Argument, ...]


@record
class Constant(Declaration):
    name: str
    name_span: Span
    private: bool
    value: Expr


@record
class Parameter(Node):
    """`name: type [= default]`; `type` is a word, `optional` when it ends in `?`."""

    name: str
    name_span: Span
    type: str
    type_span: Span
    optional: bool
    private: bool
    default: Expr | None


@record
class AssertionDeclaration(Declaration):
    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    body: Block


@record
class Service(Declaration):
    """`service NAME "path", "path", name: value… { body; on failure { … } }`"""

    name: str
    name_span: Span
    args: tuple[Argument, ...]
    body: Block
    on_failure: Block | None
    on_failure_span: Span | None


@record
class Global(Declaration):
    """when: `before` or `after`"""

    when: str
    body: Block


@record
class Test(Declaration):
    """`test TITLE { … }`, or with rows `test TITLE for NAME in ROWS { … }`: a test for each of them."""

    title: Text
    body: Block
    name: str | None = None
    name_span: Span | None = None
    rows: Expr | None = None


@record
class Comment:
    """A `#` comment, text from the `#` to the line's end. `own_line`: nothing else stands on its line."""

    span: Span
    text: str
    own_line: bool


@record
class File:
    source: Source
    declarations: tuple[Declaration, ...]
    comments: tuple[Comment, ...]
