"""One name for counters of different things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import LIMITS, items, key_of
from policylang.lint.look import argument, calls, constant, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import meaning, sources


class CounterNameClash(Rule):
    """Limits of one name share a counter, so they must count the same things.

    Where one counts by address and the other by client, what a client is called may be another's address, and what the
    operator sees under the name is neither.

        rate_limit 100/s, per: client.ip, name: "orders"
        api_key request.header["X-API-Key"], in: map("clients") -> caller
        rate_limit 10/s, per: caller.id, name: "orders"
        remove request.header["X-API-Key"]
        route orders
    ==
        rate_limit 100/s, per: client.ip, name: "addresses"
        api_key request.header["X-API-Key"], in: map("clients") -> caller
        rate_limit 10/s, per: caller.id, name: "clients"
        remove request.header["X-API-Key"]
        route orders
    """

    name: ClassVar[str] = "counter-name-clash"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        first: dict[tuple[str, str], tuple[p.Statement, tuple[str, ...]]] = {}
        for visit in policy.visits:
            statement = visit.statement
            key = key_of(statement)
            word = constant(argument(statement, "name"))
            if key is None or not isinstance(word, str) or not calls(statement, *LIMITS, "lockout", "not_replayed"):
                continue
            assert isinstance(statement, p.Invoke)
            made = tuple(_kind(policy, visit.service, each) for each in items(meaning(policy, visit.service, key)))
            other, there = first.setdefault((statement.card.name, word), (statement, made))
            if _differ(made, there):
                seen = key_of(other)
                yield Finding(
                    key.span, f"`{word}` counts by `{text_of(key)}` here, and by something else elsewhere",
                    labels=[Label(seen.span if seen is not None else other.span, "counted by this")],
                    help="give one of them another name",
                )  # fmt: skip


def _kind(policy: Policy, service: p.Service | None, item: p.Expr) -> str:
    """Whom a part of a key stands for; empty where nobody can tell."""
    kinds = set()
    for each in sources(policy, service, item):
        if isinstance(each, p.Invoke):
            kinds.add("caller" if each.card.group == "identity" else "")
        elif isinstance(each, p.ContextValue):
            kinds.add({"user": "caller", "client": "address"}.get(each.root, ""))
        elif isinstance(each, (p.Named, p.MessageField)):
            kinds.add("")
    return kinds.pop() if len(kinds) == 1 else ""


def _differ(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if len(one) != len(other):
        return True
    return any(a and b and a != b for a, b in zip(one, other, strict=True))
