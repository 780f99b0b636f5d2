"""Heads that were read before.

A client that keeps its connection, and an upstream, say the same fields again and again. What stands between the
start line and the empty line means the same whenever it is the same to the byte, so it is read and judged once and
looked up afterwards: only heads that were accepted, end their message's framing in themselves and are short are kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

from runtime.wire.fields import Field
from runtime.wire.limits import WireLimits

T = TypeVar("T")

LONGEST: Final = 2048
"""Bytes of a head that is kept."""
MOST: Final = 1024
"""How many are kept; then all are forgotten."""
RESTS: Final = 16
"""How many ways to take fields away are kept of one head."""
REST: Final = 32 * MOST
"""For how many heads nothing is kept after keeping has not paid."""


class Rest:
    """Some of the fields of a known head. `lines`: what goes upstream of them; made by who sends them first."""

    __slots__ = ("headers", "lines")

    def __init__(self, headers: list[Field]) -> None:
        self.headers = headers
        self.lines: bytes | None = None


class KnownFields:
    """What the fields of a request without a body say. `closer`: whoever forwards it has to look at each field.

    `rests`: what is left of `headers` without the fields of some names, in the order in which a policy takes them away;
    the first, without none, is all. `texts`: values that were looked up, by lower-case name. `looked`: what the closer
    look has found, kept by who takes it.
    """

    __slots__ = ("closer", "connection", "dropped", "headers", "host", "keep_alive", "looked", "rests", "texts")

    def __init__(
        self,
        headers: list[Field],
        host: bytes,
        keep_alive: bool,
        connection: frozenset[bytes],
        dropped: tuple[bytes, ...],
    ) -> None:
        self.headers = headers
        self.host = host
        self.keep_alive = keep_alive
        self.connection = connection
        self.dropped = dropped
        self.closer = True
        self.looked: dict[bool, Any] = {}
        self.rests: dict[tuple[bytes, ...], Rest] = {(): Rest(headers)}
        self.texts: dict[bytes, str | None] = {}

    def without(self, names: tuple[bytes, ...]) -> Rest | None:
        """None where policies take away more than is worth keeping."""
        rest = self.rests.get(names)
        if rest is None and len(self.rests) < RESTS:
            before = self.without(names[:-1])
            if before is not None:
                rest = self.rests[names] = Rest([field for field in before.headers if field[0] != names[-1]])
        return rest


class Memo(Generic[T]):
    """`get` is the dictionary's own. Bounded, and it rests where what comes never comes again."""

    __slots__ = ("_known", "_resting", "get", "hits")

    def __init__(self) -> None:
        self._known: dict[bytes, T] = {}
        self.get = self._known.get
        self.hits = 0
        self._resting = 0

    def keep(self, head: bytes, meaning: T) -> None:
        if len(head) > LONGEST:
            return
        if self._resting:
            self._resting -= 1
            return
        if len(self._known) >= MOST:
            self._known.clear()
            if self.hits < MOST:
                self._resting = REST
            self.hits = 0
        self._known[head] = meaning


@lru_cache(maxsize=8)
def requests_known(limits: WireLimits) -> Memo[KnownFields]:
    """One for all connections under the same limits, as these decide what is accepted."""
    return Memo()
