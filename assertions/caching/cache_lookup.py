"""`cache_lookup`"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from types import CoroutineType
from typing import Any, ClassVar, cast

from policylang.sdk import Assertion, Exchange, Expr, Key, Outcome, param
from policylang.sdk import static_types as t
from policylang.sdk.parse import parse_json


class CacheLookup(Assertion):
    """Find what `cache_store` has put into a cache, or `none`.

    It never fails for want of a value: one may give way to others at any time, and when the store is away none is
    found. A value is never given past its ttl. What another worker has removed or replaced may be found for 20 ms more,
    on another machine of a cluster for 1 s. A cache is known by its name, in all services.

        cache_lookup "prices", key: path.id -> price
    """

    name: ClassVar[str] = "cache_lookup"
    waits: ClassVar[bool | None] = True
    outputs: ClassVar[Mapping[str, t.Type]] = {"value": t.JSON}

    name_: str = param("The cache.", positional=True)
    key: Expr[Key] = param("What the value is kept under.")

    def evaluate(self, exchange: Exchange) -> Outcome:
        found = exchange.environment.caches.value(self.key(exchange))
        if found.__class__ is CoroutineType:
            return self._asked(cast(Coroutine[Any, Any, bytes | None], found))
        return None if found is None else parse_json(cast(bytes, found), 500)

    async def _asked(self, waiting: Coroutine[Any, Any, bytes | None]) -> Outcome:
        found = await waiting
        return None if found is None else parse_json(found, 500)
