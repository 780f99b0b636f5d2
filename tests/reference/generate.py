"""Random policies as text, and messages for them."""

from __future__ import annotations

import json
import random

from reference import generate_counting as counting
from reference.generate_expressions import Chance, Name, Scope
from reference.generate_messages import Exchange, make_exchange, make_exchanges
from reference.generate_statements import Declared, Lines, Statements, indented

CLIENTS = {
    "k1": {"id": "ann", "contract": "gold", "roles": ["admin", 7], "n": 2},
    "k2": {"id": "bob", "contract": "silver", "tier": "gold"},
    "k3": {"contract": "none"},
    "k4": None,
    "a": "just text",
}
FILES = {"clients.json": json.dumps(CLIENTS).encode()}

HEAD = """\
map clients, file: "clients.json"
map table, ttl: 30s, max_entry: 200B
map hidden, ttl: 1h, private: true
upstream one {
    server "http://127.0.0.1:9001"
}
upstream two {
    server "http://127.0.0.1:9002"
}
"""

SERVICES = (
    ('"/a/{id}"', ("id",), ("/a/x%20y", "/a/7", "/a/b")),
    ('"/a/b"', (), ("/a/b",)),
    ('"/a/{id}/c", "/c/{id}"', ("id",), ("/a/7/c", "/c/z")),
    ('"/d/**"', (), ("/d", "/d/e/f", "/d/%C3%A9")),
    ('"/a/b", methods: ["GET", "PUT"]', (), ("/a/b",)),
    ('"/a/{id}", methods: ["POST"], host: "api.example"', ("id",), ("/a/b", "/a/7")),
    ('"/d/{id}/**", host: "*.wild.example"', ("id",), ("/d/e/f", "/d/%C3%A9")),
    ('"/**"', (), ("/", "/a/b", "/nowhere")),
)  # fmt: skip
"""Arguments of a service, its captures, and paths that lead there."""
PATHS = ("/a/b", "/a/x%20y", "/a/7/c", "/c/z", "/d", "/d/e/f", "/nowhere")


class Generator:
    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.chance = Chance(self.dice, self.dice.choice((0.05, 0.2, 0.5)))
        self.declared: list[Declared] = []
        self.statements = Statements(self.chance, self.declared)
        self.paths: list[str] = list(PATHS[: self.dice.randint(1, len(PATHS))])

    def policy(self) -> str:
        parts: Lines = HEAD.splitlines()
        if self.chance.happens(0.5):
            parts += ['let limit_of_ours = 2', 'let word_of_ours = "gold"', 'let list_of_ours = ["a", 1, none]']
            self.chance.constants = (
                Name("limit_of_ours", "number"), Name("word_of_ours", "string"), Name("list_of_ours", "list"),
            )  # fmt: skip
        for _ in range(self.dice.choice((0, 0, 1, 2))):
            parts += self.assertion()
        for _ in range(self.dice.choice((0, 0, 0, 1, 2))):
            lines, _, _ = self.statements.block(Scope(may_route=False), 1, self.dice.randint(1, 2))
            parts += ["global before {", *indented(lines), "}"]
        for place, captures, paths in self.dice.sample(SERVICES, self.dice.choice((1, 1, 1, 2))):
            parts += self.service(place, captures)
            self.paths += paths * 4
        for _ in range(self.dice.choice((0, 0, 1))):
            scope = Scope(response=True, response_body=False, may_respond=False, may_route=False)
            lines, _, _ = self.statements.block(scope, 1, self.dice.randint(1, 2))
            parts += ["global after {", *indented(lines), "}"]
        return "\n".join(parts) + "\n"

    def counting_policy(self) -> str:
        """Of little else than what counts and what keeps."""
        self.chance.daring = 0.05
        self.paths = ["/a/7"]
        make, scope, lines = self.statements, Scope(captures=("id",)), Lines()
        for _ in range(self.dice.randint(1, 4)):
            if self.chance.happens(0.3):
                made, scope, _ = self.dice.choice((counting.with_permit, counting.cached))(make, scope, 2)
            else:
                leaves = (counting.quota, counting.quota, counting.permit, counting.value, counting.value)
                made, scope, _ = self.dice.choice(leaves)(make, scope)
            lines += made
        if not scope.response or self.chance.happens(0.3):
            lines.append(make.respond(scope))
        return "\n".join([*HEAD.splitlines(), 'service counting "/a/{id}" {', *indented(lines), "}"]) + "\n"

    def service(self, place: str, captures: tuple[str, ...]) -> Lines:
        scope = Scope(captures=captures)
        lines, after, ends = self.statements.block(scope, self.dice.choice((1, 2, 2, 3)), self.dice.randint(1, 5))
        if ends:
            if self.chance.happens(0.35):
                made, after, _ = self.statements.route(after)
                lines += made
                if self.chance.happens(0.5):
                    made, after, ends = self.statements.statement(after, 1)
                    lines += made
            else:
                lines.append(self.statements.respond(after))
        if self.chance.happens(0.25):
            failed = Scope(names=(Name("failure", "failure", settable=False),), captures=captures, response_maybe=True)
            inner, _, ends = self.statements.block(failed, 1, self.dice.randint(1, 2))
            if ends and self.chance.happens(0.4):
                inner.append(self.statements.respond(failed))
            lines += ["on failure {", *indented(inner), "}"]
        name = f"s{self.statements.new_name('')}"
        return [f"service {name} {place} {{", *indented(lines), "}"]

    def assertion(self) -> Lines:
        name = self.statements.new_name("check")
        parameters: list[tuple[str, str, bool]] = []
        text = []
        for _ in range(self.dice.choice((0, 1, 2))):
            type = self.dice.choice(("string", "number", "json", "list", "boolean"))
            optional = self.chance.happens(0.3) and type in ("string", "number")
            if parameters and parameters[-1][2]:
                optional = type in ("string", "number")
            if parameters and parameters[-1][2] and not optional:
                continue
            word = self.statements.new_name("p")
            parameters.append((word, type, optional))
            default = {"string": ' = "std"', "number": " = 3"}[type] if optional else ""
            text.append(f"{'private ' if self.chance.happens(0.1) else ''}{word}: {type}{default}")
        scope = Scope(
            names=tuple(Name(word, type, settable=False) for word, type, _ in parameters),
            may_respond=self.chance.happens(0.3), may_route=False, may_write=self.chance.happens(0.6),
        )  # fmt: skip
        responds = scope.may_respond
        lines, after, ends = self.statements.block(scope, 2, self.dice.randint(1, 3))
        outputs: tuple[Name, ...] = ()
        if ends:
            made = [n for n in after.names if n not in scope.names and n.type != "failure"]
            outputs = tuple(self.dice.sample(made, min(len(made), self.dice.choice((0, 1, 2)))))
        arrow = f" -> {', '.join(o.name for o in outputs)}" if outputs else ""
        self.declared.append(Declared(name, tuple(parameters), outputs, responds, scope.may_write, ends))
        return [f"assertion {name}({', '.join(text)}){arrow} {{", *indented(lines), "}"]

    def messages(self, count: int) -> list[Exchange]:
        return [make_exchange(self.dice, self.paths) for _ in range(count)]

    def counted_messages(self, count: int) -> list[Exchange]:
        return make_exchanges(self.dice, self.paths, count)
