"""Asking a server after its health, again and again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, cast

from policylang.sdk import Failed, UpstreamCall, Waiter
from runtime.edge.request import ReceivedRequest
from runtime.edge.stream import BodyStream
from runtime.edge.wheel import NEVER, ticks
from runtime.upstream.alone import Alone, ReadAway
from runtime.upstream.failures import Stale

if TYPE_CHECKING:
    from runtime.upstream.connection import UpstreamConnection
    from runtime.upstream.pool import UpstreamPool
    from runtime.upstream.server import Server

JITTER: Final = 0.1
"""Of the time between two questions, so that workers and gateways do not all ask at once."""
_LONGEST_ANSWER: Final = 64 << 10


class Check:
    """Of one server. Each question goes over a new connection: that one can be had is a part of being well."""

    __slots__ = ("_pool", "_request", "_server", "_settings", "due", "seen", "stopped")

    def __init__(self, pool: UpstreamPool, server: Server) -> None:
        self.due = self.seen = NEVER
        self.stopped = False
        self._pool = pool
        self._server = server
        settings = pool.settings.health
        assert settings is not None
        self._settings = settings
        self._request = _question(settings.path, settings.host or server.address.authority)
        self._next(random.random() * settings.every)

    def stop(self) -> None:
        self.stopped = True
        self._pool.wheel.forget(self)

    def expired(self) -> None:
        Alone(self._ask(), self._asked).advance()

    def _next(self, seconds: float) -> None:
        self.due = self._pool.wheel.now + ticks(seconds)
        self._pool.wheel.hasten(self)

    def _asked(self, error: Exception | None) -> None:
        if not self.stopped:
            self._next(self._settings.every * random.uniform(1 - JITTER, 1 + JITTER))
        if error is not None:
            # Not raised: it would come up in whoever has brought the answer, or in the turning of the wheel.
            self._pool.loop.call_exception_handler({"message": "a question after health failed", "exception": error})

    async def _ask(self) -> None:
        pool, server, settings = self._pool, self._server, self._settings
        limit = pool.wheel.now + ticks(settings.timeout)
        well = False
        try:
            # Beyond the limit of connections if need be: that all are in use does not mean that a server is ill.
            waiter: Waiter[UpstreamConnection] = Waiter()
            pool.dial(server, waiter, limit)
            connection = await waiter
            answer = await connection.start(self._request, _CALL, "GET", limit)
            well = settings.least <= answer.status <= settings.greatest
            if answer.body is None:
                ReadAway(cast(BodyStream, answer.source), pool.wheel, ticks(settings.timeout), _LONGEST_ANSWER)
            elif pool.open > pool.settings.connections and connection in server.idle:
                connection.expired()
        except (Failed, Stale):
            pass
        if not self.stopped:
            pool.watch.asked(server, well)


def _question(path: str, host: str) -> ReceivedRequest:
    path, mark, query = path.partition("?")
    request = ReceivedRequest("GET", path, query.encode() if mark else None, [], host=host, id="health-check")
    request.received_target = (path + mark + query).encode()
    request.received_path = request.path
    request.received_query = request.query_string
    request.opening = b" HTTP/1.1\r\nHost: %b\r\nUser-Agent: polgate\r\nX-Request-ID: " % host.encode()
    request.known = None
    request.edits = None
    request.streams = None
    request.trace = None
    request.upgrade = b""
    return request


_CALL: Final = UpstreamCall()
