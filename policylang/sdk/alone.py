"""Rate limits in one process, for while the store that it shares with others is away."""

from __future__ import annotations

from collections.abc import Sequence

from policylang.sdk.store import Limit
from policylang.sdk.window import Decision, admit_bucket, admit_window, expires_at, standing

MOST_KEYS = 50_000
"""So many keys are counted; while all of them live, a new one passes nothing. A key takes half a kilobyte at most."""

LOOKED_AT = 8
"""How many of the keys that were asked for longest ago are looked at for one to forget."""


class Alone:
    """This process's share of every limit: what one of `holders` may pass, so that all together keep to the limit.

    `holders` may change at any time. Never raises Unavailable.
    """

    __slots__ = ("_answered", "_keys", "_most", "holders")

    def __init__(self, holders: int, most_keys: int = MOST_KEYS) -> None:
        self.holders = holders
        self._answered: int | None = None
        self._most = most_keys
        self._keys: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        return self.admit_all(key, (Limit(limit, window, burst),), now, cost, count)[0]

    def admit_all(
        self, key: bytes, limits: Sequence[Limit], now: int, cost: int = 1, count: bool = True
    ) -> tuple[Decision, ...]:
        shares = [self._share(limit) for limit in limits]
        states = [self._state(key, share, now) for share in shares]
        found = [standing(state, *share[:3], now, cost) for state, share in zip(states, shares, strict=True)]
        if not count or not all(one.admitted for one in found):
            return tuple(found)
        if not self._room(sum(key + share.suffix not in self._keys for share in shares), now):
            return tuple(Decision(False, 0, one.reset, share.window / 1e9)
                         for one, share in zip(found, shares, strict=True))  # fmt: skip
        decisions = []
        for state, (most, window, burst, suffix) in zip(states, shares, strict=True):
            if burst:
                decision, changed = admit_bucket(state, most, window, burst, now, cost)
            else:
                decision, changed = admit_window(state, most, window, now, cost)
            if changed is not None:
                self._keys.pop(key + suffix, None)  # what is asked for now is forgotten last
                self._keys[key + suffix] = changed
            decisions.append(decision)
        return tuple(decisions)

    def answered(self, until: int) -> None:
        """The shared store may have let things pass until then (monotonic ns): every key begins as one whose share was
        all spent at that moment, which is no less than what was counted here before."""
        self._answered = until
        self._keys.clear()

    def _share(self, limit: Limit) -> Limit:
        return limit._replace(most=limit.most // self.holders)

    def _state(self, key: bytes, share: Limit, now: int) -> bytes | None:
        most, window, burst, suffix = share
        state = self._keys.get(key + suffix)
        if state is not None or self._answered is None or most < 1:
            return state
        # Whoever shares the limit may have spent all of it at the last moment.
        if burst:
            whole = most * burst // window
            return admit_bucket(None, most, window, burst, self._answered, whole)[1] if whole else None
        return admit_window(None, most, window, self._answered, most)[1]

    def _room(self, new: int, now: int) -> bool:
        """Whether `new` keys more may be kept."""
        if len(self._keys) + new <= self._most:
            return True
        oldest = [key for key, _ in zip(self._keys, range(LOOKED_AT), strict=False)]
        for key in oldest:
            if expires_at(self._keys[key]) <= now:
                del self._keys[key]
        return len(self._keys) + new <= self._most
