"""A cache whose block makes of every answer one that is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit, argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.source import Span
from policylang.tree.facts import answers

_FORBIDDING = ("no-store", "no-cache", "private")


class CacheKeepsNothing(Rule):
    """What stands in a `cache` block may be why it never keeps an answer.

    An answer with `Set-Cookie`, with a Cache-Control that forbids it, or compressed on its way is not kept, nor is what
    `respond` gives: each request goes to the upstream, and nothing but `Cache-Status` says it. Put it behind the block.

        cache ttl: 1m {
            route orders
            compress response
        }
    ==
        cache ttl: 1m {
            route orders
        }
        compress response
    """

    name: ClassVar[str] = "cache-keeps-nothing"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if calls(statement, "cache") and isinstance(statement, p.Invoke) and statement.block is not None:
                if not any(answers(inner) for inner in statement.block.statements):
                    yield Finding(
                        _head(statement.span), "no answer of an upstream comes out of this block",
                        help="`route` in it: what `respond` gives is not kept",
                    )  # fmt: skip
                continue
            cache = next((each for each in reversed(visit.parents) if calls(each, "cache")), None)
            why = _prevents(visit, cache) if cache is not None else ""
            if cache is not None and why:
                yield Finding(
                    statement.span, f"an answer {why} is not kept",
                    labels=[Label(_head(cache.span), "what this is to keep")], help="put it behind the block",
                )  # fmt: skip


def _head(span: Span) -> Span:
    end = span.source.text.find("{", span.start)
    return Span(span.source, span.start, len(span.source.text[:end].rstrip()))


def _prevents(visit: Visit, cache: p.Statement) -> str:
    """What it makes of every answer that comes out of the block, else empty."""
    statement = visit.statement
    if calls(statement, "compress"):
        return "that is compressed on its way"
    if visit.parents[-1] is not cache or not isinstance(statement, p.SetPlace):
        return ""
    place, value = statement.place, constant(statement.value)
    if not isinstance(place, p.NamedPlace) or (place.message, place.kind) != ("response", "header"):
        return ""
    field = str(constant(place.key)).lower()
    if field == "set-cookie":
        return "with `Set-Cookie`"
    forbids = field == "cache-control" and any(word in str(value).lower() for word in _FORBIDDING)
    if forbids and constant(argument(cache, "override")) is not True:
        return "with such a `Cache-Control`"
    return ""
