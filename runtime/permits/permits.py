"""Permits over a store's entries: counted by holder, given up in time by whoever cannot be seen to live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Final, NoReturn

from policylang.sdk import UNKNOWN, Clock, Entries, Exchange, Unavailable
from policylang.sdk.permits import Wish
from runtime.permits.calls import ask
from runtime.permits.keyed import Asker, HeldPermit, Keyed
from runtime.permits.living import Living
from runtime.permits.rows import SPACE, Claimed, claim

POLL: Final = 0.01
"""Seconds between two looks for a permit that others may have given back, where looking costs microseconds."""
POLL_CLUSTER: Final = 0.05
"""The same where it costs a round trip."""
WATCHED: Final = 60_000_000_000
"""Nanoseconds for which an entry is looked at again after a change of which nobody knows what became of it."""
SAID_AGAIN: Final = 900_000_000
"""Nanoseconds after the first sight of a new epoch in which all that is out has to be in the store again: it opens 12 s
after its beginning, and who has not seen it within 10 s has given up."""
_LOOK: Final = 0.01
"""Seconds between two looks whether a process may end."""
REFRESH: Final = 6 * 3600 * 1_000_000_000
"""Nanoseconds after which what is still out is written again: entries do not live for ever."""


class StoredPermits:
    """`policylang.sdk.permits.Permits`, one for a worker.

    `cluster`: the store may be away, or be lost as a whole, while this process lives. `cut` ends an exchange whose
    permit is lost; `report` takes mistakes of ours, `tell` what the operator must know.
    """

    def __init__(
        self, entries: Entries, clock: Clock, cut: Callable[[Exchange], None], report: Callable[[BaseException], None],
        tell: Callable[[str], None], cluster: bool = False, machine: StoredPermits | None = None,
    ) -> None:  # fmt: skip
        self._entries = entries
        self._monotonic = clock.monotonic
        self._sleep = clock.sleep
        self._cut = cut
        self._report = report
        self._tell = tell
        self._cluster = cluster
        self._machine = machine
        self._poll = POLL_CLUSTER if cluster else POLL
        self._keyed: dict[bytes, Keyed] = {}
        self._owed: set[Keyed] = set()  # what is to be said again, or looked at
        self._written = 0  # when what is out was last written again
        self._again = False  # all that is out has to be written again
        self._moved = 0  # when a new epoch was first seen, as long as not all is said again
        self._living = Living(entries, clock, cluster, self._lost, self._renewed, report, tell)

    @property
    def machine(self) -> StoredPermits:
        return self._machine or self

    def start(self) -> None:
        """Be seen to live, and see the others, also before the first permit: who begins to look late knows late."""
        self._living.start()
        if self._machine is not None:
            self._machine.start()

    def doubt(self) -> None:
        """The store was lost from sight, has come back, or some of its members have changed.

        It has to be said before anything is asked of a store that may have lost what it had.
        """
        self._again = True
        self._living.doubt(self._looked)

    def _looked(self) -> None:
        for keyed in list(self._owed):
            if keyed.askers:
                self._pump(keyed)

    async def given_back(self, seconds: float) -> None:
        """Until the store knows of all that was given back, so that nobody has to wait until this process is dead."""
        for _ in range(int(seconds / _LOOK)):
            if not any(keyed.asking or keyed.later for keyed in self._keyed.values()):
                return
            await asyncio.sleep(_LOOK)

    # --- asking ---

    def acquire(
        self, key: bytes, wish: Wish, exchange: Exchange
    ) -> HeldPermit | Coroutine[Any, Any, HeldPermit | None] | None:
        living = self._living
        if not living.ready or self._monotonic() >= living.until:
            if living.doubted and self._monotonic() < living.until:
                return self._in_doubt(key, wish, exchange)
            self._enter()
        keyed = self._keyed.get(key)
        if keyed is None:
            keyed = self._keyed[key] = Keyed(key)
        elif keyed.askers or keyed.asking:
            return self._behind(keyed, wish, exchange)
        elif len(keyed.out) < keyed.sure and keyed.limit == wish.limit:
            return HeldPermit(self, keyed, exchange, wish.stays)
        # The usual case: nobody else is here, and a store that is at hand answers at once.
        keyed.limit = wish.limit
        used = len(keyed.out)
        change = claim(living.id, used, used + 1, wish.limit, again=keyed.unsure)
        try:
            claimed: Any = self._entries.update(SPACE, key, change, keyed.guess)
        except BaseException:
            self._unknown(keyed)
            raise
        if claimed.__class__ is CoroutineType:
            asker = Asker(wish, exchange, self._monotonic())
            keyed.askers.append(asker)
            self._send(keyed, [asker], claimed)
            return self._wait(keyed, asker)
        keyed.take(claimed)
        if claimed.own > used:
            return HeldPermit(self, keyed, exchange, wish.stays)
        if wish.wait or living.unknown(claimed.strangers):
            asker = Asker(wish, exchange, self._monotonic())
            keyed.askers.append(asker)
            self._refused(keyed, [asker], claimed)
            return self._wait(keyed, asker)
        self._rest(keyed)
        return None

    def acquire_alone(self, key: bytes, wish: Wish, exchange: Exchange) -> HeldPermit | None:
        keyed = self._keyed.get(key)
        holders = self._living.holders
        if not holders or (0 if keyed is None else len(keyed.out)) >= wish.limit // holders:
            return None
        if keyed is None:
            keyed = self._keyed[key] = Keyed(key)
        keyed.limit = wish.limit
        keyed.unsure = True
        self._owed.add(keyed)
        return HeldPermit(self, keyed, exchange, wish.stays)

    def _enter(self) -> None:
        """Raises Unavailable while permits cannot be had."""
        living = self._living
        living.check(self._monotonic())
        if not living.ready and not self._cluster:
            living.renew()  # it answers at once
        if not living.ready:
            self._away()

    def _in_doubt(self, key: bytes, wish: Wish, exchange: Exchange) -> Coroutine[Any, Any, HeldPermit | None]:
        """What is asked while somebody looks whether the store is the same as before waits for that."""
        keyed = self._keyed.setdefault(key, Keyed(key))
        asker = Asker(wish, exchange, self._monotonic())
        keyed.askers.append(asker)
        self._owed.add(keyed)
        return self._wait(keyed, asker)

    def _away(self) -> NoReturn:
        detail = "who holds permits is being found out" if self._living.confirmed else ""
        raise Unavailable("store", detail)

    def _behind(
        self, keyed: Keyed, wish: Wish, exchange: Exchange
    ) -> Coroutine[Any, Any, HeldPermit | None] | None:
        """Others are asking for the same key, or wait for it already."""
        if keyed.waiting and (not wish.wait or keyed.waiting >= wish.queue):
            return None
        asker = Asker(wish, exchange, self._monotonic())
        keyed.askers.append(asker)
        if not keyed.waiting:
            self._pump(keyed)
        else:
            keyed.waiting += 1
            asker.waits = True
        return self._wait(keyed, asker)

    async def _wait(self, keyed: Keyed, asker: Asker) -> HeldPermit | None:
        try:
            return await asker.waiter
        except BaseException:
            # The client has left, or another branch has failed.
            asker.gone = True
            if asker.permit is not None:
                asker.permit.release()
            elif asker in keyed.askers:
                keyed.leave(asker)
                self._rest(keyed)
            raise

    # --- the store ---

    def _pump(self, keyed: Keyed) -> None:
        """Bring the store to what is wanted here, unless it is being asked already."""
        if keyed.asking or keyed.lost:
            return
        living = self._living
        if keyed.askers and not living.ready and not living.doubted:
            self._fail(keyed, list(keyed.askers))
        if not living.confirmed:
            self._owed.add(keyed)
            return
        attempt = keyed.attempt() if living.ready else []
        used = len(keyed.out)
        if not attempt and keyed.sure == used and not keyed.unsure:
            self._rest(keyed)
            return
        if attempt:
            keyed.limit = attempt[0].wish.limit
        wanted = used + len(attempt)
        change = claim(living.id, used, wanted, keyed.limit, keyed.dead, keyed.unsure)
        keyed.dead = frozenset()
        self._send(keyed, attempt, None, lambda: self._entries.update(SPACE, keyed.key, change, keyed.guess))

    def _send(
        self, keyed: Keyed, attempt: list[Asker], begun: Any, call: Callable[[], Any] | None = None
    ) -> None:
        keyed.asking = True
        # It may come down to what is in use at any moment from now on.
        keyed.sure = min(keyed.sure, len(keyed.out))
        generation = self._living.generation

        def told(claimed: Any, error: BaseException | None) -> None:
            keyed.asking = False
            if keyed.lost:
                return
            if error is not None or generation != self._living.generation:
                self._unknown(keyed)
                self._fail(keyed, list(keyed.askers))  # who came meanwhile would hear the same, only later
            else:
                self._answered(keyed, attempt, claimed)

        ask(call or (lambda: begun), told, self._report)

    def _answered(self, keyed: Keyed, attempt: list[Asker], claimed: Claimed) -> None:
        self._living.check(self._monotonic())
        if keyed.lost:
            return
        keyed.take(claimed)
        self._hand_over(keyed)
        refused = [asker for asker in attempt if asker in keyed.askers]
        if refused:
            self._refused(keyed, refused, claimed)
        else:
            self._pump(keyed)

    def _refused(self, keyed: Keyed, refused: list[Asker], claimed: Claimed) -> None:
        """The limit is reached. Before anybody is told so: do those live who hold it?"""
        if self._living.unknown(claimed.strangers) and not refused[0].looked:
            for asker in refused:
                asker.looked = True
            keyed.asking = True

            def looked(made: bool) -> None:
                keyed.asking = False
                if keyed.lost:
                    return
                keyed.dead = self._living.dead(claimed.strangers) if made else frozenset()
                if keyed.dead:
                    self._pump(keyed)
                else:
                    self._turn_away(keyed, refused)

            self._living.renew(looked)
            return
        self._turn_away(keyed, refused)

    def _turn_away(self, keyed: Keyed, refused: list[Asker]) -> None:
        for asker in refused:
            if asker.waits or asker not in keyed.askers:
                continue
            if asker.wish.wait and keyed.waiting < asker.wish.queue:
                asker.waits = True
                keyed.waiting += 1
                self._look_again(keyed)
            else:
                keyed.leave(asker)
                asker.waiter.fire(None)
        if not keyed.asking:
            if any(not asker.waits for asker in keyed.askers) or len(keyed.out) != keyed.sure:
                self._pump(keyed)
            else:
                self._rest(keyed)

    def _look_again(self, keyed: Keyed) -> None:
        """Somebody waits, and others may give a permit back without a word."""
        if keyed.polled:
            return
        keyed.polled = True

        def again() -> None:
            keyed.polled = False
            if keyed.lost:
                return
            now = self._monotonic()
            for asker in [asker for asker in keyed.askers if asker.waits and now >= asker.until]:
                keyed.leave(asker)
                asker.waiter.fire(None)
            if keyed.waiting:
                self._look_again(keyed)
                for asker in keyed.askers:
                    asker.looked = False
                self._pump(keyed)
            else:
                self._rest(keyed)

        soonest = min((asker.until for asker in keyed.askers if asker.waits), default=0)
        left = (soonest - self._monotonic()) / 1e9
        self._sleep(max(0.0, min(self._poll, left))).callback = again

    def _hand_over(self, keyed: Keyed) -> None:
        """Permits that are here and nobody uses go to those who have asked, in their order."""
        if keyed.askers:
            self._living.check(self._monotonic())
            if keyed.lost:
                return
        while keyed.askers and len(keyed.out) < keyed.sure and keyed.askers[0].wish.limit == keyed.limit:
            asker = keyed.askers[0]
            keyed.leave(asker)
            asker.permit = HeldPermit(self, keyed, asker.exchange, asker.wish.stays)
            # In a turn of its own: one that ends at once would hand its permit on in here, and so on.
            self._sleep(0).callback = asker.go

    def returned(self, keyed: Keyed) -> None:
        """One of its permits is free."""
        if keyed.lost:
            return
        self._hand_over(keyed)
        if len(keyed.out) == keyed.sure or keyed.asking or keyed.later:
            return
        if not self._cluster:
            self._pump(keyed)
            return
        keyed.later = True

        def later() -> None:
            keyed.later = False
            self._pump(keyed)

        self._sleep(0).callback = later

    def _unknown(self, keyed: Keyed) -> None:
        """Nobody knows what is in the store."""
        keyed.sure = min(keyed.sure, len(keyed.out))
        keyed.unsure = True
        keyed.guess = UNKNOWN
        keyed.watched = self._monotonic() + WATCHED
        self._owed.add(keyed)

    def _fail(self, keyed: Keyed, attempt: list[Asker]) -> None:
        for asker in attempt:
            if asker in keyed.askers:
                keyed.leave(asker)
                asker.waiter.fail(Unavailable("store"))

    def _rest(self, keyed: Keyed) -> None:
        """Forget it where there is nothing to know."""
        known = keyed.out or keyed.sure or keyed.unsure or keyed.askers or keyed.asking or keyed.watched
        if not known and self._keyed.get(keyed.key) is keyed:
            del self._keyed[keyed.key]

    # --- the holder ---

    def _renewed(self, lost: bool) -> None:
        now = self._monotonic()
        if lost:
            self._moved = now
        elif self._moved and now - self._moved >= SAID_AGAIN:
            self._moved = 0
            if any(keyed.sure < len(keyed.out) for keyed in self._owed):
                self._living.lapse()
                return
        if lost or self._again or now - self._written >= REFRESH:
            self._written, self._again = now, False
            for keyed in self._keyed.values():
                if lost:
                    keyed.sure = 0
                keyed.unsure = True
            self._owed.update(self._keyed.values())
        for keyed in list(self._owed):
            self._settle(keyed, now)

    def _settle(self, keyed: Keyed, now: int) -> None:
        if keyed.watched and not keyed.asking:
            # A change of which nobody has heard may still come, and leave what nobody here knows of.
            keyed.watched = keyed.watched if now < keyed.watched else 0
            keyed.unsure = True
        self._pump(keyed)
        if not keyed.unsure and not keyed.watched and not keyed.asking:
            self._owed.discard(keyed)
            self._rest(keyed)

    def _lost(self) -> None:
        """Others may take this holder's permits from now on."""
        former, self._keyed, self._owed = self._keyed, {}, set()
        cut: list[HeldPermit] = []
        holders = self._living.holders
        for keyed in former.values():
            keyed.lost = True
            share = keyed.limit // holders if holders else 0
            kept = [permit for permit in keyed.out if permit.stays][:share]
            cut += [permit for permit in keyed.out if permit not in kept]
            if kept:
                again = self._keyed[keyed.key] = Keyed(keyed.key, keyed.limit)
                again.unsure = True
                self._owed.add(again)
                for permit in kept:
                    permit.move(again)
        if cut:
            what = "an exchange is" if len(cut) == 1 else f"{len(cut)} exchanges are"
            self._tell(f"{what} cut with a permit that others may have now: the store was not reached for 10 s")
        for permit in cut:
            exchange = permit.give_up()
            if exchange is not None:
                # Nothing of it may go on: neither here nor, as far as a closed connection can say so, behind.
                (exchange.origin or exchange).unanswered = None
                self._cut(exchange)
        for keyed in former.values():
            self._fail(keyed, list(keyed.askers))
