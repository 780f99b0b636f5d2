"""A circuit breaker: pure, the time is passed in (monotonic nanoseconds)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PARTS: Final = 10
"""A window is counted in so many parts: what is older than it leaves a part at a time."""


@dataclass(frozen=True, slots=True)
class CircuitSettings:
    """`errors`, `slow`: shares above 0; times in ns. `slower_than` 0: nothing is slow."""

    errors: float = 0.5
    slow: float = 0.5
    slower_than: int = 0
    requests: int = 20
    window: int = 10_000_000_000
    pause: int = 5_000_000_000
    probes: int = 3


class Circuit:
    """Closed until too large a share of what `report` is told has failed or was slow; then open for `pause`.

    After that it is half open: `probes` are admitted, and when all were well it closes; one that was not opens it
    again. Whoever was admitted reports once, or says that it has `abandoned`. Should a probe never be heard of again,
    another one is admitted a `pause` later, so that a circuit can always close.

    `state` changes only within these calls: an open circuit is open until somebody asks after its pause.
    """

    __slots__ = (
        "_failed", "_failures", "_half_open_at", "_last_probe", "_opened_until", "_part", "_slow", "_slows",
        "_total", "_totals", "_trying", "_well", "_width", "settings", "state",
    )  # fmt: skip

    def __init__(self, settings: CircuitSettings) -> None:
        self.settings = settings
        self.state: Literal["closed", "open", "half-open"] = "closed"
        self._width = max(1, settings.window // PARTS)
        self._opened_until = 0
        self._half_open_at = 0
        self._last_probe = 0
        self._trying = 0
        self._well = 0
        self._clear(0)

    def admit(self, now: int) -> bool:
        """Whether a request may go through; if so, it has to report."""
        if self.state == "closed":
            return True
        if self.state == "open":
            if now < self._opened_until:
                return False
            self.state = "half-open"
            self._half_open_at = now
            self._trying = self._well = 0
        if self._trying + self._well >= self.settings.probes:
            if now < self._last_probe + self.settings.pause:
                return False
            self._trying -= 1  # one was lost
        self._trying += 1
        self._last_probe = now
        return True

    def report(self, now: int, failed: bool, took: int) -> None:
        """How one that was admitted `took` ns ago has ended."""
        settings = self.settings
        slow = 0 < settings.slower_than < took
        if self.state == "closed":
            part = now // self._width
            if part > self._part:
                self._turn(part)
            at = self._part % PARTS
            self._totals[at] += 1
            self._total += 1
            if failed:
                self._failures[at] += 1
                self._failed += 1
            if slow:
                self._slows[at] += 1
                self._slow += 1
            if (self._failed or self._slow) and self._total >= settings.requests and (
                self._failed >= settings.errors * self._total
                or (settings.slower_than and self._slow >= settings.slow * self._total)
            ):
                self._open(now)
        elif self.state == "half-open" and self._is_probe(now, took):
            self._trying -= 1
            if failed or slow:
                self._open(now)
                return
            self._well += 1
            if self._well >= settings.probes:
                self.state = "closed"
                self._clear(now)

    def abandoned(self, now: int, took: int = 0) -> None:
        """One that was admitted, `took` ns ago, has ended without saying anything about who was asked."""
        if self.state == "half-open" and self._is_probe(now, took):
            self._trying -= 1

    def until(self, now: int) -> int:
        """Nanoseconds until `admit` may say yes."""
        if self.state == "open":
            return max(0, self._opened_until - now)
        if self.state == "half-open" and self._trying + self._well >= self.settings.probes:
            return max(0, self._last_probe + self.settings.pause - now)
        return 0

    def _is_probe(self, now: int, took: int) -> bool:
        # What was admitted before the circuit opened, and ends only now, is no probe.
        return self._trying > 0 and now - took >= self._half_open_at

    def _open(self, now: int) -> None:
        self.state = "open"
        self._opened_until = now + self.settings.pause

    def _clear(self, now: int) -> None:
        self._part = now // self._width
        self._totals = [0] * PARTS
        self._failures = [0] * PARTS
        self._slows = [0] * PARTS
        self._total = self._failed = self._slow = 0

    def _turn(self, part: int) -> None:
        """Forget what is older than the window."""
        if part - self._part >= PARTS:
            self._totals = [0] * PARTS
            self._failures = [0] * PARTS
            self._slows = [0] * PARTS
            self._total = self._failed = self._slow = 0
        else:
            for each in range(self._part + 1, part + 1):
                at = each % PARTS
                self._total -= self._totals[at]
                self._failed -= self._failures[at]
                self._slow -= self._slows[at]
                self._totals[at] = self._failures[at] = self._slows[at] = 0
        self._part = part
