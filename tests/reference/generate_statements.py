"""Random statements: every form, nested to a bounded depth, mostly such as the checker accepts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from reference import generate_counting as counting
from reference.generate_counting import TYPES
from reference.generate_expressions import HEADERS, QUERIES, Chance, Expressions, Name, Scope

STATUSES = ("400", "401", "403", "404", "405", "422", "429", "500", "503")
OBSERVERS = ("log", "mirror")
QUOTED_PUT, QUOTED_HOST = '"PUT"', '"up.internal"'


@dataclass(frozen=True)
class Declared:
    """A user-defined assertion: its parameters' types and its outputs."""

    name: str
    parameters: tuple[tuple[str, str, bool], ...]
    """Name, type, whether it has a default."""
    outputs: tuple[Name, ...]
    responds: bool
    writes: bool
    ends: bool
    """Whether it can succeed at all."""


Lines = list[str]
Made = tuple[Lines, Scope, bool]
"""Lines, what may be read after them, and whether they can succeed."""


class Statements:
    """Each form gives its lines, what may be read after it, and whether it can succeed."""

    def __init__(self, chance: Chance, declared: list[Declared]) -> None:
        self.chance = chance
        self.expressions = Expressions(chance)
        self.declared = declared
        self.fresh = 0

    def new_name(self, stem: str = "v") -> str:
        self.fresh += 1
        return f"{stem}{self.fresh}"

    # A block: its lines, what may be read after it, and whether it can end at all.

    def block(self, scope: Scope, depth: int, size: int) -> tuple[Lines, Scope, bool]:
        lines: Lines = []
        for _ in range(size):
            made, scope, ends = self.statement(scope, depth)
            lines += made
            if not ends:
                return lines, scope, False
        return lines, scope, True

    def braces(self, scope: Scope, depth: int, most: int = 3) -> tuple[Lines, Scope, bool]:
        lines, scope, ends = self.block(scope, depth - 1, self.chance.dice.randint(1, most))
        return ["    " + line for line in lines], scope, ends

    def statement(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        """One statement, its scope after it, and whether it can succeed."""
        dice = self.chance.dice
        leaf = dice.choices(
            (self.require, self.let, self.set, self.remove, self.catalog, self.call_declared, self.ignore, self.end),
            (5, 6, 6 if scope.may_write else 0, 2 if scope.may_write else 0, 7, 3 if self.declared else 0, 0.5, 1.2),
        )[0]
        if depth <= 0 or self.chance.happens(0.5):
            return leaf(scope)
        form = dice.choice((
            self.all, self.any, self.any, self.none, self.parallel, self.if_, self.if_, self.match, self.match,
            self.for_, self.try_, self.try_, self.else_, self.else_, self.else_, self.taken_back, self.split,
            self.circuit, self.lockout, partial(counting.cached, self), partial(counting.with_permit, self),
        ))  # fmt: skip
        return form(scope, depth)

    # --- leaves ---

    def require(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        condition = self.expressions.boolean(scope, 2)
        mostly = self.chance.one("", ' or request.host != "nowhere"', ' or request.host != "nowhere"')
        return [f"require {condition}{mostly}"], scope, True

    def ignore(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        return ["ignore"], scope, True

    def let(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        name, line = self.let_of(self.new_name(), self.chance.one(*TYPES), scope)
        return [line], scope.bound(name), True

    def let_of(self, name: str, type: str, scope: Scope) -> tuple[Name, str]:
        private = "private " if self.chance.happens(0.15) else ""
        maybe = type == "string?" and self.chance.happens(0.6)
        plain = type.rstrip("?")
        value = self.expressions.make(type, scope, 2)
        if type == "string?" or type == "json":
            return Name(name, plain, maybe), f"let {private}{name}{'?' if maybe else ''} = {value}"
        return Name(name, plain), f"let {private}{name} = {value}"

    def set(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        expressions = self.expressions
        settable = [n for n in scope.names if n.settable and n.type in ("string", "number", "boolean", "json", "list")]
        choice = self.chance.one("header", "header", "header", "name", "query", "cookie", "body", "field")
        if choice == "name" and settable:
            name = self.chance.dice.choice(settable)
            type = name.type + ("?" if name.maybe and name.type == "string" else "")
            return [f"set {name.name} = {expressions.make(type, scope, 2)}"], scope, True
        message = "response" if scope.response and self.chance.happens(0.5) else "request"
        if choice == "query":
            return [f"set request.query.{self.chance.one(*QUERIES)} = {self.written(scope)}"], scope, True
        if choice == "cookie":
            cookie = self.chance.one('"fresh"', self.written(scope))
            return [f"set request.cookie.c = {cookie}"], scope, True
        if choice == "body":
            if self.chance.happens(0.5):
                return [f"set {message}.json = {expressions.map(scope, 1)}"], scope, True
            return [f"set {message}.{self.chance.one('body', 'text')} = {expressions.string(scope, 1)}"], scope, True
        if choice == "field" and message == "response":
            status = self.chance.one("200", "203", "404", expressions.number(scope, 1))
            return [f"set response.status = {status}"], scope, True
        if choice == "field" and self.chance.happens(0.3):
            path = self.chance.one('"/new/x y"', '"/new?q=1"', expressions.string(scope, 1))
            return [f"set request.path = {path}"], scope, True
        if choice == "field" and self.chance.happens(0.2):
            query = self.chance.one('"q=new&q=newer"', expressions.string(scope, 1))
            return [f"set request.query = {query}"], scope, True
        if choice == "field":
            method = self.chance.one('"GET"', '"POST"', '"PUT"', self.written(scope))
            return [f"set request.method = {method}"], scope, True
        return [self.set_header(message, self.chance.one(*HEADERS), scope)], scope, True

    def set_header(self, message: str, header: str, scope: Scope) -> str:
        return f'set {message}.header["{header}"] = {self.written(scope, 2)}'

    def written(self, scope: Scope, depth: int = 1) -> str:
        """What is put where text belongs: text, or at times what only the message can say."""
        if self.chance.happens(self.chance.daring / 2):
            return self.expressions.json(scope, 0)
        return self.expressions.string(scope, depth)

    def remove(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        message = "response" if scope.response and self.chance.happens(0.4) else "request"
        if message == "request" and self.chance.happens(0.3):
            return [f"remove request.query.{self.chance.one(*QUERIES)}"], scope, True
        return [f'remove {message}.header["{self.chance.one(*HEADERS)}"]'], scope, True

    def catalog(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        chance, expressions = self.chance, self.expressions
        choice = chance.one(
            "api_key", "api_key", "allow_ip", "deny_ip", "limit_size", "log", "rate_limit", "rate_limit", "route",
            "route", "mirror", "probe", "probe", "state", "state", "quota", "permit", "value",
        )  # fmt: skip
        match choice:
            case "api_key" if scope.may_write:
                line = f'api_key {expressions.maybe_string(scope, 0)}, in: map("clients")'
                if chance.happens(0.7):
                    line = 'api_key request.header["X-API-Key"], in: map("clients")'
                if chance.happens(0.3):
                    line += f', realm: "{chance.one("r1", "r2")}"'
                if chance.happens(0.5):
                    name = self.new_name("who")
                    return [f"{line} -> {name}"], scope.bound(Name(name, "json")), True
                return [line], scope, True
            case "allow_ip" | "deny_ip":
                networks = chance.one('"10.0.0.0/8"', '"192.0.2.0/24"', '"2001:db8::/32", "192.0.2.1"')
                return [f"{choice} {networks}"], scope, True
            case "limit_size":
                # After a `route` the request has been sent; whether it is held then is not laid down.
                message = "response" if scope.response else "request"
                sizes = ("10B", "60B", "1KB", "1MiB") if scope.response_body else ("10B", "4KB", "1MiB")
                return [f"limit_size {message}, {chance.one(*sizes)}"], scope, True
            case "rate_limit":
                return [counting.rate_limit(self, scope)], scope, True
            case "route" if scope.may_route:
                return self.route(scope)
            case "state" if scope.may_route:
                return counting.entry(self, scope)
            case "quota" if scope.may_write:
                return counting.quota(self, scope)
            case "permit" if scope.may_write:
                return counting.permit(self, scope)
            case "value" if scope.may_write:
                return counting.value(self, scope)
            case "mirror":
                share = chance.one("", "", ", share: 0.5", ", share: 1")
                return [f"mirror {chance.one('one', 'two')}{self.asked(scope)}{share}"], scope, True
            case "probe" | "route":
                return self.probe(scope)
        return [self.log(scope)], scope, True

    def log(self, scope: Scope) -> str:
        level = self.chance.one("", "", ", level: warning", ", level: debug")
        return f"log {self.expressions.template(scope, 1)}{level}"

    def route(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        retries = f", retries: {self.chance.one('0', '1')}" if self.chance.happens(0.1) else ""
        fails = self.chance.one("500..599", "503", "[404, 500..502]", "[200, 201]")
        fail_on = f", fail_on: {fails}" if self.chance.happens(0.2) else ""
        line = f"route {self.chance.one('one', 'two')}{self.asked(scope)}{retries}{fail_on}"
        return [line], replace(scope, response=True), True

    def asked(self, scope: Scope) -> str:
        """Which request an upstream gets: what `route` and `mirror` share."""
        target = ""
        if self.chance.happens(0.4):
            parts = [self.chance.one("items", "v1", "${request.path}", "${" + self.expressions.string(scope, 0) + "}")
                     for _ in range(self.chance.dice.randint(1, 2))]  # fmt: skip
            target = ', path: "/' + "/".join(parts).replace("/${request.path}", "${request.path}").lstrip("/") + '"'
            if target.startswith(', path: "/$' + "{request.path}"):
                target = target.replace('"/$' + "{request.path}", '"$' + "{request.path}", 1)
        if self.chance.happens(0.15):
            target += f", method: {self.chance.one(QUOTED_PUT, 'request.method', self.written(scope, 0))}"
        if self.chance.happens(0.1):
            target += f", host: {self.chance.one(QUOTED_HOST, 'request.host', self.written(scope, 0))}"
        if self.chance.happens(0.2):
            target += f", query: {self.query(scope)}"
        return target + (", timeout: 2s" if self.chance.happens(0.2) else "")

    def query(self, scope: Scope) -> str:
        if self.chance.happens(0.2):
            return self.chance.one('"a=1&b=%20"', "{}", '{ a: 1, "b c": ["x", none, true], n: none }')
        if self.chance.happens(0.2):
            return self.written(scope, 0)
        values = [
            self.chance.call(
                lambda: self.expressions.string(scope, 0), lambda: self.expressions.number(scope, 0),
                lambda: self.expressions.maybe_string(scope, 0), lambda: "all(request.query.q)",
                lambda: self.expressions.json(scope, 0), lambda: '["x y", 2]',
            )
            for _ in range(2)
        ]  # fmt: skip
        return f'{{ a: {values[0]}, "b&": {values[1]} }}'

    def probe(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        choice = self.chance.one(
            "give", "give", "give", "give", "pause", "pause", "pause", "pause", "refuse", "error", "away", "defect",
        )  # fmt: skip
        if choice == "give":
            name = self.new_name("given")
            line = f"probe.give {self.expressions.string(scope, 1)} -> {self.chance.one('', '', 'private ')}{name}"
            return [line], scope.bound(Name(name, "string")), True
        if choice == "refuse":
            return [f'probe.refuse "{self.chance.one("n1", "n2")}"'], scope, True
        if choice == "pause":
            return [f"probe.pause {self.chance.one('10ms', '250ms', '1s')}"], scope, True
        return [f"probe.{choice}"], scope, True

    def call_declared(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        usable = [
            d for d in self.declared
            if (scope.may_respond or not d.responds) and (scope.may_write or not d.writes)
        ]  # fmt: skip
        if not usable:
            return self.require(scope)
        declared = self.chance.dice.choice(usable)
        given = []
        named = False
        for name, type, optional in declared.parameters:
            if optional and self.chance.happens(0.5):
                named = True
                continue
            value = self.expressions.make(type, scope, 1)
            if type == "string" and self.chance.happens(self.chance.daring / 2):
                value = self.expressions.json(scope, 0)
            if value.startswith("{"):
                named = True
            named = named or self.chance.happens(0.3)
            given.append(f"{name}: {value}" if named else value)
        line = " ".join([declared.name, ", ".join(given)]).strip()
        if declared.outputs and self.chance.happens(0.8):
            outputs = [Name(self.new_name("out"), o.type, o.maybe) for o in declared.outputs]
            names = ", ".join(("private " if self.chance.happens(0.1) else "") + o.name for o in outputs)
            return [f"{line} -> {names}"], scope.bound(*outputs), declared.ends
        return [line], scope, declared.ends

    def end(self, scope: Scope) -> tuple[Lines, Scope, bool]:
        if scope.may_respond and self.chance.happens(0.7):
            return [self.respond(scope)], scope, False
        status = self.chance.one(*STATUSES)
        failures = scope.of("failure")
        if failures and self.chance.happens(0.4):
            status = f"{failures[0].name}.status"
        detail = f", {self.expressions.string(scope, 1)}" if self.chance.happens(0.7) else ""
        name = f', name: "{self.chance.one("too-odd", "gone")}"' if self.chance.happens(0.3) else ""
        return [f"fail {status}{detail}{name}"], scope, False

    def respond(self, scope: Scope) -> str:
        status = self.chance.one("200", "201", "202", "404", "503")
        if self.chance.happens(0.3):
            return f"respond {status}, body: {self.expressions.string(scope, 1)}"
        shown = {"a": 'request.header["X-A"]', "q": "all(request.query.q)", "m": "request.method", "u": "user.id"}
        shown |= {n.name: n.name for n in scope.names if n.type in ("string", "number", "boolean", "json", "list")}
        if scope.response:
            shown |= {"s": "response.status", "h": 'response.header["X-A"]'}
        for failure in scope.of("failure"):
            shown |= {"f": f"{failure.name}.name", "l": f"{failure.name}.line"}
        entries = ", ".join(f"{key}: {value}" for key, value in shown.items())
        header = f', header: {{ "X-R": {self.expressions.string(scope, 1)} }}' if self.chance.happens(0.3) else ""
        return f"respond {status}, json: {{ {entries} }}{header}"

    # --- forms ---

    def all(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        lines, after, ends = self.braces(scope, depth)
        return ["all {", *lines, "}"], after, ends

    def any(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        twin = self.twin()
        lines: Lines = []
        afters: list[Scope] = []
        for _ in range(self.chance.dice.randint(2, 3)):
            if twin is not None or self.chance.happens(0.3):
                inner, after, ends = self.branch(scope, depth, twin)
                made = ["all {", *inner, "}"]
            else:
                made, after, ends = self.statement(scope, depth - 1)
            lines += made
            if ends:
                afters.append(after)
        return ["any {", *indented(lines), "}"], self.joined(scope, afters), bool(afters)

    def none(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        inner = replace(scope, may_respond=False)
        lines: Lines = []
        for _ in range(self.chance.dice.randint(1, 3)):
            made, _, _ = self.statement(inner, depth - 1)
            lines += made
        return ["none {", *indented(lines), "}"], scope, True

    def parallel(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        """Branches that write different things; only one of them counts, pauses or calls."""
        inner = replace(scope, may_respond=False, may_route=False, may_write=False)
        headers = self.chance.dice.sample(("X-A", "X-B", "X-P"), 3)
        lines: Lines = []
        names: list[Name] = []
        for i in range(self.chance.dice.randint(2, 3)):
            body: Lines = []
            branch = inner
            if self.chance.happens(0.4):
                body.append(f"probe.pause {self.chance.one('10ms', '20ms', '30ms')}")
            if self.chance.happens(0.5):
                made, branch, _ = self.let(branch)
                names.append(branch.names[-1])
                body += made
            if self.chance.happens(0.5):
                body.append(self.set_header("request", headers[i], branch))
            if self.chance.happens(0.5):
                body.append(f"require {self.expressions.boolean(branch, 1)}")
            if not body or self.chance.happens(0.2):
                before = branch.names
                made, branch, _ = self.statement(branch, min(depth - 1, 1))
                names += [name for name in branch.names if name not in before]
                body += made
            lines += body if len(body) == 1 else ["all {", *indented(body), "}"]
        known = {n.name for n in scope.names}
        return ["parallel {", *indented(lines), "}"], scope.bound(*(n for n in names if n.name not in known)), True

    def if_(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        lines: Lines = []
        afters: list[Scope] = []
        complete = self.chance.happens(0.6)
        twin = self.twin() if complete else None
        for i in range(self.chance.dice.randint(1, 2)):
            lines[-1:] = [f"{'} else ' if i else ''}if {self.expressions.boolean(scope, 1)} {{"]
            body, after, ends = self.branch(scope, depth, twin)
            lines += [*body, "}"]
            if ends:
                afters.append(after)
        if complete:
            body, after, ends = self.branch(scope, depth, twin)
            lines[-1:] = ["} else {", *body, "}"]
            if ends:
                afters.append(after)
        else:
            afters.append(scope)
        return lines, self.joined(scope, afters), bool(afters)

    def match(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        type = self.chance.one("string", "number", "json", "string?")
        patterns = {
            "string": ['"a"', '"gold"', '"GET"', '"", "2"'], "number": ["0", "1..3", "200, 404", "1.5", "2.5..8"],
            "json": ['"a"', "1", "true", "none", "2..200", '"gold", 1.5, false'],
            "string?": ['"a"', '"gold", "2"', "none", '"k1"'],
        }[type]  # fmt: skip
        subject = self.expressions.make(type, scope, 1)
        lines = [f"match {f'({subject})' if subject.startswith('{') else subject} {{"]
        afters: list[Scope] = []
        twin = self.twin()
        cases = self.chance.dice.sample(patterns, self.chance.dice.randint(1, 3))
        if type in ("string", "json") and self.chance.constants and self.chance.happens(0.3):
            cases = [case for case in cases if "gold" not in case] + ["word_of_ours"]
        if self.chance.happens(0.7):
            cases.append("else")
        for case in cases:
            body, after, ends = self.branch(scope, depth, twin)
            simple = len(body) == 1 and not body[0].strip().endswith(("{", "}"))
            if simple:
                lines.append(f"    {case} -> {body[0].strip()}")
            else:
                lines += [f"    {case} -> {{", *indented(body), "    }"]
            if ends:
                afters.append(after)
        return [*lines, "}"], self.joined(scope, afters), bool(afters)

    def split(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        chance = self.chance
        shares = chance.dice.choice((("50", "50"), ("95", "5"), ("30", "30", "40"), ("33.3", "33.3", "33.4")))
        by = chance.one(
            "", "", "by: client.ip ", "by: client.ip ", f"by: {self.expressions.string(scope, 0)} ",
            "by: [client.ip, request.method] ", f"by: [{self.expressions.number(scope, 0)}, request.method] ",
        )  # fmt: skip
        if by and chance.happens(0.3):
            by = f'{by.rstrip()}, name: "trial" '
        lines = [f"split {by}{{"]
        afters: list[Scope] = []
        twin = self.twin()
        for share in shares:
            body, after, ends = self.branch(scope, depth, twin)
            lines += [f"    {share} -> {{", *indented(body), "    }"]
            if ends:
                afters.append(after)
        return [*lines, "}"], self.joined(scope, afters), bool(afters)

    def circuit(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        """Not in branches of `parallel`, which would share one."""
        if not scope.may_route:
            return self.all(scope, depth)
        chance = self.chance
        given = [f"requests: {chance.one('1', '2', '3')}", f"probes: {chance.one('1', '2')}"]
        given += [f"errors: {chance.one('0.3', '1')}"] if chance.happens(0.4) else []
        given += [f"window: {chance.one('1s', '3s')}"] if chance.happens(0.4) else []
        given += [f"pause: {chance.one('100ms', '2s')}"] if chance.happens(0.6) else []
        given += ["slower_than: 100ms", f"slow: {chance.one('0.4', '1')}"] if chance.happens(0.4) else []
        given += [f"per: {chance.one('client.ip', '[client.ip, request.method]')}"] if chance.happens(0.4) else []
        lines, after, _ = self.braces(scope, depth, 2)
        if chance.happens(0.7):
            made, after, _ = self.route(after)
            lines = ["    " + line for line in made] if chance.happens(0.5) else [*lines, *indented(made)]
        return [f"circuit_breaker {', '.join(given)} {{", *lines, "}"], replace(scope, response=after.response), True

    def lockout(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        """Not in branches of `parallel`, as a circuit."""
        if not scope.may_route:
            return self.all(scope, depth)
        chance = self.chance
        given = [chance.one("client.ip", "[client.ip, request.method]", self.expressions.string(scope, 0))]
        given += [f"after: {chance.one('1', '1', '2', '3')}"]
        given += [f"within: {chance.one('1s', '70s')}"] if chance.happens(0.5) else []
        given += [f"for: {chance.one('1s', '2s')}"] if chance.happens(0.8) else []
        given += [f"growing: {chance.one('1', '3')}"] if chance.happens(0.4) else []
        given += [f"max: {chance.one('60s', '61s')}"] if chance.happens(0.2) else []
        given += [f"answers: {chance.one('[]', '[404, 400]')}"] if chance.happens(0.3) else []
        given += ["resets: false"] if chance.happens(0.4) else []
        given += ["log_only: true"] if chance.happens(0.2) else []
        given += ['name: "locks"'] if chance.happens(0.2) else []
        lines, after, _ = self.braces(scope, depth, 2)
        if chance.happens(0.4):
            lines += indented(self.require(after)[0])
        return [f"lockout {', '.join(given)} {{", *lines, "}"], replace(scope, response=after.response), True

    def for_(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        name = self.new_name("each")
        over = self.expressions.list(scope, 1)
        if self.chance.happens(self.chance.daring):
            over = self.expressions.json(scope, 0)
        inner = scope.bound(Name(name, "json", settable=False))
        lines, _, _ = self.braces(inner, depth, 2)
        return [f"for {name} in {over} {{", *lines, "}"], scope, True

    def try_(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        twin = self.twin()
        body, after, ends = self.branch(scope, depth, twin)
        name = self.new_name("e")
        handler, caught, handled = self.branch(
            scope.bound(Name(name, "failure", settable=False)), depth, twin, swallow=True
        )
        caught = replace(caught, names=tuple(n for n in caught.names if n.name != name))
        afters = [s for s, can in ((after, ends), (caught, handled)) if can]
        lines = ["try {", *body, f"}} catch {name} {{", *handler, "}"]
        return lines, self.joined(scope, afters), bool(afters)

    def else_(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        """A postfix `else` stands after leaves, `any`, `all` and calls."""
        makers = (self.require, self.catalog, self.catalog, self.let, self.set) if scope.may_write else (self.require,)
        left, after, _ = self.chance.dice.choice(makers)(scope)
        if self.chance.happens(0.3):
            left, after, _ = (self.any if self.chance.happens(0.5) else self.all)(scope, depth - 1)
        if self.chance.happens(0.3):
            right, other, ends = self.require(scope) if self.chance.happens(0.5) else self.end(scope)
            return [*left[:-1], f"{left[-1]} else {right[0]}", *right[1:]], self.joined(
                scope, [after, other] if ends else [after]), True
        right, other, ends = self.branch(scope, depth, None, swallow=True)
        afters = [after, other] if ends else [after]
        return [*left[:-1], f"{left[-1]} else {{", *right, "}"], self.joined(scope, afters), True

    def taken_back(self, scope: Scope, depth: int) -> tuple[Lines, Scope, bool]:
        """A branch that writes and then fails for sure, and a way on."""
        if not scope.may_write:
            return self.any(scope, depth)
        body: Lines = []
        inner = scope
        for _ in range(self.chance.dice.randint(1, 3)):
            lines, inner, _ = self.chance.dice.choice((self.set, self.set, self.let, self.remove, self.catalog))(inner)
            body += lines
        refusal = self.chance.one('probe.refuse "n1"', 'require request.host == "nowhere"')
        body.append(refusal if self.chance.happens(0.7) else self.chance.one("probe.error", "probe.away"))
        branch = ["all {", *indented(body), "}"]
        form = self.chance.one("any", "none", "try", "else")
        if form == "any":
            return ["any {", *indented(branch), "    ignore", "}"], scope, True
        if form == "none" and not any("respond" in line for line in body):
            return ["none {", *indented(branch), "}"], scope, True
        if form == "else":
            return [*branch[:-1], "} else {", "    ignore", "}"], scope, True
        return ["try {", *indented(body), "} catch {", "    ignore", "}"], scope, True

    # --- branches ---

    def twin(self) -> tuple[str, str] | None:
        """A name that every branch binds, so that it is set after them."""
        if self.chance.happens(0.75):
            return None
        return self.new_name("w"), self.chance.one("string", "number", "boolean", "json")

    def branch(
        self, scope: Scope, depth: int, twin: tuple[str, str] | None, swallow: bool = False
    ) -> tuple[Lines, Scope, bool]:
        lines, after, ends = self.braces(scope, depth, 2)
        if twin is not None and ends:
            name, line = self.let_of(twin[0], twin[1], after)
            if twin[1] == "json":  # every branch must bind the same type: what only the message can say
                line = f"let {twin[0]} = request.json.{self.chance.one('a', 'b', 'tier')}"
            lines.append("    " + line)
            after = after.bound(name)
        if swallow and ends and (self.chance.happens(0.3) or only_observes(lines)):
            lines.append("    ignore")
        return lines, after, ends

    def joined(self, before: Scope, afters: list[Scope]) -> Scope:
        """What every branch that can lead here has set."""
        if not afters:
            return before
        common = [n for n in afters[0].names if all(n in s.names for s in afters)]
        return replace(before, names=tuple(common), response=all(s.response for s in afters))


def only_observes(lines: Lines) -> bool:
    watching = (*OBSERVERS, "all", "}", "any", "ignore", "if", "let")
    return all(line.strip().split(" ")[0] in watching for line in lines)


def indented(lines: Lines) -> Lines:
    return ["    " + line for line in lines]
