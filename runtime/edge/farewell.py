"""How a client's connection ends, once its last answer is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from runtime.edge.wheel import NEVER, TICK, ticks

if TYPE_CHECKING:
    from runtime.edge.incoming import Incoming

_DISCARDING, _HALF_CLOSED, _FLUSHING = "discarding", "half closed", "flushing"
_STALLED: Final = 300
"""Ticks in which a client must have taken of what waits for it what the slowest body has."""


class Farewell:
    """Closing at once with bytes unread makes the kernel reset the connection, which may destroy the answer on its way.

    So, unless it was the client that asked to close: what it still sends is read away (64 KiB, 1 s), the connection is
    closed for writing, and for good when the client closes too, 2 s later at the latest.
    """

    __slots__ = ("_connection", "_least", "_left", "_state", "_transport", "_unsent", "_wheel", "due", "seen")

    def __init__(self, connection: Incoming, asked: bool) -> None:
        """`asked`: the client said that this was its last request, and it has sent all of it."""
        self._connection = connection
        self._transport = cast(Any, connection.transport)
        self._wheel = connection.edge.wheel
        self.due = self.seen = NEVER
        settings = connection.edge.settings
        self._left = settings.discard
        self._least = int(settings.body_rate * _STALLED * TICK)
        self._unsent = -1
        if asked:
            self._state = _FLUSHING
            self._transport.loseConnection()
            self._wait(_STALLED)
        elif connection.complete:
            self._half_close()
        else:
            self._state = _DISCARDING
            self._wait(ticks(settings.discard_time))

    def received(self, size: int) -> None:
        self._left -= size
        if self._left <= 0 and self._state is _DISCARDING:
            self._half_close()

    def eof(self) -> None:
        """The client has closed its side as well."""
        self._state = _FLUSHING
        self._transport.loseConnection()
        self._wait(_STALLED)

    def gone(self) -> None:
        self._wheel.forget(self)
        del self._connection

    def expired(self) -> None:
        if self._state is _DISCARDING:
            self._half_close()
            return
        transport = self._transport
        unsent = transport.outstanding if transport.unsent else 0
        if unsent and (self._unsent < 0 or self._unsent - unsent >= self._least):  # the client is slow, but it reads
            self._unsent = unsent
            self._wait(_STALLED)
        else:
            self._transport.abortConnection()

    def _half_close(self) -> None:
        self._state = _HALF_CLOSED
        self._transport.loseWriteConnection()
        self._wait(ticks(self._connection.edge.settings.linger))

    def _wait(self, count: int) -> None:
        self.due = self._wheel.now + count
        if self.due < self.seen:
            self._wheel.hasten(self)
