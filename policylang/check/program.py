"""The checked program: the policy with every name resolved, every call bound, every type known.

The checker makes it, the tree is compiled from it, and nothing else reads it. It holds no names to look up: a
variable is a slot, an assertion is its Card with one value for each parameter, a call of a user's assertion is
expanded in place (there is no recursion), a constant is its value.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from policylang.record import record
from policylang.sdk.card import Card, FunctionCard, ParamCard
from policylang.sdk.shared_map import SharedMap
from policylang.sdk.static_types import Type
from policylang.source import Source, Span


@record
class Expr:
    """`private`: holds or is computed from a private value. `type.optional`: may be `none`."""

    span: Span
    type: Type
    private: bool


@record
class Const(Expr):
    """Literals, folded constants, `map(…)`, `env(…)`: the run-time value itself."""

    value: Any


@record
class SlotRef(Expr):
    slot: int
    name: str


@record
class MessageRef(Expr):
    """The whole `request` or `response`, as an argument (`in: request`)."""

    message: str


@record
class MessageField(Expr):
    """`request.method`, `response.status`…: a field named in `static_types.RECORDS`. BODY_FIELDS need the held body."""

    message: str
    field: str


@record
class Named(Expr):
    """`request.header[X]`, `.query.x`, `.cookie.x`: kind is `header`, `query` or `cookie`.

    `all`: the list of every value (`all(request.query.x)`). A constant key is a Const of str.
    """

    message: str
    kind: str
    key: Expr
    all: bool = False


@record
class ContextValue(Expr):
    """`client.ip`, `user`, `user.id`, `path.x`, `service.name`, `gateway.node`, `now`, `failure`.

    A root and a field, "" for the whole. `user.id` while nobody is authenticated is none.
    """

    root: str
    field: str


@record
class MemberOf(Expr):
    """A member or index of a JSON value, map, list, record or principal: none where it is not there."""

    base: Expr
    key: Expr


@record
class UnaryOp(Expr):
    op: str
    operand: Expr


@record
class BinaryOp(Expr):
    """Operators of language.md section 4 except `matches` with a constant pattern, which has `pattern`.

    Where both types are known and comparable, `dynamic` is false; else the values' types are compared at run time and
    a mismatch is the failure `wrong-type`.
    """

    op: str
    left: Expr
    right: Expr
    dynamic: bool = True


@record
class IfExpr(Expr):
    condition: Expr
    then: Expr
    orelse: Expr


@record
class ListOf(Expr):
    items: tuple[Expr, ...]


@record
class MapOf(Expr):
    entries: tuple[tuple[str, Expr], ...]


@record
class Template(Expr):
    """An interpolated string; each part is text or an expression that interpolates."""

    parts: tuple[str | Expr, ...]


@record
class FunctionCall(Expr):
    """`args` in the order of the card's parameters; a parameter left out has its default as a Const."""

    card: FunctionCard
    args: tuple[Expr, ...]


# --- statements ----------------------------------------------------------------------------------


@record
class Statement:
    span: Span


@record
class Block:
    span: Span
    statements: tuple[Statement, ...]


@record
class Bound:
    """One parameter of a call. For a constant parameter `value` is a Const. `text` is the argument as written."""

    param: ParamCard
    value: Expr
    text: str


@record
class Invoke(Statement):
    """An assertion of the catalog. `outputs` are slots, one for each output of the card, None where it is not taken.

    `counter` names its counter, and is the prefix of every KEY parameter: `name:` where given, else service, assertion,
    text of the key and ordinal among equals (the arms of one `match` share it).
    """

    card: Card
    args: tuple[Bound, ...]
    outputs: tuple[int | None, ...]
    block: Block | None
    counter: str = ""


@record
class Expand(Statement):
    """A call of a user's assertion: arguments into slots, the body, then outputs into the caller's slots."""

    name: str
    arguments: tuple[tuple[int, Expr], ...]
    body: Block
    outputs: tuple[tuple[int, int], ...]  # (slot in the body, slot of the caller)


@record
class Require(Statement):
    condition: Expr


@record
class Let(Statement):
    slot: int
    name: str
    optional: bool
    value: Expr


@record
class SlotPlace:
    slot: int
    name: str


@record
class FieldPlace:
    """field: method, path, query_string (`request.query`), status, body, text, json."""

    message: str
    field: str


@record
class NamedPlace:
    """kind: header, query, cookie."""

    message: str
    kind: str
    key: Expr


Place = SlotPlace | FieldPlace | NamedPlace


@record
class SetPlace(Statement):
    place: Place
    value: Expr


@record
class RemovePlace(Statement):
    place: Place


@record
class Group(Statement):
    """kind: all, any, none, parallel. In `parallel` each statement is a branch."""

    kind: str
    body: Block


@record
class If(Statement):
    arms: tuple[tuple[Expr, Block], ...]
    orelse: Block | None


@record
class Case:
    """A pattern is a Const: a literal, a range (python `range` or a pair of floats in Const), or None for `none`."""

    patterns: tuple[Const, ...]
    body: Block


@record
class Match(Statement):
    subject: Expr
    cases: tuple[Case, ...]
    orelse: Block | None


@record
class Split(Match):
    """A Match whose pattern in each case is its share of 100; `subject` is what decides, None: each request anew.

    `counter` is the prefix of the subject as a key. There is no `orelse`.
    """

    counter: str


@record
class For(Statement):
    slot: int
    name: str
    iterable: Expr
    body: Block


@record
class Try(Statement):
    body: Block
    slot: int | None
    handler: Block


@record
class Else(Statement):
    left: Statement
    right: Block


@record
class Respond(Statement):
    """`respond STATUS, body: text, json: value, content_type: "…", header: { … }`; what is absent is None."""

    status: Expr
    body: Expr | None
    json: Expr | None
    content_type: Expr | None
    headers: tuple[tuple[str, Expr], ...]


@record
class Fail(Statement):
    """`fail STATUS, "detail", name: "my-name", title: "…"`"""

    status: Expr
    detail: Expr | None
    name: str
    title: Expr | None


@record
class Ignore(Statement):
    pass


# --- the whole -----------------------------------------------------------------------------------


@record
class PathPattern:
    """`segments`: a literal (decoded), `{name}` as a 1-tuple of the name, or `**` as the empty tuple (last only)."""

    span: Span
    text: str
    segments: tuple[str | tuple[str, ...], ...]


@record
class Service:
    span: Span
    name: str
    paths: tuple[PathPattern, ...]
    methods: tuple[str, ...]  # empty: any
    host: str  # "", "api.example" or "*.example"
    body: Block
    on_failure: Block | None
    slot_names: tuple[str, ...]
    """One name for each slot of this service's frame; its globals' slots come first."""
    private_slots: frozenset[int] = frozenset()
    """Those that may hold something private."""


@record
class Setting:
    """One setting of `gateway` or `upstream`: its card's name and the value of every parameter."""

    span: Span
    name: str
    values: dict[str, Any]


@record
class Upstream:
    """`on`: what `balance hash` looks at, as a key."""

    span: Span
    name: str
    settings: tuple[Setting, ...]
    on: Expr | None = None


@record
class Program:
    """`hash` names the policy: the SHA-256 of every file read for it, in the order of their names, 12 hex digits."""

    sources: tuple[Source, ...]
    gateway: tuple[Setting, ...]
    upstreams: tuple[Upstream, ...]
    services: tuple[Service, ...]
    before: tuple[Block, ...]
    after: tuple[Block, ...]
    global_slots: tuple[str, ...]
    hash: str
    files: dict[str, bytes] = field(default_factory=dict, compare=False)
    """Everything that was read for it (policies, maps, schemas), by path: what the supervisor hands to its workers."""
    maps: tuple[SharedMap, ...] = ()
    """Those that live in the store."""
    private_slots: frozenset[int] = frozenset()
    """Those of the globals that may hold something private."""
    private_fields: frozenset[tuple[str, str, str]] = frozenset()
    """Parts of messages, `(message, kind, name)`, that some statement writes a private value to."""
