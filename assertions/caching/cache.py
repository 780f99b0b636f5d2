"""`cache`"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import cached_property
from types import CoroutineType
from typing import Any, ClassVar, cast

from assertions.caching.freshness import lifetime
from policylang.sdk import Assertion, Duration, Exchange, Expr, Field, Key, Known, Outcome, Response, Size, param
from policylang.sdk.caches import LONGEST, CacheOutcome, Missing, Name, asked, selecting
from policylang.sdk.flights import Flight
from policylang.sdk.values import reads

Block = Callable[[Exchange], Awaitable[Outcome]]

# Their answers are for them alone: a part, `not modified`, another protocol. Nobody is to wait for one of these.
_OF_ITS_OWN = frozenset({
    b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"range", b"upgrade",
})  # fmt: skip
# RFC 9111 4.4: what a successful one has changed must not be answered from before.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
LARGEST = 64 << 20
"""Bytes of a body that may be kept."""
_HIT = b"polgate; hit;"


def _status(text: bytes) -> Field:
    return (b"cache-status", b"Cache-Status", b"polgate; " + text)


_BYPASS, _METHOD, _COLLAPSED = _status(b"fwd=bypass"), _status(b"fwd=method"), _status(b"fwd=uri-miss; collapsed")
_MISSES: dict[str, Field] = {why: _status(b"fwd=%b" % why.encode()) for why in ("uri-miss", "vary-miss")}
_STORED: dict[str, Field] = {why: _status(b"fwd=%b; stored" % why.encode()) for why in _MISSES}


class Cache(Assertion):
    """Answer from a cache, and run the block only where there is nothing in it.

    GET and HEAD are answered from it; what a GET's block leaves as `response` is kept if its status is among
    `statuses`. The key is this statement (its service and the text of its block), scheme, host, path and query as they
    are here, with `key:` and the fields that `vary:` names; what the upstream's `Vary` names always tells answers
    apart. Whatever else the block goes by, such as a field of the request or the client's address, belongs into `key:`
    or `vary:` (`unkeyed-input`, as far as it is written in the block). A request with a body passes by. After another
    method than these, with a status below 400, what was kept under the same key is forgotten.

    `ttl` is how long an answer is used at most, never longer than `max-age`, `s-maxage` or `Expires` of the upstream
    allow. Not kept is what has `Set-Cookie`, `Vary: *`, a `Vary` on what the gateway itself says of the client, or
    `Cache-Control` with `no-store`, `no-cache` or `private` (`override: true` leaves Cache-Control and Expires aside);
    what a request with Authorization has got, unless the upstream says that it is for others (RFC 9111, 3.5),
    `shared: true` stands, or the key uses that field or `user`; what is partial (206), compressed on its way (put
    `compress` behind), over `max_size` or cut; and no failure and no `respond`. What a request's own Cache-Control asks
    for is not followed: upstreams are protected, also from those who reload.

    Once `user` is set the cache is bypassed, unless the key uses `user` or `shared: true` stands. What is checked
    inside of the block is not checked for an answer from the cache: what says who the caller is, or where from, stands
    before it (`skipped-check`), and nothing is kept of a block that has set `user`.

    An answer from the cache has `Age` and `Cache-Status: polgate; hit; ttl=…`, one that is not says why. With
    `collapse: true` those that ask a worker for one missing answer wait for one fetch, at most `wait`; when it fails or
    cannot be kept, all go themselves; when who fetches leaves, another takes over. When the store is away the cache is
    bypassed.

    Never is an answer given past its ttl, cut, or for another key. What was forgotten may be answered for 20 ms more by
    other workers of the machine, and for 1 s by other machines of a cluster (whose clocks may differ by 2 s, by which
    an answer is given up earlier there). Each worker holds 16 MiB of what was asked for last; the store has the room
    that its `cache:` says, and gives up what it has had longest.

        cache ttl: 60s, vary: ["Accept-Language"], collapse: true {
            route orders
        }
    """

    name: ClassVar[str] = "cache"
    waits: ClassVar[bool | None] = True
    effects: ClassVar[frozenset[str]] = frozenset({"response"})
    takes_block: ClassVar[bool] = True
    skips_block: ClassVar[bool] = True

    ttl: Duration = param("How long an answer is used.")
    key: Expr[Key] = param("What else tells answers apart.", default='""')
    vary: list[str] = param("Fields of the request that tell answers apart.", default="[]")
    shared: bool = param("What is kept is for everybody, whoever asked for it.", default="false")
    collapse: bool = param("Of many that ask for one missing answer, one fetches it.", default="false")
    wait: Duration = param("How long they wait for it.", default="5s")
    max_size: Size = param("The largest body that is kept.", default="1MB")
    statuses: range = param("What is kept.", default="200..299")
    override: bool = param("Leave aside what the upstream says of being kept.", default="false")

    def evaluate(self, exchange: Exchange, block: Block) -> Outcome:  # type: ignore[override]  # around a block
        request = exchange.request
        key = self._same or self.key(exchange)
        name: Name = (key, request.scheme, request.host, request.path, request.query_string)
        if self._names:
            name = (*name, selecting(asked(request), self._names))
        if request.method != "GET" and request.method != "HEAD":
            return self._changing(exchange, block, name)
        if (exchange.user is not None and not self._for_users) or request.body != b"":
            return self._past(exchange, block, "bypass", _BYPASS)
        found: Any = exchange.environment.caches.answer(exchange, name, self._longest)
        if found.__class__ is CoroutineType:
            return self._asked(exchange, block, name, found)
        if found.__class__ is str:
            return self._told(exchange, block, name, cast(Missing, found))
        exchange.response = found
        return None

    async def _asked(
        self, exchange: Exchange, block: Block, name: Name, asked: Coroutine[Any, Any, Response | Missing]
    ) -> Outcome:
        found = await asked
        if isinstance(found, str):
            return await self._told(exchange, block, name, found)
        exchange.response = found
        return None

    def _told(
        self, exchange: Exchange, block: Block, name: Name, found: Missing
    ) -> Coroutine[Any, Any, Outcome]:
        if found == "bypass":
            self._tell(exchange)
            return self._past(exchange, block, "bypass", _BYPASS)
        if exchange.request.method == "HEAD":
            return self._past(exchange, block, "miss", _MISSES[found])
        if self.collapse and not any(field[0] in _OF_ITS_OWN for field in exchange.request.headers):
            return self._together(exchange, block, name, found)
        return self._fetched(exchange, block, name, found, None)

    # --- what the cache has not ---

    async def _past(self, exchange: Exchange, block: Block, outcome: CacheOutcome, told: Field) -> Outcome:
        """Without the cache."""
        exchange.environment.caches.note(exchange, outcome)
        before = exchange.response
        ended = await block(exchange)
        if ended is None and exchange.response is not None and exchange.response is not before:
            exchange.response.add_fields([told])
        return ended

    async def _changing(self, exchange: Exchange, block: Block, name: Name) -> Outcome:
        before = exchange.response
        unsafe = exchange.request.method not in _SAFE
        ended = await self._past(exchange, block, "method", _METHOD)
        response = exchange.response
        if unsafe and ended is None and response is not None and response is not before and response.status < 400:
            exchange.environment.caches.drop(name)
        return ended

    async def _together(self, exchange: Exchange, block: Block, name: Name, missing: Missing) -> Outcome:
        """One fetches it for all that ask; what it gets may be for another variant, so they meet once more at most."""
        caches = exchange.environment.caches
        request = asked(exchange.request)
        for _ in range(2):
            flight, leads = caches.flights.join((name, selecting(request, caches.varies(name))))
            if flight is None:
                break
            told = "lead" if leads else await flight.wait(self.wait.seconds)
            if told == "lead":
                return await self._fetched(exchange, block, name, missing, flight)
            if told == "alone":
                break
            found: Any = caches.answer(exchange, name, self._longest, "collapsed")
            if found.__class__ is CoroutineType:
                found = await found
            if not isinstance(found, str):
                found.headers = [field for field in found.headers if not field[2].startswith(_HIT)] + [_COLLAPSED]
                exchange.response = found
                return None
        return await self._fetched(exchange, block, name, missing, None)

    async def _fetched(
        self, exchange: Exchange, block: Block, name: Name, missing: Missing, flight: Flight | None
    ) -> Outcome:
        environment = exchange.environment
        clock, caches = environment.clock, environment.caches
        before, nobody, since = exchange.response, exchange.user is None, clock.wall()
        request = asked(exchange.request)
        try:
            ended = await block(exchange)
        except GeneratorExit:
            if flight is not None:
                flight.hand_over()
            raise
        except BaseException:
            if flight is not None:
                flight.land(False)
            raise
        response = exchange.response
        if ended is not None or response is None or response is before:
            kept = False
        else:
            life = None
            if response.status in self.statuses and not (nobody and exchange.user is not None):
                life = lifetime(
                    exchange.request, response, self.ttl.seconds, clock.wall(), shared=self._for_all,
                    override=self.override,
                )  # fmt: skip
            # A field that the block itself has set says nothing of whom the answer is for.
            kept = (
                life is not None
                and selecting(request, life.varies) == selecting(asked(exchange.request), life.varies)
                and caches.keep(exchange, name, request, life, self.max_size.bytes, since, _landing(flight))
            )
            response.add_fields([_STORED[missing] if kept else _MISSES[missing]])
        if not kept and flight is not None:
            flight.land(False)
        caches.note(exchange, "stored" if kept else "miss")
        return ended

    def _tell(self, exchange: Exchange) -> None:
        """Once a second at most."""
        now = exchange.environment.clock.monotonic()
        if now >= self._next_told[0]:
            self._next_told[0] = now + 1_000_000_000
            exchange.environment.log("warning", "the store is away: the cache is left out", exchange)

    # --- what is the same for every message ---

    @cached_property
    def _next_told(self) -> list[int]:
        return [0]

    @cached_property
    def _same(self) -> bytes:
        """The key where it is the same for every message, else empty."""
        return self.key.value if isinstance(self.key, Known) else b""

    @cached_property
    def _for_users(self) -> bool:
        return self.shared or "user" in reads(self.key)

    @cached_property
    def _for_all(self) -> bool:
        """Also what was asked for with Authorization: the key tells callers apart, or the policy says so."""
        told_apart = not {"user", "authorization"}.isdisjoint(reads(self.key))
        return self.shared or told_apart or b"authorization" in self._names

    @cached_property
    def _names(self) -> tuple[bytes, ...]:
        return tuple(sorted({name.lower().encode() for name in self.vary}))

    @cached_property
    def _longest(self) -> int:
        return self.ttl.ns

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        for name in ("ttl", "wait"):
            time = constants.get(name)
            if isinstance(time, Duration) and time.seconds <= 0:
                return f"`{name}` must be longer than `0s`"
        ttl, statuses, size = constants.get("ttl"), constants.get("statuses"), constants.get("max_size")
        if isinstance(ttl, Duration) and ttl.seconds > LONGEST:
            return f"`ttl` is at most {Duration(LONGEST)}"
        if isinstance(statuses, range) and (len(statuses) == 0 or statuses[0] < 200 or statuses[-1] > 599):
            return "`statuses` are from 200 to 599"
        if isinstance(size, Size) and size.bytes > LARGEST:
            return f"`max_size` is at most {Size(LARGEST)}"
        for name in constants.get("vary") or ():
            if not name.isascii() or not name.replace("-", "a").isidentifier():
                return f"`{name}` is no header's name"
        return None


def _landing(flight: Flight | None) -> Callable[[bool | None], None]:
    """What hears how the keeping has ended."""

    def ended(there: bool | None) -> None:
        if flight is None:
            pass
        elif there is None:
            flight.hand_over()
        else:
            flight.land(there)

    return ended
