"""A cache whose block sets what forbids to keep the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit, argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.source import Span
from policylang.tree.facts import blocks

_FORBIDDING = re.compile(r"no-store|no-cache|private|s-maxage=0\b|^(?!.*s-maxage).*max-age=0\b", re.I)


class CacheKeepsNothing(Rule):
    """A field that is set in a `cache` block may be why it never keeps an answer.

    An answer with `Set-Cookie`, or with a `Cache-Control` such as `no-store` or `max-age=0`, is not kept: each request
    goes to the upstream, and nothing but `Cache-Status` says it. What is set behind the block, answers from the cache
    have too.

        cache ttl: 1m {
            route orders
            set response.header["Cache-Control"] = "no-store"
        }
    ==
        cache ttl: 1m { route orders }
        set response.header["Cache-Control"] = "no-store"
    """

    name: ClassVar[str] = "cache-keeps-nothing"
    category: ClassVar[Category] = "performance"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            cache = next((each for each in reversed(visit.parents) if calls(each, "cache")), None)
            why = _prevents(visit, cache) if cache is not None else ""
            if cache is not None and why:
                yield Finding(
                    visit.statement.span, f"an answer {why} is not kept",
                    labels=[Label(_head(cache), "what this is to keep")], help="put it behind the block",
                )  # fmt: skip


def _head(cache: p.Statement) -> Span:
    source, start = cache.span.source, cache.span.start
    end = blocks(cache)[0].span.start
    return Span(source, start, start + len(source.text[start:end].rstrip()))


def _prevents(visit: Visit, cache: p.Statement) -> str:
    """What it makes of every answer that comes out of the block, else empty."""
    statement = visit.statement
    if visit.parents[-1] is not cache or not isinstance(statement, p.SetPlace):
        return ""
    place, value = statement.place, constant(statement.value)
    if not isinstance(place, p.NamedPlace) or (place.message, place.kind) != ("response", "header"):
        return ""
    field = str(constant(place.key)).lower()
    if field == "set-cookie":
        return "with `Set-Cookie`"
    forbids = field == "cache-control" and _FORBIDDING.search(str(value)) is not None
    return "with such a `Cache-Control`" if forbids and constant(argument(cache, "override")) is not True else ""
