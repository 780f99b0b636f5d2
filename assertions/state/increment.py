"""`increment`"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from assertions.functions.encoding import dump_json
from assertions.state.entries import entry_key, lasts, too_long, value_of
from policylang.sdk import Assertion, Changed, Duration, Exchange, Expr, Key, Outcome, SharedMap, param
from policylang.sdk import static_types as t
from policylang.sdk.shared_map import packed, unpacked

_BITS = 1024


class Increment(Assertion):
    """Add to the number under a key of a map that lives in the store, in one step, and give the sum.

    A key without an entry counts from 0, and its entry lives for `ttl` from then on; to add to it does not prolong it.
    Whoever adds, through whichever worker or gateway, each gets a sum of his own. While the store is away it fails
    with 503, within the store's deadline; then it may have been added or not.

        increment "visits-${client.ip}", in: map("sessions"), ttl: 10m -> visits
    """

    name: ClassVar[str] = "increment"
    waits: ClassVar[bool | None] = True
    errors: ClassVar[Mapping[str, int]] = {"not-a-number": 500}
    outputs: ClassVar[Mapping[str, t.Type]] = {"sum": t.NUMBER}

    key: Expr[Key] = param("The entry's key.", positional=True, kept=True)
    in_: SharedMap = param("The map, declared with a `ttl`.")
    by: Expr[float] = param("What is added; it may be negative.", default="1", kept=True)
    ttl: Expr[Duration] | None = param("How long a new entry lives; left out: as the map says.", default=None)

    def evaluate(self, exchange: Exchange) -> Outcome:
        key, by = entry_key(self.key(exchange)), self.by(exchange)
        seconds = lasts(self.in_, None if self.ttl is None else self.ttl(exchange))
        now = exchange.environment.clock.wall()

        def change(before: bytes | None) -> Changed:
            if before is None:
                value: Any = 0
                until = now + seconds
            else:
                value, until = value_of(before), unpacked(before)[1]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                return Changed(self.failure("not-a-number", "the entry is no number"), before)
            total = value + by if _small(value) and _small(by) else math.inf
            if not _small(total):
                return Changed(self.failure("not-a-number", "the sum is too large for a number"), before)
            # Its end may be over for this clock and not yet for the store's.
            return Changed(total, packed(dump_json(total), until), max(until - now, 0.001))

        return exchange.environment.entries.update(self.in_.space, key, change)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return too_long(constants.get("ttl"), constants.get("in"))


def _small(number: float) -> bool:
    return math.isfinite(number) if isinstance(number, float) else number.bit_length() < _BITS
