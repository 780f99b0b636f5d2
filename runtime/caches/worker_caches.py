"""The cache of one worker: what it has at hand, and behind it the store that all share.

What is at hand is answered without asking the store. That others have dropped something is seen within `LOOK` on one
machine (its store has a number that rises with every drop), and on a cluster within `AGAIN`, after which what is at
hand is read anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NamedTuple, cast, get_args

from policylang.sdk import Changed, Clock, Entries, Exchange, Field, Response, Space, Unavailable, settled
from policylang.sdk.caches import ANSWERS, VALUES, Asked, CacheOutcome, Life, Missing, Name, asked, selecting, storable
from policylang.sdk.flights import Flights
from runtime.caches.copied import Copy
from runtime.caches.entry import ANSWER, DROPPED, VALUE, VARIANTS, Entry, name_bytes, packed, unpacked
from runtime.caches.near import Held, Near, Value, Variants
from runtime.edge.request import ReceivedResponse
from runtime.edge.stream import BodyStream

LOOK: Final = 20_000_000
"""Nanoseconds between two looks at what other workers have dropped."""
AGAIN: Final = 1_000_000_000
"""Nanoseconds after which what is at hand is read anew from the store of a cluster."""
SKEW: Final = 2.0
"""Seconds by which the clocks of a cluster's machines may differ."""
DROPS: Final = Space("drops", "cache", 3600)
"""Changes with every drop, and nothing is read from it."""
DROPPED_FOR: Final = 120.0
"""Seconds for which a name knows that it was dropped: what was asked for before is not kept. What takes longer than
this to come is never kept."""
BLUR: Final = 1_000
"""Nanoseconds that a wall time in seconds does not tell apart."""
UNDER_WAY: Final = 100
"""Writes to a store that is not at hand; what comes beyond is not kept."""


class Draft(NamedTuple):
    """An answer that is to be kept when its body is there."""

    name: Name
    life: Life
    status: int
    headers: list[Field]
    request: Asked
    since: float
    kept: float
    ended: Callable[[bool | None], None]


class WorkerCaches:
    """`policylang.sdk.caches.Caches`. `outcomes`: how often each was noted. `alone`: the store is this machine's.

    `report` hears what the operator must know, `defect` of a mistake of ours, beside the exchanges. `under_way`: writes
    that go on beside them.
    """

    def __init__(
        self, entries: Entries, clock: Clock, alone: bool, report: Callable[[str], None],
        defect: Callable[[BaseException], object],
    ) -> None:  # fmt: skip
        self.flights = Flights(clock)
        self.near = Near()
        self._at_hand = self.near.look
        self.outcomes: dict[str, int] = dict.fromkeys(get_args(CacheOutcome), 0)
        self._entries = entries
        self._clock = clock
        self._monotonic = clock.monotonic
        self._report = report
        self._defect = defect
        self._skew = 0.0 if alone else SKEW
        self._again = 1 << 62 if alone else AGAIN
        self._version: Callable[[Space], int] | None = getattr(entries, "version", None) if alone else None
        self._look_at = 0
        self._seen = -1
        self._epoch = -1
        self.under_way = 0
        self._look(self._monotonic())
        self._epoch = -1  # nothing is at hand yet

    def note(self, exchange: Exchange, outcome: CacheOutcome) -> None:
        self.outcomes[outcome] += 1
        trace = exchange.request.trace  # type: ignore[attr-defined]  # here all are received
        if trace is not None:
            trace.cache = outcome

    # --- answers: reading ---

    def answer(
        self, exchange: Exchange, name: Name, longest: int, outcome: CacheOutcome = "hit"
    ) -> Response | Missing | Coroutine[Any, Any, Response | Missing]:
        now = self._monotonic()
        if now >= self._look_at:
            self._look(now)
        held = self._at_hand(name)
        if held is None or now >= held.turns or held.checked <= self._epoch or longest != held.longest:
            held = self._looked_over(exchange, name, held, longest, now)
            if held is None:
                return self._found(exchange, name, longest, now, outcome)
        # As `note` and `Held.response` do it: this is the way of most requests.
        self.outcomes[outcome] += 1
        trace = exchange.request.trace  # type: ignore[attr-defined]
        if trace is not None:
            trace.cache = outcome
        head = held.head
        response = ReceivedResponse(held.status, head.headers, held.body)
        response.head = head
        response.late = None
        return response

    def _looked_over(
        self, exchange: Exchange, name: Name, held: Any, longest: int, now: int
    ) -> Held | None:
        """What is at hand for this request, if it may still be used; once a second for each answer without variants."""
        key: Name = name
        if held.__class__ is Variants:
            if not self._good(held, now):
                return None
            key = (name, held.mark, selecting(asked(exchange.request), held.names))
            held = self._at_hand(key)
        if held is None or not self._good(held, now) or now >= held.born + longest:
            return None
        if now >= held.turns or longest != held.longest:
            held.turn(now, longest, held.checked + self._again)
            self.near.touch(key)  # that will do, to know what was asked for last
        found: Held = held
        return found

    def _good(self, held: Held | Variants | Value, now: int) -> bool:
        return now < held.dies and held.checked > self._epoch and now < held.checked + self._again

    def _look(self, now: int) -> None:
        self._look_at = now + LOOK
        if self._version is not None:
            try:
                version = self._version(DROPS)
            except Unavailable:
                version = -1
            if version != self._seen or version < 0:
                self._seen = version
                self._epoch = now

    async def _found(
        self, exchange: Exchange, name: Name, longest: int, now: int, outcome: CacheOutcome
    ) -> Response | Missing:
        """What the store has, which is at hand from then on."""
        missing: Missing = "uri-miss"
        key: Name = name
        try:
            entry = await self._read(ANSWERS, name)
            if entry is not None and entry.kind == VARIANTS and now < (dies := self._dies(entry, now)):
                self.near.put(name, Variants(entry.mark, entry.names, dies, now))
                key = (name, entry.mark, selecting(asked(exchange.request), entry.names))
                missing = "vary-miss"
                entry = await self._read(ANSWERS, key)
        except Unavailable:
            return "bypass"
        held = None
        if entry is not None and entry.kind == ANSWER:
            held = Held(
                entry.status, entry.headers, entry.body, entry.age, self._born(entry, now), self._dies(entry, now), now
            )
        if held is None or now >= held.dies or now >= held.born + longest:
            self.near.drop(key)
            return missing
        held.turn(now, longest, now + self._again)
        self.near.put(key, held)
        self.note(exchange, outcome)
        return held.response()

    async def _read(self, space: Space, name: Name) -> Entry | None:
        raw = name_bytes(name)
        return unpacked(await settled(self._entries.read(space, _key(raw))), raw)

    def _born(self, entry: Entry, now: int) -> int:
        return now - int(max(0.0, self._clock.wall() - entry.kept) * 1e9) - BLUR

    def _dies(self, entry: Entry, now: int) -> int:
        """By the monotonic clock, from which nothing is taken back. A time to come says that the clocks disagree."""
        wall = self._clock.wall()
        if entry.kept > wall + SKEW:
            return now
        return now + int(min(entry.until - entry.kept, entry.until - wall - self._skew) * 1e9) - BLUR

    def varies(self, name: Name) -> tuple[bytes, ...]:
        held = self.near.look(name)
        return held.names if held.__class__ is Variants else ()

    # --- answers: keeping ---

    def keep(
        self, exchange: Exchange, name: Name, request: Asked, life: Life, limit: int, since: float,
        ended: Callable[[bool | None], None],
    ) -> bool:  # fmt: skip
        response = cast(Response, exchange.response)
        headers = storable(response.headers)
        now = self._clock.wall()
        if not any(field[0] == b"date" for field in headers):
            # RFC 9110 6.6.1: who has a clock and keeps an answer without one says when it came.
            headers.append((b"date", b"Date", formatdate(now, usegmt=True).encode()))
        draft = Draft(name, life, response.status, headers, request, since, now, ended)
        body = response.body
        if body is None:
            source = response.source
            if not isinstance(source, BodyStream) or (source.length is not None and source.length > limit):
                ended(False)
                return False
            source.watch(Copy(source, limit, partial(self._keep, draft), ended))
        elif len(body) > limit:
            ended(False)
            return False
        else:
            self._keep(draft, body)
        return True

    def _keep(self, draft: Draft, body: bytes) -> None:
        if self.under_way >= UNDER_WAY:
            draft.ended(False)
        else:
            self._beside(self._kept(draft, body), lambda: draft.ended(False))

    async def _kept(self, draft: Draft, body: bytes) -> None:
        name, life, since = draft.name, draft.life, draft.since
        wall, now = self._clock.wall(), self._monotonic()
        until = draft.kept + life.seconds
        if wall >= until or wall - since > DROPPED_FOR:
            draft.ended(False)
            return
        answer = Entry(
            ANSWER, draft.kept, until, name_bytes(name), age=life.age, status=draft.status, headers=draft.headers,
            body=body,
        )  # fmt: skip
        known, new_mark = {*life.varies, *self.varies(name)}, os.urandom(8)

        def change(before: bytes | None) -> Changed:
            there = unpacked(before, answer.name)
            dropped = 0.0 if there is None else there.dropped
            if dropped and dropped >= since - self._skew:
                return Changed(None, before)
            names = known
            if there is not None and there.kind == VARIANTS:
                names = names.union(there.names)
            known_until = dropped + DROPPED_FOR  # whatever comes to lie over a drop tells of it as long
            if not names:
                there_until = max(until, known_until) - wall + 1
                return Changed((b"", (), until), packed(answer._replace(dropped=dropped)), there_until)
            # Where the fields that count are others than before, all variants are asked for anew.
            mark, lives, ordered = new_mark, until, tuple(sorted(names))
            if there is not None and there.kind == VARIANTS and there.names == ordered:
                mark, lives = there.mark, max(until, there.until)
            entry = Entry(VARIANTS, draft.kept, lives, answer.name, mark, ordered, dropped=dropped)
            return Changed((mark, ordered, lives), packed(entry), max(lives, known_until) - wall + 1)

        key = name
        made = await settled(self._entries.update(ANSWERS, _key(answer.name), change))
        if made is None:
            draft.ended(False)
            return
        mark, names, lives = made
        if names:
            self.near.put(name, Variants(mark, names, now + int((lives - wall) * 1e9), now))
            key = (name, mark, selecting(draft.request, names))
            answer = answer._replace(name=name_bytes(key))
            data = packed(answer)
            await settled(
                self._entries.update(ANSWERS, _key(answer.name), lambda _: Changed(None, data, until - wall + 1))
            )
        born, dies = self._born(answer, now), self._dies(answer, now)
        self.near.put(key, Held(draft.status, draft.headers, body, life.age, born, dies, now))
        draft.ended(True)

    def drop(self, name: Name) -> None:
        self.near.drop(name)
        wall, raw = self._clock.wall(), name_bytes(name)
        data = packed(Entry(DROPPED, wall, wall + DROPPED_FOR, raw, dropped=wall))
        self._beside(self._dropped(ANSWERS, raw, Changed(None, data, DROPPED_FOR)), self._not_dropped)

    async def _dropped(self, space: Space, raw: bytes, changed: Changed) -> None:
        await settled(self._entries.update(space, _key(raw), lambda _: changed))
        if self._version is not None:
            await settled(self._entries.update(DROPS, b"drops", lambda _: Changed(None, os.urandom(8))))

    def _not_dropped(self) -> None:
        self._report("the store is away: an answer that was to be forgotten may be given until its ttl is over")

    # --- values ---

    def value(self, key: bytes) -> bytes | Coroutine[Any, Any, bytes | None] | None:
        now = self._monotonic()
        if now >= self._look_at:
            self._look(now)
        held = self.near.look(key)
        if held is not None and self._good(held, now):
            self.near.touch(key)
            return cast(Value, held).data
        return self._value(key, now)

    async def _value(self, key: bytes, now: int) -> bytes | None:
        try:
            entry = await self._read(VALUES, (key,))
        except Unavailable:
            return None
        if entry is None or entry.kind != VALUE or now >= (dies := self._dies(entry, now)):
            self.near.drop(key)
            return None
        self.near.put(key, Value(entry.body, dies, now))
        return entry.body

    def keep_value(self, key: bytes, data: bytes, seconds: float) -> None:
        wall, now, raw = self._clock.wall(), self._monotonic(), name_bytes((key,))
        entry = packed(Entry(VALUE, wall, wall + seconds, raw, body=data))
        if self.under_way >= UNDER_WAY:
            return
        self.near.put(key, Value(data, now + int(seconds * 1e9), now))
        self._beside(self._value_kept(raw, Changed(None, entry, seconds + 1)), lambda: self.near.drop(key))

    async def _value_kept(self, raw: bytes, changed: Changed) -> None:
        await settled(self._entries.update(VALUES, _key(raw), lambda _: changed))

    def drop_value(self, key: bytes) -> Coroutine[Any, Any, None]:
        self.near.drop(key)
        return self._dropped(VALUES, name_bytes((key,)), Changed(None, None))

    # --- beside the exchange ---

    def _beside(self, work: Coroutine[Any, Any, None], failed: Callable[[], None]) -> None:
        """Run it to its end, whoever leaves. Where that cannot be it has `failed`."""

        def go_on() -> None:
            try:
                waiter = work.send(None)
            except StopIteration:
                self.under_way -= 1
            except Exception as error:
                # Whoever calls may be a connection that brings the last bytes of a body: it has no part in this.
                self.under_way -= 1
                if not isinstance(error, Unavailable):
                    self._defect(error)
                failed()
            else:
                waiter.callback = go_on

        self.under_way += 1
        go_on()


def _key(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=32).digest()
