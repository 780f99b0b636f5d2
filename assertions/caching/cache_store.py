"""`cache_store`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from assertions.functions.encoding import dump_json
from policylang.sdk import Assertion, Duration, Exchange, Expr, Json, Key, Outcome, missing_value, param
from policylang.sdk.caches import LARGEST_VALUE, LONGEST


class CacheStore(Assertion):
    """Keep a value in a cache for a while: text, a number, or any JSON.

    It passes whether the cache could keep the value or not: the store may be away, and a value of over 1 MiB as JSON is
    not kept. So that no error is kept by accident, nothing is kept while `response` has a status other than 2xx, unless
    `errors: true` stands; and `none` cannot be kept: it fails with `missing-value`. What was there before may be found
    for 1 s more, by another worker. What is private needs `reveal()`: everybody reads a cache.

        cache_store "prices", key: path.id, value: response.json, ttl: 5m
    """

    name: ClassVar[str] = "cache_store"
    waits: ClassVar[bool | None] = True

    name_: str = param("The cache.", positional=True)
    key: Expr[Key] = param("What the value is kept under.")
    value: Expr[Json] = param("What is kept.", kept=True)
    ttl: Duration = param("How long it is kept.")
    errors_: bool = param("Keep it whatever the status of `response` is.", default="false")

    def evaluate(self, exchange: Exchange) -> Outcome:
        response = exchange.response
        if response is not None and not 200 <= response.status <= 299 and not self.errors_:
            return None
        value = self.value(exchange)
        if value is None:
            raise missing_value("`none` cannot be kept in a cache", status=400 if response is None else 502)
        data = dump_json(value)
        if len(data) <= LARGEST_VALUE:
            exchange.environment.caches.keep_value(self.key(exchange), data, self.ttl.seconds)
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        ttl = constants.get("ttl")
        if isinstance(ttl, Duration) and not 0 < ttl.seconds <= LONGEST:
            return f"`ttl` is longer than `0s`, and at most {Duration(LONGEST)}"
        return None
