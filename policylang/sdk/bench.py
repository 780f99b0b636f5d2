"""A bench to try assertions on: surroundings in memory, on a clock that moves only when told.

    environment = BenchEnvironment(upstreams={"orders": StubUpstream()})
    exchange = make_exchange(environment, "GET", "/orders/7", headers={"X-API-Key": "k1"})
    outcome = run(assertion.evaluate(exchange), environment.clock)
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from policylang.sdk.circuits import Circuits
from policylang.sdk.exchange import Client, Exchange, Request, Response, UpstreamCall, UpstreamClient
from policylang.sdk.limits import BodyLimits
from policylang.sdk.lines import Lines
from policylang.sdk.memory import MemoryEntries, MemoryStore
from policylang.sdk.memory_caches import MemoryCaches
from policylang.sdk.memory_permits import MemoryPermits
from policylang.sdk.memory_quotas import MemoryQuotas
from policylang.sdk.message import BodySource, Field
from policylang.sdk.outcome import Failed, Failure
from policylang.sdk.waiter import Waiter

T = TypeVar("T")


class VirtualClock:
    """Stands still until `advance`. `epoch`: the wall time at its beginning, in seconds."""

    def __init__(self, epoch: float = 1_767_225_600.0) -> None:
        self._epoch = epoch
        self._now = 0
        self._order = itertools.count()
        self._timers: list[tuple[int, int, Waiter[None]]] = []

    def monotonic(self) -> int:
        return self._now

    def wall(self) -> float:
        return self._epoch + self._now / 1e9

    def set_wall(self, epoch: float) -> None:
        """Say what time it is now. No timer minds."""
        self._epoch = epoch - self._now / 1e9

    def sleep(self, seconds: float) -> Waiter[None]:
        waiter: Waiter[None] = Waiter()
        heapq.heappush(self._timers, (self._now + max(0, round(seconds * 1e9)), next(self._order), waiter))
        return waiter

    def advance(self, seconds: float) -> None:
        """Let time pass, and fire every timer on the way at its own moment."""
        end = self._now + round(seconds * 1e9)
        while self.jump(end):
            pass
        self._now = max(self._now, end)

    def jump(self, until: int | None = None) -> bool:
        """Go to the next timer and fire it. False where there is none (`until` then, monotonic ns)."""
        if not self._timers or (until is not None and self._timers[0][0] > until):
            return False
        moment, _, waiter = heapq.heappop(self._timers)
        self._now = max(self._now, moment)
        waiter.fire(None)
        return True


class StreamedBody:
    """A body that is not held yet. `fault`: the status of one that is too large."""

    def __init__(self, data: bytes, fault: int = 413) -> None:
        self.data = data
        self.collected = 0
        self._fault = fault

    async def collect(self, limit: int) -> bytes:
        self.collected += 1
        if len(self.data) > limit:
            raise Failed(Failure("body-too-large", self._fault, f"over {limit} bytes"))
        return self.data

    def bound(self, limit: int) -> bool:
        return self.collected == 0 or len(self.data) <= limit


class Sent:
    """What an upstream received."""

    def __init__(self, exchange: Exchange, call: UpstreamCall, body: bytes | None) -> None:
        request = exchange.request
        self.method = call.method or request.method
        self.path = request.path
        self.query_string = request.query_string
        self.target = call.target
        self.timeout = call.timeout
        self.host = call.host
        self.retries = call.retries
        self.headers = list(request.headers)
        self.body = body

    def header(self, name: str) -> str | None:
        lower = name.lower().encode()
        return next((value.decode() for field, _, value in self.headers if field == lower), None)


class StubUpstream:
    """Gives its answers in turn, the last one for ever: a Response, a failure to raise, or what makes one of a call.

    `after`: seconds that it takes. `calls`: what it received; `mirrored`: the copies that nobody waited for.
    """

    def __init__(
        self,
        *answers: Response | Failure | Callable[[Sent], Response],
        clock: VirtualClock | None = None,
        after: float = 0.0,
    ) -> None:
        self.answers = list(answers) or [lambda sent: make_response(200, b"ok")]
        self.calls: list[Sent] = []
        self.mirrored: list[Sent] = []
        self._clock = clock
        self._after = after

    async def send(self, exchange: Exchange, call: UpstreamCall) -> Response:
        request = exchange.request
        if request.body is None and isinstance(request.source, StreamedBody):
            body: bytes | None = await request.source.collect(request.limit if request.limit is not None else 1 << 62)
        else:
            body = request.body
        sent = Sent(exchange, call, body)
        self.calls.append(sent)
        if self._clock is not None and self._after:
            await self._clock.sleep(self._after)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Failure):
            raise Failed(answer)
        return answer if isinstance(answer, Response) else answer(sent)

    def mirror(self, exchange: Exchange, call: UpstreamCall) -> None:
        body = exchange.request.body
        if body is None:
            raise RuntimeError("a copy is sent of a request whose body is not held")
        self.mirrored.append(Sent(exchange, call, body))


class BenchEnvironment:
    """`logs`: (level, text). `defects`: what was reported as a mistake of ours. `draw` gives the same numbers each time
    anew."""

    def __init__(
        self,
        *,
        clock: VirtualClock | None = None,
        store: MemoryStore | None = None,
        upstreams: Mapping[str, UpstreamClient] | None = None,
        bodies: BodyLimits | None = None,
    ) -> None:
        self.name = "bench"
        self.version = "0"
        self.node = "bench-1"
        self.clock = clock or VirtualClock()
        self.store = store or MemoryStore()
        self.entries = self.machine = MemoryEntries(self.clock, self.store)
        self.permits = MemoryPermits(self.clock, self.store)
        self.quotas = MemoryQuotas(self.store)
        self.caches = MemoryCaches(self.clock, self.store)
        self.upstreams: Mapping[str, UpstreamClient] = upstreams or {}
        self.bodies = bodies or BodyLimits()
        self.logs: list[tuple[str, str]] = []
        self.defects: list[BaseException] = []
        self.draw = Random(0).random
        self.circuit = Circuits().get
        self.lines = Lines()
        self.whole = lambda: True

    def log(self, level: str, text: str, exchange: Exchange) -> None:
        self.logs.append((level, text))

    def defect(self, error: BaseException, exchange: Exchange) -> str:
        self.defects.append(error)
        return f"defect-{len(self.defects)}"


Headers = Mapping[str, str] | Sequence[tuple[str, str]]


def make_fields(headers: Headers) -> list[Field]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(name.lower().encode(), name.encode(), value.encode()) for name, value in pairs]


def make_response(status: int = 200, body: bytes = b"", headers: Headers = (), *, streams: bool = False) -> Response:
    """`streams`: the body is not held until somebody reads it."""
    if streams:
        return Response(status, make_fields(headers), None, StreamedBody(body, 502))
    return Response(status, make_fields(headers), body)


def make_request(
    method: str = "GET",
    path: str = "/",
    *,
    headers: Headers = (),
    body: bytes = b"",
    host: str = "api.example",
    id: str = "",
    streams: bool = False,
) -> Request:
    """`path` may carry a query behind `?`."""
    path, mark, query = path.partition("?")
    source: BodySource | None = StreamedBody(body) if streams else None
    return Request(
        method, path, query.encode() if mark else None, make_fields(headers), host=host, id=id,
        body=None if streams else body, source=source,
    )  # fmt: skip


def make_exchange(
    environment: BenchEnvironment,
    method: str = "GET",
    path: str = "/",
    *,
    client: str = "192.0.2.1",
    journal: bool = False,
    **request: Any,
) -> Exchange:
    """An exchange as the gateway makes it; further arguments are those of `make_request`."""
    surroundings: Any = environment  # its clock and store are more than the protocols ask for
    given = make_request(method, path, **request)
    found = Exchange(given, Client(client, 40000), surroundings, environment.clock.monotonic())
    if journal:
        found.journal = []
    return found


def run(coroutine: Coroutine[Waiter[Any], None, T], clock: VirtualClock | None = None) -> T:
    """Drive a coroutine to its end. While it waits, the clock jumps from timer to timer.

    Raises RuntimeError when it waits and no timer is left: nothing would ever wake it.
    """
    while True:
        try:
            waiter = coroutine.send(None)
        except StopIteration as stop:
            result: T = stop.value
            return result
        while not waiter.done:
            if clock is None or not clock.jump():
                coroutine.close()
                raise RuntimeError("it waits for what never comes")


__all__ = [
    "BenchEnvironment", "MemoryEntries", "MemoryStore", "Sent", "StreamedBody", "StubUpstream", "VirtualClock",
    "make_exchange", "make_fields", "make_request", "make_response", "run",
]  # fmt: skip
