"""Changes of one entry, in one step each, by comparing and setting: a state machine over the answers of the members.

What is stored is a number, the moment at which it expires, and the caller's bytes. The number rises at every change and
has never been there before, so that a change that arrives late finds nothing that it was made for. As the members only
say whether they have set it, and an answer may be lost, the same number tells whether it was this change that was made.

Changes of an entry that come while one is under way wait for it, and are then made together: one after the other on
the bytes, with one call for all.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any, Protocol

from policylang.sdk import Change, Unavailable, Waiter
from policylang.sdk.store import UNKNOWN, own_object
from runtime.cluster.calls import Calls, Missed
from runtime.cluster.frames import MapRequests, NotOurs, bool_answer, data_answer, packed, packed_key, unpacked

HEAD = struct.Struct(">QQ")
"""The number, and when it expires in milliseconds of wall time."""
CHANGES_AT_ONCE = 64
"""So many are made with one call: that long the loop computes in one go."""
BACK_OFF = 0.000_2, 0.01
"""Seconds, from which and up to which somebody waits, at random, whom others were faster than."""
TAG_BITS = 12
"""Of a number, at random; the rest are microseconds."""


def raw_of(stored: bytes | None) -> bytes | None:
    """An entry's number, expiry and bytes, of what a member has. Raises NotOurs."""
    if stored is None:
        return None
    raw = unpacked(stored)
    if len(raw) < HEAD.size:
        raise NotOurs(f"{len(raw)} bytes")
    return raw


class Place(Protocol):
    """Where an entry is: what all changes in one map share."""

    calls: Calls
    requests: MapRequests
    ttl: float
    wall: Callable[[], float]

    def known(self, key: bytes) -> bytes | None: ...
    def note(self, key: bytes, raw: bytes | None) -> None: ...
    def takes_new(self) -> bool: ...
    def ended(self, key: bytes) -> None: ...
    def failed(self, why: str) -> Unavailable: ...
    def not_ours(self, error: NotOurs) -> Unavailable: ...
    def payload(self, raw: bytes | None) -> bytes | None:
        """What the caller sees: nothing, where it has expired."""


class Wanted:
    """A change that somebody waits for."""

    __slots__ = ("_place", "answer", "change", "guess", "waiter")

    def __init__(self, place: Place, change: Change, guess: Any) -> None:
        self._place = place
        self.change = change
        self.guess = guess
        self.answer: Any = None
        self.waiter: Waiter[Any] = Waiter()

    @property
    def over(self) -> bool:
        return self.waiter.done

    def expire(self) -> None:
        self.waiter.fail(self._place.failed("no answer in time"))


class _Attempt:
    """A change whose outcome nobody has told: what was there, what may be there now, and who would get what answer."""

    __slots__ = ("answers", "before", "new")

    def __init__(self, before: bytes | None, new: bytes | None, batch: list[Wanted]) -> None:
        self.before = before
        self.new = new
        self.answers = [(wanted, wanted.answer) for wanted in batch]


class EntryChange:
    """All changes of one key that this process has under way or waiting."""

    __slots__ = ("_batch", "_kept", "_key", "_lost", "_number", "_place", "_raw", "_read", "_tries", "_waiting")

    def __init__(self, place: Place, key: bytes) -> None:
        self._place = place
        self._key = key
        self._number, self._kept = packed_key(key)
        self._waiting: list[Wanted] = []
        self._batch: list[Wanted] = []
        self._raw: bytes | None = None  # what is there, as far as is known
        self._read = False  # ... by reading or writing it just now, not by a guess
        self._tries = 0
        self._lost: list[_Attempt] = []  # changes whose answer was lost

    def add(self, wanted: Wanted) -> None:
        self._waiting.append(wanted)
        if not self._batch:
            self._begin()

    def _begin(self) -> None:
        """The next ones, if there are any; what nobody waits for any more is not begun."""
        waiting = [wanted for wanted in self._waiting if not wanted.over]
        self._batch, self._waiting = waiting[:CHANGES_AT_ONCE], waiting[CHANGES_AT_ONCE:]
        if not self._batch:
            self._place.ended(self._key)
            return
        self._tries = 0
        self._lost.clear()
        if not self._read:
            guess = self._batch[0].guess
            raw = None if guess is None or guess is UNKNOWN else self._place.known(self._key)
            if guess is UNKNOWN or self._place.payload(raw) != guess:
                self._fetch()
                return
            self._raw = raw
        self._apply()

    def _fetch(self) -> None:
        place = self._place
        place.calls.ask(place.requests.get(self._kept), self._number, False, data_answer, self._fetched)

    def _fetched(self, stored: bytes | None, missed: Missed | None) -> None:
        if missed is not None:
            self._missed(missed)
            return
        try:
            self._raw = raw_of(stored)
        except NotOurs as error:
            self._fail("", self._place.not_ours(error))
            return
        self._read = True
        if self._lost:
            for attempt in self._lost:
                if attempt.new == self._raw:
                    self._done(attempt.answers)
                    return
            # Somebody else was there, before ours or after it: who knows. And nothing may be there for a second time.
            if self._raw is None or self._raw != self._lost[-1].before:
                self._fail("an answer was lost")
                return
        self._apply()

    def _apply(self) -> None:
        """Make the changes on the bytes, then in the cluster, if they have changed anything."""
        before = current = own_object(self._place.payload(self._raw))
        ttl: float | None = None
        batch = []
        for wanted in self._batch:
            if wanted.over:
                continue
            try:
                wanted.answer, value, seconds = wanted.change(current)
            except BaseException as error:
                if not self._read:
                    self._fetch()  # it was a guess that the change cannot take
                    return
                self._resume(wanted.waiter.fail, error)
                continue
            if value is not current:
                current, ttl = own_object(value), seconds
            batch.append(wanted)
        self._batch = batch or self._batch
        if not batch:
            self._begin()
        elif current is not before and not (current is None and self._raw is None):
            self._write(current, ttl)
        elif self._read:
            self._done([(wanted, wanted.answer) for wanted in batch])
        else:
            self._fetch()  # what was only guessed answers nobody

    def _write(self, value: bytes | None, ttl: float | None) -> None:
        place, raw = self._place, self._raw
        requests, ask = place.requests, place.calls.ask
        if raw is None and not place.takes_new():
            self._fail("no room for new keys")
            return
        self._tries += 1
        new: bytes | None = None
        if value is not None:
            seconds = place.ttl if ttl is None else min(ttl, place.ttl)
            now = place.wall()
            new = HEAD.pack(_next_number(raw, now), max(0, int((now + seconds) * 1000))) + value
        attempt = _Attempt(raw, new, self._batch)

        def written(set: bool, missed: Missed | None) -> None:
            self._written(attempt, set, missed)

        def put(stored: bytes | None, missed: Missed | None) -> None:
            if missed is not None or stored is None:
                self._written(attempt, True, missed)
            else:
                self._fetched(stored, None)  # somebody was faster, and this is what they wrote

        if new is None:
            assert raw is not None
            ask(requests.remove_if_same(self._kept, packed(raw)), self._number, True, bool_answer, written)
        elif raw is None:
            ask(requests.put_if_absent(self._kept, packed(new)), self._number, True, data_answer, put)
        else:
            request = requests.replace_if_same(self._kept, packed(raw), packed(new))
            ask(request, self._number, True, bool_answer, written)

    def _written(self, attempt: _Attempt, set: bool, missed: Missed | None) -> None:
        if missed is None and set:
            self._raw, self._read = attempt.new, True
            self._done(attempt.answers)
            return
        self._read = False
        if missed is None:
            self._again()
        elif attempt.new is None and not missed.unsent:
            self._fail(missed.why)  # that nothing is there does not tell who removed it
        else:
            self._lost.append(attempt)
            self._missed(missed)

    def _missed(self, missed: Missed) -> None:
        if missed.unsent or missed.late:
            self._fail(missed.why)
        else:
            self._tries += 1
            self._again()

    def _again(self) -> None:
        """Look again, after a while at random, so that those who meet do not meet again."""
        if self._tries < 2:
            self._fetch()
        else:
            least, most = BACK_OFF
            seconds = random.random() * min(most, least * 2**self._tries)
            self._place.calls.loop.call_later(seconds, self._fetch_if_wanted)

    def _fetch_if_wanted(self) -> None:
        if all(wanted.over for wanted in self._batch):
            self._fail("others were faster")
        else:
            self._fetch()

    def _done(self, answers: list[tuple[Wanted, Any]]) -> None:
        self._place.note(self._key, self._raw)
        # They resume here and now, and may ask for the next change: it waits until all have been told.
        for wanted, answer in answers:
            self._resume(wanted.waiter.fire, answer)
        self._begin()

    def _fail(self, why: str, error: Unavailable | None = None) -> None:
        self._read = False
        self._place.note(self._key, None)
        for wanted in self._batch:
            if not wanted.over:
                self._resume(wanted.waiter.fail, error or self._place.failed(why))
        self._begin()

    def _resume(self, tell: Callable[[Any], None], what: Any) -> None:
        """A defect in what goes on there is reported, and holds up nobody else who waits for this key."""
        try:
            tell(what)
        except Exception as defect:
            loop = self._place.calls.loop
            loop.call_exception_handler({"message": "after a change in the cluster", "exception": defect})


def _next_number(raw: bytes | None, now: float) -> int:
    """Above the last one, and beside whatever another process would choose at the same moment."""
    ticks = int(now * 1e6)
    if raw is not None:
        ticks = max(ticks, (HEAD.unpack_from(raw)[0] >> TAG_BITS) + 1)
    return ticks << TAG_BITS | random.getrandbits(TAG_BITS)
