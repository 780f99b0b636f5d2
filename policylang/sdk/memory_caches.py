"""A cache in memory, for the bench: slow and obvious."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from policylang.sdk.caches import Asked, CacheOutcome, Life, Missing, Name, asked, selecting, storable
from policylang.sdk.flights import Flights
from policylang.sdk.outcome import Unavailable

if TYPE_CHECKING:
    from policylang.sdk.exchange import Clock, Exchange, Response
    from policylang.sdk.memory import Reachable
    from policylang.sdk.message import Field


class _Kept:
    def __init__(self, response: Response, body: bytes, life: Life, chosen: tuple[bytes | None, ...], now: float):
        self.status, self.headers, self.body = response.status, storable(response.headers), body
        self.life, self.chosen, self.since = life, chosen, now


class MemoryCaches:
    """`down` of the store makes it miss. `outcomes`: what was noted. `beside`: those of another process that shares the
    store."""

    def __init__(self, clock: Clock, store: Reachable, beside: MemoryCaches | None = None) -> None:
        self.flights = Flights(clock)
        self.outcomes: list[CacheOutcome] = []
        self._clock = clock
        self._store = store
        self._answers: dict[Name, list[_Kept]] = {} if beside is None else beside._answers
        self._values: dict[bytes, tuple[bytes, float]] = {} if beside is None else beside._values

    def answer(self, exchange: Exchange, name: Name, longest: int, outcome: CacheOutcome = "hit") -> Response | Missing:
        if self._store.down:
            return "bypass"
        now = self._clock.wall()
        live = [one for one in self._answers.get(name, []) if now < one.since + min(one.life.seconds, longest / 1e9)]
        for one in live:
            if selecting(asked(exchange.request), one.life.varies) == one.chosen:
                self.note(exchange, outcome)
                return self._made(one, now)
        return "vary-miss" if live else "uri-miss"

    def _made(self, one: _Kept, now: float) -> Response:
        from policylang.sdk.exchange import Response

        passed = now - one.since
        told: list[Field] = [
            (b"age", b"Age", b"%d" % (one.life.age + passed)),
            (b"cache-status", b"Cache-Status", b"polgate; hit; ttl=%d" % (one.life.seconds - passed)),
        ]
        return Response(one.status, one.headers + told, one.body)

    def varies(self, name: Name) -> tuple[bytes, ...]:
        return tuple(sorted({lower for one in self._answers.get(name, []) for lower in one.life.varies}))

    def keep(
        self, exchange: Exchange, name: Name, request: Asked, life: Life, limit: int, since: float,
        ended: Callable[[bool | None], None],
    ) -> bool:  # fmt: skip
        response: Any = exchange.response
        body = response.body if response.body is not None else response.source.data
        if len(body) > limit:
            ended(False)
            return False
        chosen = selecting(request, life.varies)
        others = [one for one in self._answers.get(name, []) if (one.life.varies, one.chosen) != (life.varies, chosen)]
        self._answers[name] = [_Kept(response, body, life, chosen, self._clock.wall()), *others]
        ended(True)
        return True

    def drop(self, name: Name) -> None:
        self._answers.pop(name, None)

    def note(self, exchange: Exchange, outcome: CacheOutcome) -> None:
        self.outcomes.append(outcome)

    def value(self, key: bytes) -> bytes | None:
        found = self._values.get(key)
        return found[0] if found is not None and self._clock.wall() < found[1] and not self._store.down else None

    def keep_value(self, key: bytes, data: bytes, seconds: float) -> None:
        if not self._store.down:
            self._values[key] = data, self._clock.wall() + seconds

    def drop_value(self, key: bytes) -> None:
        if self._store.down:
            raise Unavailable("store", "it is down")
        self._values.pop(key, None)
