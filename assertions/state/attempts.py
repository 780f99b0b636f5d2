"""What `lockout` keeps of one key, and how attempts change it: pure functions from stored bytes to stored bytes.

An attempt is written down before it is made, so that attempts that run side by side cannot be more than the limit; one
that is never ended (its worker died, its client left) counts until the window is over. Times are wall time in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from policylang.sdk import Changed

PASSED, REFUSED, NO_GUESS = "passed", "refused", "no guess"


class Rules(NamedTuple):
    """`after` refusals in `within` lock for `first`, each further refusal `growing` times as long, up to `longest`.

    `resets`: what passes makes an end of it.
    """

    after: int
    within: float
    first: float
    growing: float
    longest: float
    resets: bool


class Entered(NamedTuple):
    """`wait`: seconds until the lock ends; 0 where the attempt may be made."""

    wait: float


@dataclass(slots=True)
class _State:
    """`attempts`: when, whose, and whether it was refused. `level`: how often it was locked; `until`: how long yet."""

    attempts: list[tuple[float, str, bool]] = field(default_factory=list)
    level: int = 0
    until: float = 0.0

    @classmethod
    def read(cls, data: bytes | None, now: float, rules: Rules) -> _State:
        if data is None:
            return cls()
        level, until, *flat = orjson.loads(data)
        attempts = list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        return cls([each for each in attempts if each[0] + rules.within > now], level, until)

    def write(self, now: float, rules: Rules) -> tuple[bytes | None, float]:
        if not self.attempts and not self.level:
            return None, 0.0
        flat = [part for attempt in self.attempts for part in attempt]
        # The next lock is longer for as long after this one as this one was, and at least for the window.
        keeps = max(rules.within, locked_for(self.level, rules)) if self.level else rules.within
        return orjson.dumps([self.level, self.until, *flat]), max(self.until - now, 0.0) + keeps

    def allowed(self, rules: Rules) -> int:
        """Attempts until the next lock: after a first one each counts by itself."""
        return rules.after if self.level == 0 else 1


def locked_for(level: int, rules: Rules) -> float:
    """Seconds of the lock of that number, counted from 1."""
    try:
        return min(rules.first * rules.growing ** (level - 1), rules.longest)
    except OverflowError:
        return rules.longest


def enter(token: str, now: float, rules: Rules) -> Callable[[bytes | None], Changed]:
    """Answers with an Entered."""

    def change(before: bytes | None) -> Changed:
        state = _State.read(before, now, rules)
        if state.until > now:
            return Changed(Entered(state.until - now), before)
        if any(whose == token for _, whose, _ in state.attempts):  # the reply to this very change was lost
            return Changed(Entered(0.0), before)
        if len(state.attempts) >= state.allowed(rules):
            return Changed(Entered(1.0), before)  # as many are under way as may be
        state.attempts.append((now, token, False))
        return Changed(Entered(0.0), *state.write(now, rules))

    return change


def leave(token: str, outcome: str, now: float, rules: Rules) -> Callable[[bytes | None], Changed]:
    """Answers with the seconds that the key is locked from now on, 0 where it is not."""

    def change(before: bytes | None) -> Changed:
        state = _State.read(before, now, rules)
        others = [each for each in state.attempts if each[1] != token]
        if outcome != REFUSED:
            state.attempts = others
            if outcome == PASSED and rules.resets:
                state.attempts = [each for each in others if not each[2]]
                state.level, state.until = 0, 0.0
            return Changed(0.0, *state.write(now, rules))
        if state.until > now:  # another one has locked it: that counts for this one too
            state.attempts = others
            return Changed(0.0, *state.write(now, rules))
        own = next((each for each in state.attempts if each[1] == token), (now, token, False))
        state.attempts = [*others, (own[0], token, True)]
        if sum(refused for _, _, refused in state.attempts) < state.allowed(rules):
            return Changed(0.0, *state.write(now, rules))
        state.level += 1
        seconds = locked_for(state.level, rules)
        state.attempts, state.until = [each for each in state.attempts if not each[2]], now + seconds
        return Changed(seconds, *state.write(now, rules))

    return change
