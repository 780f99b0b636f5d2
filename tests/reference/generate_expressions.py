"""Random expressions of a wanted type, over the names that are set where they stand."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

WORDS = ("a", "b", "gold", "silver", "GET", "x-1", "", "2", "true", "10", "de-1", "é", "..", "a/b?c#d%2F")
HEADERS = ("X-A", "X-B", "x-c", "X-Tier", "Content-Type", "X-API-Key")
QUERIES = ("q", "page", "z")
COOKIES = ("sid", "c")
MEMBERS = ("a", "b", "n", "tier", "items", "ok", "deep")
PATTERNS = (r"^[a-z]+$", r"\d", r"^g", r"x-\d+$", r"(a|b)+")


@dataclass(frozen=True)
class Name:
    """type: string, number, boolean, json, list, map, failure. `maybe`: may be none."""

    name: str
    type: str
    maybe: bool = False
    settable: bool = True


@dataclass(frozen=True)
class Scope:
    """What may be read here, and what may stand here."""

    names: tuple[Name, ...] = ()
    captures: tuple[str, ...] = ()
    response: bool = False
    response_body: bool = True
    """In `global after` it may be the gateway's own document."""
    response_maybe: bool = False
    """In `on failure` there may be one."""
    may_respond: bool = True
    may_route: bool = True
    may_write: bool = True
    handler: bool = False
    """In a `catch` or `else`: a status of what failed may be at hand."""

    def bound(self, *names: Name) -> Scope:
        return replace(self, names=(*self.names, *names))

    def of(self, type: str, *, maybe: bool | None = None) -> list[Name]:
        return [n for n in self.names if n.type == type and (maybe is None or n.maybe == maybe)]


@dataclass
class Chance:
    """The dice, and how wild the generated expressions are (`daring`: how often something may fail)."""

    dice: random.Random
    daring: float = 0.3
    constants: tuple[Name, ...] = field(default=())

    def one(self, *choices: str) -> str:
        return self.dice.choice(choices)

    def happens(self, share: float) -> bool:
        return self.dice.random() < share

    def call(self, *makers: Callable[[], str]) -> str:
        return self.dice.choice(makers)()


class Expressions:
    def __init__(self, chance: Chance) -> None:
        self.chance = chance

    def make(self, type: str, scope: Scope, depth: int = 3) -> str:
        makers = {
            "string": self.string, "number": self.number, "boolean": self.boolean, "json": self.json,
            "list": self.list, "string?": self.maybe_string, "map": self.map,
        }  # fmt: skip
        return makers[type](scope, depth)

    def _named(self, type: str, scope: Scope, maybe: bool) -> str | None:
        known = [n for n in (*scope.names, *self.chance.constants) if n.type == type and n.maybe == maybe]
        return self.chance.dice.choice(known).name if known and self.chance.happens(0.5) else None

    def literal(self, type: str) -> str:
        match type:
            case "string":
                return f'"{self.chance.one(*WORDS)}"'
            case "number":
                return self.chance.one("0", "1", "2", "3", "10", "200", "1.5", "1_000")
            case "boolean":
                return self.chance.one("true", "false")
            case "list":
                return self.chance.one('["a", "b"]', "[1, 2, 3]", '["gold", "silver"]', "[]", '[1, "a", true, none]')
        return self.chance.one("none", '"gold"', "1", "true", '{ a: 1, b: "x" }', "[1, 2]", "{ a: [true], b: none }")

    def string(self, scope: Scope, depth: int) -> str:
        chance = self.chance
        if (name := self._named("string", scope, False)) is not None:
            return name
        leaf = [
            lambda: self.literal("string"), lambda: "request.method", lambda: "request.path", lambda: "request.host",
            lambda: "service.name", lambda: "gateway.name",
        ]  # fmt: skip
        if scope.captures:
            leaf.append(lambda: "path." + chance.one(*scope.captures))
        failures = scope.of("failure")
        if failures:
            leaf += [lambda: f"{chance.dice.choice(failures).name}.{chance.one('name', 'assertion', 'kind')}"]
        if chance.happens(chance.daring / 2):
            leaf += [lambda: "request.text"]
        if depth <= 0:
            return chance.call(*leaf)
        less = depth - 1

        def sub() -> str:
            return self.string(scope, less)

        return chance.call(
            *leaf,
            lambda: f"({self.maybe_string(scope, less)} ?? {sub()})",
            lambda: f"({self.maybe_string(scope, less)} ?? {sub()})",
            lambda: self.template(scope, less),
            lambda: self.template(scope, less),
            lambda: f"{chance.one('lower', 'upper', 'trim', 'sha256', 'base64_encode', 'url_encode')}({sub()})",
            lambda: f"replace({sub()}, {self.literal('string')}, {sub()})",
            lambda: f"substring({sub()}, {chance.one('0', '1', '2')})",
            lambda: f"json({self.json(scope, less)})",
            lambda: f"(if {self.boolean(scope, less)} then {sub()} else {sub()})",
            lambda: f"(string({self.json(scope, less)}) ?? {sub()})",
            lambda: f"reveal({sub()})",
            lambda: f"\"${{request.size}} ${{now}} ${{{self.number(scope, 0)}}}\"",
            lambda: f"join(split({sub()}, \"-\"), by: {self.literal('string')})",
        )

    def template(self, scope: Scope, depth: int) -> str:
        parts = []
        for _ in range(self.chance.dice.randint(1, 3)):
            kind = self.chance.one("text", "string", "string", "number", "boolean", "daring")
            if kind == "text":
                parts.append(self.chance.one("a", "-", " ", "\\n", "\\$", "é/"))
            elif kind == "daring" and self.chance.happens(self.chance.daring):
                parts.append("${" + self.chance.call(lambda: self.json(scope, 0)) + "}")
            else:
                parts.append("${" + self.make("string" if kind == "daring" else kind, scope, min(depth, 1)) + "}")
        return '"' + "".join(parts) + '"'

    def maybe_string(self, scope: Scope, depth: int) -> str:
        chance = self.chance
        if (name := self._named("string", scope, True)) is not None:
            return name
        leaf = [
            lambda: f'request.header["{chance.one(*HEADERS)}"]', lambda: f'request.header["{chance.one(*HEADERS)}"]',
            lambda: f"request.query.{chance.one(*QUERIES)}", lambda: f"request.cookie.{chance.one(*COOKIES)}",
            lambda: "request.bearer", lambda: "user.id", lambda: "request.content_type",
        ]  # fmt: skip
        if scope.response:
            leaf += [lambda: f'response.header["{chance.one(*HEADERS)}"]', lambda: "response.content_type"]
        elif scope.response_maybe:
            leaf += [lambda: f'response.header["{chance.one(*HEADERS)}"]']
        if depth > 0:
            leaf += [
                lambda: f"base64_decode({self.string(scope, depth - 1)})",
                lambda: f"string({self.json(scope, depth - 1)})",
            ]
        return chance.call(*leaf)

    def number(self, scope: Scope, depth: int) -> str:
        chance = self.chance
        if (name := self._named("number", scope, False)) is not None:
            return name
        leaf = [lambda: self.literal("number"), lambda: self.literal("number")]
        if scope.response:
            leaf.append(lambda: "response.status")
        elif scope.response_maybe:
            leaf.append(lambda: "(response.status ?? 7)")
        failures = scope.of("failure")
        if failures:
            leaf += [lambda: f"{chance.dice.choice(failures).name}.{chance.one('status', 'line')}"]
        if depth <= 0:
            return chance.call(*leaf)
        less = depth - 1
        return chance.call(
            *leaf,
            lambda: f"length({self.string(scope, less)})",
            lambda: f"length({self.list(scope, less)})",
            lambda: f"(int({self.string(scope, less)}) ?? {self.number(scope, less)})",
            lambda: f"({self.number(scope, less)} {chance.one('+', '-', '*')} {self.number(scope, less)})",
            lambda: f"({self.number(scope, less)} {chance.one('/', '%')} {chance.one('2', '3', '7')})",
            lambda: f"(-{self.number(scope, less)})",
            lambda: f"{chance.one('min', 'max')}({self.number(scope, less)}, {self.number(scope, less)})",
            lambda: f"(if {self.boolean(scope, less)} then {self.number(scope, 0)} else {self.number(scope, 0)})",
            lambda: self._daring(f"({self.json(scope, 0)} + {self.number(scope, less)})", "4"),
        )

    def _daring(self, wild: str, tame: str) -> str:
        return wild if self.chance.happens(self.chance.daring) else tame

    def boolean(self, scope: Scope, depth: int) -> str:
        chance = self.chance
        if (name := self._named("boolean", scope, False)) is not None:
            return name
        less = depth - 1
        leaf = [
            lambda: f"{self.string(scope, 0)} {chance.one('==', '!=', '<', '>=')} {self.string(scope, 0)}",
            lambda: f"{self.maybe_string(scope, 0)} {chance.one('==', '!=')} none",
            lambda: f"{self.maybe_string(scope, 0)} {chance.one('==', '!=')} {self.literal('string')}",
            lambda: f"{self.json(scope, 0)} {chance.one('==', '!=')} none",
            lambda: f"{self.string(scope, 0)} {chance.one('starts_with', 'ends_with', 'contains')} "
                    f"{self.literal('string')}",
            lambda: f'{self.string(scope, 0)} matches r"{chance.one(*PATTERNS)}"',
            lambda: f"{self.string(scope, 0)} in {chance.one('[', '[')}{self.literal('string')}, \"GET\"]",
            lambda: f"{self.number(scope, 0)} {chance.one('==', '!=', '<', '<=', '>', '>=')} {self.number(scope, 0)}",
            lambda: f"{self.number(scope, 0)} in {chance.one('1..3', '0..10', '200..299')}",
            lambda: f'client.ip {chance.one("in", "in")} ["10.0.0.0/8", "192.0.2.1"]',
            lambda: f"user {chance.one('==', '!=')} none",
            lambda: f"{'response' if scope.response_maybe else 'user'} {chance.one('==', '!=')} none",
            lambda: f"request.size {chance.one('<', '>=', '==')} {chance.one('60B', '1KB')}",
            lambda: f"now {chance.one('<', '>=')} {chance.one('time(2)', 'time(60)')}",
            lambda: f"(duration({self.string(scope, 0)}) ?? 2s) {chance.one('<', '>=', '==')} 1500ms",
            lambda: f"{self.list(scope, 0)} {chance.one('==', '!=')} {self.list(scope, 0)}",
            lambda: f"regex(r\"{chance.one(*PATTERNS)}\", in: {self.string(scope, 0)}) != none",
            lambda: self._daring(f"{self.json(scope, 0)} {chance.one('==', '!=')} {self.json(scope, 0)}",
                                 'request.method != "PATCH"'),
            lambda: self._daring(f"{self.json(scope, 0)} {chance.one('==', '!=')} {self.literal('json')}",
                                 'request.method != "PUT"'),
            lambda: self._daring(f"{self.json(scope, 0)} {chance.one('<', '>=')} {self.number(scope, 0)}",
                                 'request.method == "GET"'),
            lambda: self._daring(self.json(scope, 0), 'request.path != "/x"'),
            lambda: self._daring(f"{self.json(scope, 0)} in {self.json(scope, 0)}", 'request.path != "/y"'),
        ]  # fmt: skip
        if depth <= 0:
            return f"({chance.call(*leaf)})"
        return "(" + chance.call(
            *leaf,
            lambda: f"{self.boolean(scope, less)} {chance.one('and', 'or')} {self.boolean(scope, less)}",
            lambda: f"{self.boolean(scope, less)} {chance.one('and', 'or')} {self.boolean(scope, less)}",
            lambda: f"not {self.boolean(scope, less)}",
            lambda: f"{self.list(scope, less)} contains {self.make(chance.one('string', 'number'), scope, 0)}",
            lambda: f"(bool({self.string(scope, less)}) ?? {self.boolean(scope, less)})",
            lambda: f"{self.json(scope, less)} in {self.list(scope, less)}",
        ) + ")"

    def json(self, scope: Scope, depth: int) -> str:
        chance = self.chance
        if (name := self._named("json", scope, False)) is not None:
            return name if chance.happens(0.4) else f"{name}.{chance.one(*MEMBERS)}"
        leaf = [
            lambda: f"request.json.{chance.one(*MEMBERS)}", lambda: f"request.json.{chance.one(*MEMBERS)}",
            lambda: f"request.json.items[{chance.one('0', '1', '7', '-1', '0.5')}]", lambda: "request.json.deep.a",
            lambda: 'xpath("/r/a", in: request)', lambda: f"request.json[{self.string(scope, 0)}]",
            lambda: f'jsonpath("$.{chance.one(*MEMBERS)}", in: request)',
            lambda: f'map("clients")[{chance.one("request.host", "service.name", chr(34) + "k1" + chr(34))}]',
            lambda: f"request.json.{chance.one(*MEMBERS)}", lambda: f"request.json.{chance.one(*MEMBERS)}",
            lambda: "user.claims",
        ]  # fmt: skip
        if (scope.response or scope.response_maybe) and scope.response_body:
            leaf += [lambda: f"response.json.{chance.one(*MEMBERS)}", lambda: 'jsonpath("$.a", in: response)']
        if depth <= 0:
            return chance.call(*leaf)
        less = depth - 1
        return chance.call(
            *leaf,
            lambda: f"({self.json(scope, less)} ?? {self.json(scope, less)})",
            lambda: f"parse_json({self.string(scope, less)})",
            lambda: f"(parse_json({self.string(scope, less)}) ?? request.json.{chance.one(*MEMBERS)})",
            lambda: f"{chance.one('first', 'last')}({self.list(scope, less)})",
            lambda: f"{self.list(scope, less)}[{chance.one('0', '1', '5')}]",
            lambda: self.map(scope, less),
        )

    def map(self, scope: Scope, depth: int) -> str:
        entries = ", ".join(
            f"{key}: {self.make(self.chance.one('string', 'number', 'boolean', 'json'), scope, depth - 1)}"
            for key in self.chance.dice.sample(MEMBERS, self.chance.dice.randint(1, 3))
        )
        return "{ " + entries + " }"

    def list(self, scope: Scope, depth: int) -> str:
        chance = self.chance
        if (name := self._named("list", scope, False)) is not None:
            return name
        leaf = [
            lambda: self.literal("list"), lambda: f"all(request.query.{chance.one(*QUERIES)})",
            lambda: f'all(request.header["{chance.one(*HEADERS)}"])',
            lambda: f'jsonpath("$.{chance.one("items[*]", "deep.*", "a", "items[0,1]")}", in: request, all: true)',
        ]  # fmt: skip
        if depth <= 0:
            return chance.call(*leaf)
        less = depth - 1
        return chance.call(
            *leaf,
            lambda: f"[{self.json(scope, less)}, {self.string(scope, less)}]",
            lambda: f"split({self.string(scope, less)}, {self.literal('string')})",
            lambda: f"{chance.one('reverse', 'unique')}({self.list(scope, less)})",
            lambda: f"concat({self.list(scope, less)}, {self.list(scope, less)})",
        )
