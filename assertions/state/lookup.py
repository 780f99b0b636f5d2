"""`lookup`"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping
from types import CoroutineType
from typing import Any, ClassVar, cast

from assertions.state.entries import entry_key, value_of
from policylang.sdk import Assertion, Changed, Exchange, Expr, Key, Outcome, SharedMap, param
from policylang.sdk import static_types as t


class Lookup(Assertion):
    """Find the entry of a key in a map that lives in the store.

    What was stored by any gateway, and acknowledged, is found by all, until its time is over. A key without an entry,
    and one that is `none`, is refused; with `optional` the entry is `none` then. With `once` the entry is removed in
    the same step, so that of all who ask for it one finds it: a code that counts once. While the store is away it
    fails with 503, within the store's deadline.

        lookup request.cookie.sid, in: map("sessions") -> session
    """

    name: ClassVar[str] = "lookup"
    waits: ClassVar[bool | None] = True
    failures: ClassVar[Mapping[str, int]] = {"no-entry": 403}
    outputs: ClassVar[Mapping[str, t.Type]] = {"entry": t.JSON}

    key: Expr[Key | None] = param("What is looked for.", positional=True)
    in_: SharedMap = param("The map, declared with a `ttl`.")
    optional: bool = param("Whether a missing entry is `none` instead of a refusal.", default="false")
    once: bool = param("Whether the entry is removed when it is found.", default="false")

    def evaluate(self, exchange: Exchange) -> Outcome:
        key = self.key(exchange)
        if key is None:
            return self._found(None)
        entries, space = exchange.environment.entries, self.in_.space
        if self.once:
            found = entries.update(space, entry_key(key), _taken)
        else:
            found = entries.read(space, entry_key(key))
        if found.__class__ is CoroutineType:
            return self._asked(cast(Coroutine[Any, Any, bytes | None], found))
        return self._found(cast(bytes | None, found))

    async def _asked(self, waiting: Coroutine[Any, Any, bytes | None]) -> Outcome:
        return self._found(await waiting)

    def _found(self, entry: bytes | None) -> Outcome:
        if entry is not None:
            return value_of(entry)
        return None if self.optional else self.failure("no-entry", "there is no such entry")

    @classmethod
    def refusals(cls, given: Mapping[str, Any]) -> Collection[str]:
        return () if given.get("optional") else cls.failures


def _taken(before: bytes | None) -> Changed:
    return Changed(before, None)
