"""A cache that is only filled, or only asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.diagnostics.nearest import nearest
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule


class OneSidedCache(Rule):
    """A cache is known by its name, and nothing declares it: a slip in one letter makes two of it.

    Then nothing that is stored is ever found, and every request goes to the upstream as before.

        cache_lookup "prices", key: path.id -> price
        if price != none { respond 200, json: price }
        route orders, query: {}
        cache_store "price", key: path.id, value: response.json, ttl: 5m
    ==
        cache_lookup "prices", key: path.id -> price
        if price != none { respond 200, json: price }
        route orders, query: {}
        cache_store "prices", key: path.id, value: response.json, ttl: 5m
    """

    name: ClassVar[str] = "one-sided-cache"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        stored, read = self._names(policy, "cache_store"), self._names(policy, "cache_lookup")
        for visit in policy.visits:
            word = argument(visit.statement, "name")
            name = constant(word)
            if word is None or not isinstance(name, str):
                continue
            if calls(visit.statement, "cache_lookup", "cache_remove") and name not in stored:
                others, message = stored, f"nothing is stored in the cache `{name}`"
            elif calls(visit.statement, "cache_store") and name not in read:
                others, message = read, f"nothing is looked up in the cache `{name}`"
            else:
                continue
            close = nearest(name, sorted(others))
            # Where both sides are wrong, one is mended: the other would take the name that has just been given up.
            mendable = close is not None and close in read
            if others is stored and close is not None and close not in read:
                continue  # told where that one is stored
            yield Finding(
                word.span, message, help=f"did you mean `{close}`?" if close is not None else "use it on both sides",
                fix=Fix(f"write `{close}`", (Edit(word.span, f'"{close}"'),)) if mendable else None,
            )  # fmt: skip

    def _names(self, policy: Policy, assertion: str) -> set[str]:
        return {
            str(constant(argument(visit.statement, "name")))
            for visit in policy.visits
            if calls(visit.statement, assertion)
        }
