"""What must not be shown of an exchange.

The language says which expressions are private. Beyond that, whatever came as a credential is hidden by its value,
wherever it turns up: a header field that an assertion authenticates by may be read plainly elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any
from urllib.parse import unquote, unquote_plus

from policylang.check import program as p
from policylang.sdk.exchange import Exchange, Request
from policylang.sdk.message import Field
from policylang.sdk.outcome import Failed
from policylang.sdk.static_types import BODY_FIELDS, PRIVATE_HEADERS
from policylang.sdk.values import UpstreamName
from policylang.trace.plan import own_expressions, paths
from policylang.trace.recorded import Recorded
from policylang.tree.emit import compiled
from policylang.tree.facts import blocks, parts
from policylang.tree.values import PRIVATE

HEADERS = frozenset({"x-api-key", "api-key", "apikey", "x-auth-token", "x-access-token", "x-amz-security-token"})
"""Fields that are credentials by custom, whatever the policy does with them."""
PARAMETERS = frozenset({"api_key", "apikey", "api-key", "access_token", "token", "key", "password", "secret", "sig",
                        "signature", "code"})  # fmt: skip
"""The same of a query's parameters."""
SHORTEST = 8
"""Characters of a credential that is looked for inside other texts; a shorter one is hidden where it stands alone."""

MOST_ITEMS = 20
"""Items of a private constant that is a list or a map, whose texts are looked for too."""


class Hidden:
    """What a program takes for credentials. `headers` in lower case; `elsewhere`: what reads those of a path, a body or
    a variable, by service; `targets`: upstreams that some statement sends a private path or query to."""

    def __init__(self, program: p.Program) -> None:
        self.program = program
        self._headers = set(PRIVATE_HEADERS | HEADERS)
        self._parameters = set(PARAMETERS)
        self._slots: set[int] = set()
        self._elsewhere: dict[tuple[str, int], p.Expr] = {}
        self.constants: set[str] = set()
        self.targets: set[str] = set()
        for message, kind, name in program.private_fields:
            if kind == "header" and name:
                self._headers.add(name)
            elif kind == "query" and name and message == "request":
                self._parameters.add(name.lower())
        for service in program.services:
            late = () if service.on_failure is None else (service.on_failure,)
            self._look_through(service.name, (*program.before, service.body, *late))
        self._look_through("", (*program.before, *program.after))
        self.elsewhere = tuple((service, compiled(path)) for (service, _), path in self._elsewhere.items())
        self.headers = frozenset(self._headers)
        self.parameters = frozenset(self._parameters)

    def slots(self, service: str) -> frozenset[int]:
        """The variables of a service that may hold something private."""
        found = next((each.private_slots for each in self.program.services if each.name == service), frozenset())
        return found | self.program.private_slots

    def named(self, path: p.Expr) -> bool:
        """Whether it reads a credential by its name: a field, or a parameter."""
        if not isinstance(path, p.Named) or not isinstance(path.key, p.Const):
            return False
        name = str(path.key.value).lower()
        return name in self.headers if path.kind == "header" else path.kind == "query" and name in self.parameters

    def _look_through(self, service: str, found: Iterable[p.Block]) -> None:
        """Names of what is given to assertions that authenticate, also by way of variables."""
        self._slots = set()
        statements = [each for block in found for each in _all(block)]
        for statement in statements:
            for expr in own_expressions(statement):
                self._note_constants(expr)
                for part in parts(expr):
                    for side in _proofs(part):
                        self._taken(service, side)
            if isinstance(statement, p.Invoke):
                self._note_target(statement)
                if "user" in statement.card.effects:
                    for bound in statement.args:
                        self._taken(service, bound.value)
        moves = [pair for statement in statements for pair in _moves(statement)]
        known = -1
        while known != len(self._slots):
            known = len(self._slots)
            for slot, expr in moves:
                if slot in self._slots:
                    self._taken(service, expr)

    def _taken(self, service: str, expr: p.Expr) -> None:
        for path in paths(expr):
            if isinstance(path, p.Named) and isinstance(path.key, p.Const):
                name = str(path.key.value)
                if path.kind == "header":
                    self._headers.add(name.lower())
                elif path.kind == "query":
                    self._parameters.add(name.lower())
            elif any(_may_carry(part) for part in parts(path)):
                self._elsewhere[service, id(path)] = path
            if isinstance(path, p.SlotRef):
                self._slots.add(path.slot)

    def _note_target(self, statement: p.Invoke) -> None:
        if any(bound.value.private for bound in statement.args):
            values = [bound.value.value for bound in statement.args if isinstance(bound.value, p.Const)]
            self.targets.update(each.name for each in values if isinstance(each, UpstreamName))

    def _note_constants(self, expr: p.Expr) -> None:
        for part in parts(expr):
            if isinstance(part, p.Const) and part.private:
                self.constants.update(_texts(part.value))


def _proofs(part: p.Expr) -> tuple[p.Expr, ...]:
    """What is held against a secret: where they are equal, it is one."""
    if isinstance(part, p.FunctionCall) and part.card.name == "same_secret":
        return part.args
    if isinstance(part, p.BinaryOp) and part.op in ("==", "!=", "in", "contains") and part.private:
        return tuple(side for side in (part.left, part.right) if not side.private)
    return ()


def _texts(value: Any) -> Iterator[str]:
    """The texts of a constant. A whole map of a file is none of the policy's own words."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, dict)) and len(value) <= MOST_ITEMS:
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _may_carry(part: p.Expr) -> bool:
    """A part of the path or of the body, or a variable; a host or an address is no credential."""
    if isinstance(part, p.SlotRef):
        return True
    if isinstance(part, p.ContextValue):
        return part.root == "path"
    return isinstance(part, p.MessageField) and part.message == "request" and part.field in BODY_FIELDS


def _all(block: p.Block) -> Iterator[p.Statement]:
    for statement in block.statements:
        yield statement
        for inner in blocks(statement):
            yield from _all(inner)


def _moves(statement: p.Statement) -> Iterator[tuple[int, p.Expr]]:
    if isinstance(statement, p.Let):
        yield statement.slot, statement.value
    elif isinstance(statement, p.SetPlace) and isinstance(statement.place, p.SlotPlace):
        yield statement.place.slot, statement.value
    elif isinstance(statement, p.Expand):
        yield from statement.arguments


class Mask:
    """Hides the credentials of one exchange."""

    def __init__(self, hidden: Hidden, exchange: Exchange) -> None:
        self.hidden = hidden
        self.slots = hidden.slots(exchange.service)
        self._texts = set(hidden.constants)
        if exchange.response is not None:
            self._note_fields(exchange.response.headers)
        for each in (_as_it_came(exchange), exchange):  # a policy may take a credential out once it has been looked at
            self._note_fields(each.request.headers)
            try:
                self._texts.update(value for name, value in each.request.query if name.lower() in hidden.parameters)
            except Failed:
                pass  # a query that nobody can read: `query` goes by the names
            for service, read in hidden.elsewhere:
                try:
                    found = read(each) if service in ("", exchange.service) else None
                except Exception:  # it is not there, or not held
                    continue
                if isinstance(found, str):
                    self._texts.add(found)
        self._texts.discard("")
        self._long = [text for text in self._texts if len(text) >= SHORTEST]

    def _note_fields(self, fields: Iterable[Field]) -> None:
        for lower, _, value in fields:
            if lower.decode("latin-1") in self.hidden.headers:
                self._texts.update(_credentials(lower, value.decode("utf-8", "replace")))

    def hides(self, text: str) -> bool:
        return text in self._texts or any(each in text for each in self._long)

    def text(self, text: str) -> str:
        return PRIVATE if self.hides(text) else text

    def body(self, text: str) -> str:
        """A body with the credentials in it replaced, also as JSON writes them. Where they are written in another way,
        nothing of it is shown."""
        text = self._json(text)
        for each in sorted(self._long, key=len, reverse=True):
            text = text.replace(each, PRIVATE)
        written = text in self._texts or any(
            each in plain for plain in (unquote_plus(text), unquote(text), unescape(text)) for each in self._long
        )
        return PRIVATE if written else text

    def _json(self, text: str) -> str:
        """As it is, unless it is JSON with a credential in it."""
        found = False

        def masked(value: Any) -> Any:
            nonlocal found
            if isinstance(value, list):
                return [masked(each) for each in value]
            if not isinstance(value, str) or not self.hides(value):
                return value
            found = True
            return PRIVATE

        def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # the inner ones come first
            return {masked(name): masked(value) for name, value in pairs}

        try:
            value = masked(json.loads(text, object_pairs_hook=members))
        except (ValueError, RecursionError):
            return text
        return json.dumps(value, ensure_ascii=False) if found else text

    def path(self, path: str) -> str:
        return "/".join(PRIVATE if self.hides(unquote(segment)) else segment for segment in path.split("/"))

    def query(self, query: bytes | None) -> str | None:
        if query is None:
            return None
        found = []
        for pair in query.decode("utf-8", "replace").split("&"):
            name, mark, value = pair.partition("=")
            plain = unquote(value.replace("+", " "))
            hide = unquote(name).lower() in self.hidden.parameters or self.hides(plain) or self.hides(unquote(name))
            found.append(f"{self.text(name)}{mark}{PRIVATE}" if hide else pair)
        return "&".join(found)

    def field(self, field: Field, message: str) -> str:
        """The value of a header field of `request` or `response`."""
        value = field[2].decode("utf-8", "replace")
        hide = field[0].decode("latin-1") in self.hidden.headers or self.writes(message, "header")
        return PRIVATE if hide else self.text(value)

    def writes(self, message: str, part: str) -> bool:
        """Whether the policy writes something private to that part, or to a field that it names only then."""
        return (message, part, "") in self.hidden.program.private_fields


def _as_it_came(exchange: Exchange) -> Exchange:
    """With the message of the client, whatever the policy has written since."""
    request, journal = exchange.request, exchange.journal
    method, path, query = request.method, request.path, request.query_string
    if isinstance(journal, Recorded):
        method, path, query = journal.came
    came = Request(method, path, query, request.received_headers, host=request.host, body=request.received)
    came.bounds = request.bounds
    found = Exchange(came, exchange.client, exchange.environment)
    found.path, found.slots = exchange.path, exchange.slots
    return found


def _credentials(lower: bytes, value: str) -> Iterator[str]:
    yield value
    if lower in (b"authorization", b"proxy-authorization"):
        yield value.partition(" ")[2].strip()
    elif lower in (b"cookie", b"set-cookie"):
        for pair in value.split(";") if lower == b"cookie" else (value.partition(";")[0],):
            yield pair.partition("=")[2].strip().strip('"')
