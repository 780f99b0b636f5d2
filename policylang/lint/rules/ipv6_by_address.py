"""An IPv6 client counted by one of its addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.guards import on_loopback
from policylang.lint.limits import items
from policylang.lint.look import argument, calls, given, parts
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule, Severity
from policylang.lint.ways import meaning


class Ipv6ByAddress(Rule):
    """A limit counts single addresses, and clients may come by IPv6.

    Whoever has one IPv6 address has a whole /64 of them, and can take another for each request. `network_of` keeps an
    IPv4 address as it is, and of an IPv6 address its /64.

        gateway {
            listen "[::]:8080"
        }

        service search "/search" {
            rate_limit 10/s, per: client.ip
            route orders
        }
    ==
        gateway {
            listen "[::]:8080"
        }

        service search "/search" {
            rate_limit 10/s, per: network_of(client.ip)
            route orders
        }
    """

    name: ClassVar[str] = "ipv6-by-address"
    category: ClassVar[Category] = "security"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        if not policy.public or not _reachable(policy):
            return
        for visit in policy.visits:
            if calls(visit.statement, "rate_limit", "quota", "lockout"):
                name = "key" if calls(visit.statement, "lockout") else "per"
                key = argument(visit.statement, name)
                for part in () if key is None else _items(policy, visit.service, key):
                    if isinstance(part, p.ContextValue) and (part.root, part.field) == ("client", "ip"):
                        written = given(visit.statement, name)
                        plain = written is not None and any(each is part for each in parts(written))
                        yield Finding(
                            visit.statement.span if written is None else part.span if plain else written.span,
                            "an IPv6 client has 2^64 addresses, and each counts by itself here",
                            help="count by `network_of(client.ip)`",
                            fix=Fix("write `network_of(client.ip)`", (Edit(part.span, "network_of(client.ip)"),))
                            if plain else None,
                        )  # fmt: skip


def _items(policy: Policy, service: p.Service | None, key: p.Expr) -> tuple[p.Expr, ...]:
    """Of a key that tells who somebody is by another part, the address is an addition."""
    key = meaning(policy, service, key)
    if isinstance(key, p.FunctionCall) and key.card.name == "string":
        return _items(policy, service, key.args[0])
    if not isinstance(key, (p.ListOf, p.Template)):
        return (key,)
    found = tuple(meaning(policy, service, each) for each in items(key))
    addresses = all(isinstance(each, (p.ContextValue, p.Const)) for each in found)
    return found if addresses and not any(_user(each) for each in found) else ()


def _user(expr: p.Expr) -> bool:
    return isinstance(expr, p.ContextValue) and expr.root == "user"


def _reachable(policy: Policy) -> bool:
    """Whether an IPv6 client can be told of: it comes by IPv6, or somebody in front says where it came from."""
    if any(each.name == "trusted_proxies" and each.values["networks"] for each in policy.program.gateway):
        return True
    return any(
        each.values["proxy_protocol"] or (host.startswith("[") and not on_loopback(host))
        for each in policy.listens if (host := str(each.values["address"]).rpartition(":")[0])
    )  # fmt: skip
