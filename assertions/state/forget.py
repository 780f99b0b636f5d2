"""`forget`"""

from __future__ import annotations

from typing import ClassVar

from assertions.state.entries import entry_key
from policylang.sdk import Assertion, Changed, Exchange, Expr, Key, Outcome, SharedMap, param


class Forget(Assertion):
    """Remove the entry of a key from a map that lives in the store.

    When it has passed, no gateway finds it; it passes also where there was none, and where the key is `none`. While
    the store is away it fails with 503, within the store's deadline; then the entry may be there or not.

        forget request.cookie.sid, in: map("sessions")
    """

    name: ClassVar[str] = "forget"
    waits: ClassVar[bool | None] = True

    key: Expr[Key | None] = param("The entry's key.", positional=True)
    in_: SharedMap = param("The map, declared with a `ttl`.")

    def evaluate(self, exchange: Exchange) -> Outcome:
        key = self.key(exchange)
        if key is None:
            return None
        return exchange.environment.entries.update(self.in_.space, entry_key(key), _removed)


def _removed(before: bytes | None) -> Changed:
    return Changed(None, None)
