"""`cache_remove`"""

from __future__ import annotations

from typing import ClassVar

from policylang.sdk import Assertion, Exchange, Expr, Key, Outcome, param


class CacheRemove(Assertion):
    """Take a value out of a cache.

    Other workers of the machine do not find it any more within 20 ms, other machines of a cluster within 1 s. It passes
    where there is none. While the store is away it fails with 503: the value would be found again after that.

        cache_remove "prices", key: path.id
    """

    name: ClassVar[str] = "cache_remove"
    waits: ClassVar[bool | None] = True

    name_: str = param("The cache.", positional=True)
    key: Expr[Key] = param("What the value is kept under.")

    def evaluate(self, exchange: Exchange) -> Outcome:
        return exchange.environment.caches.drop_value(self.key(exchange))
