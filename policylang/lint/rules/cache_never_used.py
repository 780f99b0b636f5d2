"""A cache that is passed by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import surely
from policylang.lint.limits import key_of
from policylang.lint.look import Visit, argument, authenticates, calls, constant, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import agreed, earlier
from policylang.source import Span
from policylang.tree.facts import callers


class CacheNeverUsed(Rule):
    """A `cache` that every request passes by.

    For those who are known (`user` is set) it is bypassed, unless the key has `user` in it or `shared: true` says that
    the answers are for all: an output such as `caller.id` is not `user.id`. And it answers GET and HEAD only.

        api_key request.header["X-API-Key"], in: map("clients") -> caller
        remove request.header["X-API-Key"]
        cache ttl: 1m, key: caller.id {
            route orders
        }
    ==
        api_key request.header["X-API-Key"], in: map("clients")
        remove request.header["X-API-Key"]
        cache ttl: 1m, key: user.id {
            route orders
        }
    """

    name: ClassVar[str] = "cache-never-used"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_caches(policy))


def _caches(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    for visit in policy.visits:
        statement = visit.statement
        if isinstance(statement, p.Invoke) and calls(statement, "cache"):
            yield statement.span, _why(policy, visit, statement)


def _why(policy: Policy, visit: Visit, cache: p.Invoke) -> Finding | None:
    place = Span(cache.span.source, cache.span.start, cache.span.start + len("cache"))
    methods = visit.service.methods if visit.service is not None else ()
    if methods and not {"GET", "HEAD"} & set(methods) and not any(map(_sets_method, policy.visits_of(visit.service))):
        return Finding(place, f"a cache does not answer {' or '.join(methods)}", help="leave the cache out")
    key = key_of(cache)
    if constant(argument(cache, "shared")) is not True and not (key is not None and "user" in callers(key)):
        before = next((each for each in earlier(policy, visit) if surely(each, authenticates)), None)
        if before is not None:
            known = next((each for each in within(before) if authenticates(each)), before)
            return Finding(
                place, "nobody is answered from this cache: `user` is set, and not in its key",
                labels=[Label(known.span, "everybody is known from here on")],
                help="write `key: user.id`, or `shared: true` where the answers are for all",
            )  # fmt: skip
    return None


def _sets_method(visit: Visit) -> bool:
    return isinstance(visit.statement, p.SetPlace) and visit.statement.place == p.FieldPlace("request", "method")
