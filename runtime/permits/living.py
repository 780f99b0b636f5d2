"""Who lives, as a holder of permits sees it.

Every holder raises its number in the entry of all holders once a second, and sees the others' numbers in doing so.
Whose number has not moved for 12 s, by the clock of the one who looks, is dead; nobody's wall clock decides anything.
Whoever could not raise its own for 10 s gives its permits up before that, and comes back as another holder.

A store that was lost as a whole has no entry any more, or one of another epoch. A new epoch is closed for 12 s: by then
the living have said again what they hold, or have given it up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from policylang.sdk import Clock, Entries
from runtime.permits.calls import ask
from runtime.permits.rows import HOLDERS, ID, SPACE, Roll, renewal

BEAT: Final = 1.0
"""Seconds between two renewals."""
GIVES_UP: Final = 10_000_000_000
"""Nanoseconds without a renewal after which a holder has lost its permits."""
DEAD: Final = 12_000_000_000
"""Nanoseconds in which a number has not moved after which its holder is dead: 10 s, and time to cut what goes on. With
two renewals, the last one seen late and the first that finds it dead, it comes to less than 15 s after a crash."""
CLOSED: Final = 12_000_000_000
"""Nanoseconds that a new epoch is closed."""


class Living:
    """One holder's view. `lost` is called when its permits are lost, `renewed` after each renewal.

    `ready`: permits may be asked for; `confirmed`: the store is there, and permits that are out may be said again;
    `doubted`: that is being found out. `holders`: how many live, 0 where nobody knows. `until`: the monotonic time at
    which the permits are lost unless it is renewed before. `generation` rises when an answer to what the store was
    asked before means nothing any more.
    """

    def __init__(
        self, entries: Entries, clock: Clock, cluster: bool, lost: Callable[[], None], renewed: Callable[[bool], None],
        report: Callable[[BaseException], None], tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.id = os.urandom(ID)
        self.generation = 0
        self.until = 0
        self.ready = False
        self.confirmed = False
        self.doubted = False
        self.holders = 0
        self._entries = entries
        self._monotonic = clock.monotonic
        self._sleep = clock.sleep
        self._cluster = cluster
        self._lost = lost
        self._renewed = renewed
        self._report = report
        self._tell = tell
        self._epoch: bytes | None = None
        self._epoch_since = 0
        self._seen: dict[bytes, tuple[int, int]] = {}  # by id: its number, and when it was first seen with it
        self._dead: frozenset[bytes] = frozenset()
        self._asking = False
        self._doubts = 0
        self._after: list[Callable[[bool], None]] = []
        self._started = False

    def start(self) -> None:
        """Renew from now on."""
        if not self._started:
            self._started = True
            self._beat()

    def _beat(self) -> None:
        self._sleep(BEAT).callback = self._beat  # first: whatever goes wrong below, it goes on
        self.check(self._monotonic())
        self.renew()

    def check(self, now: int) -> None:
        """Give everything up if it is too long ago that somebody could see that this one lives."""
        if self.until and now >= self.until:
            self.lapse()

    def lapse(self) -> None:
        self.generation += 1
        self.id = os.urandom(ID)
        self.until = 0
        self.ready = self.confirmed = False
        self._epoch = None
        self._lost()

    def doubt(self, looked: Callable[[], None]) -> None:
        """The store may be another one than before: nothing of it is believed until it has been `looked` at."""
        self.generation += 1
        self.ready = self.confirmed = False
        if self._started:
            self.doubted = True
            self._doubts += 1
            self.renew(self._certain(looked))

    def _certain(self, looked: Callable[[], None]) -> Callable[[bool], None]:
        def told(made: bool) -> None:
            self._doubts -= 1
            self.doubted = self._doubts > 0
            if not self.doubted:
                looked()

        return told

    def unknown(self, strangers: tuple[bytes, ...]) -> bool:
        """Whether one of them is not among the living: it may have come after the last renewal, or be dead."""
        seen = self._seen
        return any(id not in seen for id in strangers)

    def dead(self, strangers: tuple[bytes, ...]) -> frozenset[bytes]:
        """Those who are not among the living, as they were seen after the last renewal began."""
        return frozenset(id for id in strangers if id not in self._seen and id != self.id)

    def renew(self, then: Callable[[bool], None] | None = None) -> None:
        """`then` hears whether a renewal that began after this call has been made."""
        if self._asking:
            if then is not None:
                self._after.append(then)
            return
        self._asking = True
        began, generation = self._monotonic(), self.generation
        change = renewal(self.id, self._epoch, os.urandom(ID), self._dead, self._opened(began), not self._cluster)

        def told(roll: Any, error: BaseException | None) -> None:
            self._asking = False
            made = error is None and generation == self.generation and self._take(roll, began)
            if then is not None:
                then(made)
            self._renew_for_those_who_wait()

        ask(lambda: self._entries.update(SPACE, HOLDERS, change), told, self._report)

    def _renew_for_those_who_wait(self) -> None:
        waiting, self._after = self._after, []
        if not waiting:
            return

        def tell(made: bool) -> None:
            for call in waiting:
                call(made)

        self.renew(tell)

    def _opened(self, now: int) -> bytes | None:
        return self._epoch if self._epoch is not None and now - self._epoch_since >= CLOSED else None

    def _take(self, roll: Roll, began: int) -> bool:
        """False where the permits are lost."""
        now = self._monotonic()
        if not roll.there or now >= began + GIVES_UP:
            self.lapse()
            return False
        lost = False
        if roll.epoch != self._epoch:
            lost = self._epoch is not None
            self._epoch, self._epoch_since = roll.epoch, now
            if not roll.open:
                self._tell(
                    "the store knows of no permits, as after a restart of all its members: `concurrency_limit` lets "
                    "nobody pass for 12 s, until those who hold some have said so"
                )
            if lost:
                self.generation += 1
        self._look(roll.holders, now)
        if roll.open:
            self.holders = len(self._seen)
        elif self.holders:
            # Not all may have come back yet. Whoever has never seen an open epoch does not know how many there are.
            self.holders = max(self.holders, len(self._seen))
        self.until = began + GIVES_UP
        self.ready = roll.open
        self.confirmed = True
        self._renewed(lost)
        return True

    def _look(self, holders: dict[bytes, int], now: int) -> None:
        before, seen, dead = self._seen, {}, set()
        for id, number in holders.items():
            known = before.get(id)
            if id == self.id or known is None or known[0] != number:
                known = (number, now)
            if id in self._dead or now - known[1] >= DEAD:
                dead.add(id)  # also one that a late write has brought back: its holder has given up
            else:
                seen[id] = known
        self._seen, self._dead = seen, frozenset(dead)
