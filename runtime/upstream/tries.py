"""Getting an answer with care: one server after another where that is safe, within one deadline."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, cast

from policylang.sdk import Exchange, Failed, Response, UpstreamCall, Waiter
from runtime.edge.linger import leave
from runtime.edge.request import ReceivedRequest
from runtime.edge.stream import BodyStream
from runtime.edge.transport import LoopTransport
from runtime.edge.wheel import ticks
from runtime.upstream.connection import UpstreamConnection
from runtime.upstream.failures import Busy, Stale, Unanswered, broken

if TYPE_CHECKING:
    from runtime.upstream.pool import UpstreamPool
    from runtime.upstream.server import Server

# RFC 9110 9.2.2: only these may be sent again when nobody knows what became of the first time.
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
MOST_STALE: Final = 3
"""Kept connections that one request finds dead."""
NO_ANSWER: Final = 0
"""In the place of a status: the server was asked, and none came."""
NOT_ASKED: Final = -1
"""In the place of a status: it has not come to an answer, for reasons that say nothing about the server."""


class Tries:
    """The tries of one request, from now on."""

    __slots__ = (
        "_call", "_exchange", "_held", "_left", "_method", "_pool", "_request", "_retries", "_safe", "_server",
        "_tried", "_until",
    )  # fmt: skip

    def __init__(self, pool: UpstreamPool, exchange: Exchange, call: UpstreamCall, method: str) -> None:
        request = cast(ReceivedRequest, exchange.request)
        self._pool = pool
        self._exchange = exchange
        self._call = call
        self._request = request
        self._method = method
        self._held = request.body is not None and method in IDEMPOTENT  # may be sent twice
        self._left = pool.settings.retries.count if call.retries is None else call.retries
        self._until = pool.wheel.now + (pool.head_ticks if call.timeout is None else ticks(call.timeout))
        self._retries = 0
        self._tried: list[Server] = []
        self._safe = False  # to do again what has failed last
        self._server: Server | None = None

    def run(
        self, server: Server | None, error: BaseException | None = None
    ) -> Generator[Waiter[Any], None, Response]:
        """The answer's head. `server`: who is to be asked first, or has been asked already, and gave this error."""
        fresh = False
        stale = 0
        answer: Response | None = None
        if isinstance(error, (Stale, Unanswered)):
            self._server = server
            self._safe = self._held
            self._until = min(self._until, error.limit)
        while True:
            if error is None and answer is None:
                try:
                    answer = yield from self._once(server, fresh)
                except (Failed, Stale) as caught:
                    error = caught
            if isinstance(error, Stale):
                # No server's fault, and so no retry: only the kept connection was dead. Its neighbours are suspect too;
                # where no new one may be opened it is one of them all the same, and may be dead as well.
                if stale == MOST_STALE or not self._safe:
                    raise broken("the server closed the connection without an answer")
                stale += 1
                server, fresh, error = self._server, True, None
                continue
            if answer is not None and answer.status not in self._pool.settings.retries.statuses:
                return answer
            if not self._may_try_again(sent=answer is not None or isinstance(error, Unanswered)):
                return self._final(error, answer)
            self._tried.append(cast("Server", self._server))
            wait = self._pause()
            if wait:
                yield from self._pool.sleep(wait).__await__()
                if self._pool.wheel.now >= self._until:
                    return self._final(error, answer)
            try:
                server = self._pool.pick(self._exchange, self._tried)
            except Failed:
                return self._final(error, answer)
            if answer is not None and answer.body is None:
                cast(BodyStream, answer.source).refuse()
            fresh, error, answer = False, None, None

    def _final(self, error: BaseException | None, answer: Response | None) -> Response:
        if answer is None:
            raise cast(BaseException, error)
        return answer

    def _may_try_again(self, sent: bool) -> bool:
        if not self._safe or self._retries >= self._left or self._pool.wheel.now >= self._until:
            return False
        # Who could not be reached has no work of it, so trying another one adds to nobody's load.
        if sent and not self._pool.budget.take():
            return False
        self._retries += 1
        return True

    def _pause(self) -> float:
        """Seconds before the next try: none before the first retry, which asks another server."""
        if self._retries < 2:
            return 0.0
        settings = self._pool.settings.retries
        return min(settings.wait * 2.0 ** (self._retries - 2), settings.longest_wait) * (0.5 + random.random() / 2)

    def _once(self, server: Server | None, fresh: bool) -> Generator[Waiter[Any], None, Response]:
        """One try. Raises Failed or Stale; `_safe` says whether there may be another one."""
        pool, request = self._pool, self._request
        self._safe = False
        self._server = server = server or pool.pick(self._exchange, self._tried)
        trace = request.trace
        if trace is not None:
            trace.attempts += 1
            trace.pool = pool.name
            trace.server = server.name
        started = pool.monotonic() if pool.timed else 0
        verdict = NOT_ASKED
        charged = pool.counted
        if charged:
            server.group.started(server)
        try:
            limit = self._limit()
            if server.idle and not fresh:
                connection = server.idle.pop()
            else:
                try:
                    connection = yield from pool.acquire(server, limit)
                except Failed as failed:
                    if not isinstance(failed, Busy):
                        verdict = NO_ANSWER
                        self._safe = True
                    raise
            if connection.server is not server:
                # One that another server had came free first.
                pool.swapped(server, connection.server, started, charged)
                self._server = server = connection.server
                if trace is not None:
                    trace.server = server.name
            if self._method not in IDEMPOTENT and cast(LoopTransport, connection.transport).closing and not fresh:
                self._safe = True  # nothing was sent
                raise Stale(self._until)
            waiter = self._start(connection, limit)
            connection.charged, charged = charged, False
            try:
                if waiter.error is None:
                    yield waiter
            except GeneratorExit:
                leave(connection, waiter, self._exchange)
                raise
            error = waiter.error
            if error is not None:
                self._safe = self._held and isinstance(error, (Stale, Unanswered))
                if isinstance(error, Failed) and error.failure.name.startswith("upstream-"):
                    verdict = NO_ANSWER
                raise error
            answer: Response = waiter.value
            verdict = answer.status
            self._safe = self._held
            if trace is not None:
                trace.status = verdict
            if answer.body is None:
                connection.vouched = verdict < 500
                if request.streams is None:
                    request.streams = []
                request.streams.append(cast(BodyStream, answer.source))
            return answer
        finally:
            if charged:
                server.group.ended(server)
            pool.ended(server, started, verdict, verdict > 0 and answer.body is not None)

    def _start(self, connection: UpstreamConnection, limit: int) -> Waiter[Response]:
        if self._request.body is None and self._call.timeout is None:
            limit = 0  # what is still being sent has its time from then on
        try:
            return connection.start(self._request, self._call, self._method, limit)
        except Failed:
            self._pool.release(connection)
            raise

    def _limit(self) -> int:
        """The tick by which the answer's head has to be here."""
        per_try = self._pool.settings.retries.per_try
        if not per_try or not self._held:
            return self._until
        return min(self._until, self._pool.wheel.now + ticks(per_try))
