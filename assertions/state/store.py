"""`store`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from assertions.state.entries import TOO_LARGE, entry_key, too_long, written
from policylang.sdk import Assertion, Changed, Duration, Exchange, Expr, Json, Key, Outcome, SharedMap, param


class Store(Assertion):
    """Put an entry into a map that lives in the store, in the place of the one that may be there.

    When it has passed, every gateway finds the entry, also after a crash of one (and of one member of a cluster). It
    lives for `ttl`, from now, at most for the map's own. Its value is JSON of at most the map's `max_entry`. What is
    private may go into a map that is declared `private: true` only, which stores hashes of its keys. While the store is
    away it fails with 503, within the store's deadline; then the entry may be there or not.

        store "seen-${client.ip}", { path: request.path }, in: map("sessions"), ttl: 10m
    """

    name: ClassVar[str] = "store"
    waits: ClassVar[bool | None] = True
    errors: ClassVar[Mapping[str, int]] = TOO_LARGE

    key: Expr[Key] = param("The entry's key.", positional=True, kept=True)
    value: Expr[Json] = param("What is stored.", positional=True, kept=True)
    in_: SharedMap = param("The map, declared with a `ttl`.")
    ttl: Expr[Duration] | None = param("How long it lives; left out: as the map says.", default=None)

    def evaluate(self, exchange: Exchange) -> Outcome:
        key, value = entry_key(self.key(exchange)), self.value(exchange)
        entry, seconds = written(exchange, self.in_, value, None if self.ttl is None else self.ttl(exchange))
        return exchange.environment.entries.update(self.in_.space, key, lambda before: Changed(None, entry, seconds))

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return too_long(constants.get("ttl"), constants.get("in"))
