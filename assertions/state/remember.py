"""`remember`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from assertions.state.entries import TOO_LARGE, entry_key, too_long, written
from policylang.sdk import Assertion, Changed, Duration, Exchange, Expr, Json, Key, Outcome, SharedMap, param


class Remember(Assertion):
    """Put an entry into a map that lives in the store, unless one of that key is there.

    Of all who try it with one key, whichever worker or gateway they come by, one passes until the entry's time is over
    or it is removed; the others are refused. While the store is away it fails with 503, within the store's deadline;
    then the entry may be there or not.

        remember request.header["Idempotency-Key"] ?? "", in: map("sessions"), value: { path: request.path }, ttl: 10m
    """

    name: ClassVar[str] = "remember"
    waits: ClassVar[bool | None] = True
    failures: ClassVar[Mapping[str, int]] = {"already-there": 409}
    errors: ClassVar[Mapping[str, int]] = TOO_LARGE

    key: Expr[Key] = param("The entry's key.", positional=True, kept=True)
    in_: SharedMap = param("The map, declared with a `ttl`.")
    value: Expr[Json] = param("What is stored.", default="true", kept=True)
    ttl: Expr[Duration] | None = param("How long it lives; left out: as the map says.", default=None)

    def evaluate(self, exchange: Exchange) -> Outcome:
        key, value = entry_key(self.key(exchange)), self.value(exchange)
        entry, seconds = written(exchange, self.in_, value, None if self.ttl is None else self.ttl(exchange))

        def change(before: bytes | None) -> Changed:
            if before is None:
                return Changed(None, entry, seconds)
            return Changed(self.failure("already-there", "there is such an entry already"), before)

        return exchange.environment.entries.update(self.in_.space, key, change, None)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return too_long(constants.get("ttl"), constants.get("in"))
