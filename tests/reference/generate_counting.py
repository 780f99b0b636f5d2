"""Random statements that count or keep: limits, quotas, permits, entries of maps and of caches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reference.generate_expressions import Name, Scope

if TYPE_CHECKING:
    from reference.generate_statements import Made, Statements

QUOTED = '"k"'
TYPES = ("string", "string?", "number", "boolean", "json", "list")


def rate_limit(make: Statements, scope: Scope) -> str:
    chance = make.chance
    limit = chance.one("1/s", "2/s", "3/s", "1/min", "5/min", "2/hour")
    if chance.happens(0.3):
        limit = chance.one("[2/s, 3/min]", "[3/s, 5/min, 9/hour]", 'rate(int(request.query.n) ?? 2, "s")',
                           'rate(request.json.n, "min")', '[rate(2, "s") ?? 1/s, 4/min]')  # fmt: skip
    key = chance.one(
        "", "", ", per: client.ip", f", per: {make.expressions.string(scope, 0)}",
        ", per: [client.ip, request.method]",
        f", per: [{make.expressions.string(scope, 0)}, {make.expressions.number(scope, 0)}]",
    )  # fmt: skip
    name = chance.one("", "", "", ', name: "shared"', ', name: "other"')
    if chance.happens(0.1):
        return f"rate_limit_status {limit}{key}{name}"
    more = chance.one(
        "", "", "", ", when_down: reject", ", when_down: allow", ", fields: hidden", ", fields: legacy",
        ", by: 2", f", by: {make.expressions.number(scope, 0)}", ", blackout: 3s",
        ", blackout: 3s, when_down: reject", ", scope: node",
    )  # fmt: skip
    return f"rate_limit {limit}{key}{name}{more}{', log_only: true' if chance.happens(0.1) else ''}"


def entry(make: Statements, scope: Scope) -> Made:
    """Not in branches of `parallel`, which would share entries."""
    chance, expressions = make.chance, make.expressions
    hidden = chance.happens(0.6)
    there = f'in: map("{"hidden" if hidden else "table"}")'
    key = chance.one("client.ip", "client.ip", "request.method", "[client.ip, request.method]")
    if hidden:
        key = chance.one(key, key, expressions.string(scope, 0), f"[{expressions.number(scope, 0)}, client.ip]")
    value = chance.one("1", "1", "2.5", '"text"', "client.ip", "[1, none]", '{ a: "b", t: 5s }')
    if hidden:
        value = chance.one(value, expressions.make(chance.one(*TYPES), scope, 1))
    ttl = chance.one("", "", ", ttl: 1s", ", ttl: 20s", ", ttl: duration(request.query.n) ?? 5s")
    choice = chance.one("store", "store", "lookup", "lookup", "remember", "forget", "increment", "not_replayed")
    if choice == "store":
        return [f"store {key}, {value}, {there}{ttl}"], scope, True
    if choice == "remember":
        return [f"remember {key}, {there}{chance.one('', f', value: {value}')}{ttl}"], scope, True
    if choice == "forget":
        return [f"forget {chance.one(key, expressions.maybe_string(scope, 0))}, {there}"], scope, True
    if choice == "not_replayed":
        named = chance.one("", "", ', name: "ids"', ", log_only: true")
        return [f"not_replayed {key}, within: {chance.one('1s', '50s')}{named}"], scope, True
    if choice == "increment":
        name, by = make.new_name("sum"), chance.one("", "", ", by: 2", ", by: -0.5")
        return [f"increment {key}, {there}{by}{ttl} -> {name}"], scope.bound(Name(name, "number")), True
    name = make.new_name("found")
    key = chance.one(key, key, expressions.maybe_string(scope, 0))
    how = chance.one("", ", optional: true", ", optional: true", ", once: true", ", optional: true, once: true")
    line = f"lookup {key}, {there}{how}"
    if chance.happens(0.3):
        return [line], scope, True
    return [f"{line} -> {name}"], scope.bound(Name(name, "json")), True


def quota(make: Statements, scope: Scope) -> Made:
    """Not in branches of `parallel`, which would share it."""
    chance, expressions = make.chance, make.expressions
    limit = chance.one("1/s", "2/min", "3/min", "3/min", "2/hour", "4/day", "3/month")
    limit = chance.one(limit, limit, limit, 'rate(int(request.query.n) ?? 2, "min")', 'rate(request.json.n, "hour")')
    key = chance.one("", "", ", per: client.ip", f", per: {expressions.string(scope, 0)}",
                     ", per: [client.ip, request.method]")  # fmt: skip
    rest = chance.one("", "", ', zone: "Asia/Kolkata"', ', zone: "America/New_York"')
    rest += chance.one("", "", ', name: "shared"', ', name: "calls"')
    if chance.happens(0.2):
        most, left, reset = make.new_name("most"), make.new_name("left"), make.new_name("reset")
        return [f"quota_status {limit}{key}{rest} -> {most}, {left}, {reset}"], scope.bound(
            Name(most, "number"), Name(left, "number")), True
    rest += chance.one("", "", "", ", by: 2", f", by: {expressions.number(scope, 0)}", ", by: 0")
    rest += chance.one("", "", ", count: success", ", when_down: allow", ", fields: hidden", ", log_only: true")
    if chance.happens(0.5):
        return [f"quota {limit}{key}{rest}"], scope, True
    left = make.new_name("left")
    return [f"quota {limit}{key}{rest} -> {left}"], scope.bound(Name(left, "number")), True


def permit(make: Statements, scope: Scope) -> Made:
    """Until the exchange has ended."""
    line = limited(make, scope)
    if make.chance.happens(0.6):
        return [line], scope, True
    running = make.new_name("running")
    return [f"{line} -> {running}"], scope.bound(Name(running, "number")), True


def limited(make: Statements, scope: Scope) -> str:
    chance, expressions = make.chance, make.expressions
    limit = chance.one("1", "1", "2", "3", expressions.number(scope, 0))
    key = chance.one("", ", per: client.ip", f", per: {expressions.string(scope, 0)}")
    rest = chance.one("", "", ', name: "shared"', ', name: "calls"')
    rest += chance.one("", "", "", ", over: wait, wait: 1s", ", when_down: reject", ", log_only: true")
    return f"concurrency_limit {limit}{key}{rest}"


def with_permit(make: Statements, scope: Scope, depth: int) -> Made:
    """While a block runs. Not in branches of `parallel`."""
    if not scope.may_route:
        return make.all(scope, depth)
    lines, after, _ = make.braces(scope, depth, 2)
    return [f"{limited(make, scope)} {{", *lines, "}"], replace(scope, response=after.response), True


def value(make: Statements, scope: Scope) -> Made:
    """Of a cache. Not in branches of `parallel`, nor is what is private kept."""
    chance, expressions = make.chance, make.expressions
    key = f"key: {chance.one(QUOTED, QUOTED, 'client.ip', '[client.ip, request.host]')}"
    name = chance.one('"values"', '"values"', '"others"')
    choice = chance.one("store", "store", "lookup", "lookup", "remove")
    if choice == "store":
        kept = chance.one("1", '"text"', "client.ip", "[1, none]", '{ a: "b", t: 5s }', "request.json.a",
                          expressions.make(chance.one(*TYPES), scope, 1))  # fmt: skip
        errors = chance.one("", "", ", errors: true")
        return [f"cache_store {name}, {key}, value: {kept}, ttl: {chance.one('1s', '90s')}{errors}"], scope, True
    if choice == "remove":
        return [f"cache_remove {name}, {key}"], scope, True
    found = make.new_name("kept")
    return [f"cache_lookup {name}, {key} -> {found}"], scope.bound(Name(found, "json")), True


def cached(make: Statements, scope: Scope, depth: int) -> Made:
    """An answer that only the upstream has a part in: what a block goes by is the checker's business."""
    if not scope.may_route:
        return make.all(scope, depth)
    chance = make.chance
    key = chance.one("", "", "client.ip", "request.method", 'request.header["Authorization"] ?? ""')
    key = f", key: {key}" if key else ""
    rest = chance.one("", "", ", shared: true", ", max_size: 30B", ", statuses: 200..404", ", collapse: true")
    line = f"cache ttl: {chance.one('1s', '70s')}{key}{rest} {{ route {chance.one('one', 'two')} }}"
    return [line], replace(scope, response=True), True
