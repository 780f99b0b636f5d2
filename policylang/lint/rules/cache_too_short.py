"""A cache whose answers are over before they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.sdk.values import Duration

_SKEW = 2
"""Seconds by which a cluster gives an answer up before its end, as clocks may differ."""


class CacheTooShort(Rule):
    """A `ttl` of less than a second costs a write for every answer and spares next to none.

    Where many ask for one page at once, `collapse: true` lets one fetch it, however short it lives. On a cluster
    nothing is answered from what was to live for 2 seconds or less: it is given up so much earlier, as the clocks of
    machines differ. `least` is the shortest time, in seconds.

        cache ttl: 200ms { route orders }
    ==
        cache ttl: 5s { route orders }
    """

    name: ClassVar[str] = "cache-too-short"
    category: ClassVar[Category] = "performance"
    options: ClassVar[Mapping[str, Any]] = {"least": 1}

    def check(self, policy: Policy) -> Iterator[Finding]:
        cluster = any(each.name == "store" and each.values["kind"] == "hazelcast" for each in policy.program.gateway)
        for visit in policy.visits:
            ttl = argument(visit.statement, "ttl")
            time = constant(ttl)
            if ttl is None or not calls(visit.statement, "cache", "cache_store") or not isinstance(time, Duration):
                continue
            if cluster and time.seconds <= _SKEW:
                yield Finding(
                    ttl.span, f"on a cluster nothing is answered from what lives for {time}",
                    help=f"let it live for more than `{_SKEW}s`, by which clocks may differ",
                )  # fmt: skip
            elif time.seconds < self.given["least"] and constant(argument(visit.statement, "collapse")) is not True:
                yield Finding(
                    ttl.span, f"what is kept for {time} is seldom asked for again",
                    help="let it live longer, or let those who ask at once share one fetch: `collapse: true`",
                )  # fmt: skip
