"""What an upstream still answers after everybody has gone, for exchanges that have to know when it is done.

Such an exchange (`Exchange.await_answers`) does not close the connection under a request that the server has whole: the
server would go on working, and nobody could say for how long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from policylang.sdk import Exchange, Failure, Response, Waiter
from policylang.sdk.unanswered import Unanswered
from runtime.edge.stream import BodyStream
from runtime.edge.tunnel import ChangedProtocol
from runtime.edge.wheel import NEVER, Wheel

if TYPE_CHECKING:
    from runtime.upstream.connection import UpstreamConnection


def leave(connection: UpstreamConnection, waiter: Waiter[Response], exchange: Exchange) -> None:
    """Wait no longer for the answer that `connection.start` has promised."""
    unanswered = (exchange.origin or exchange).unanswered
    if unanswered is None or connection.sending:
        connection.abandon(waiter)
        return
    unanswered.began()
    pool = connection.pool

    def answered() -> None:
        answer = None if waiter.error is not None else waiter.value
        if isinstance(answer, ChangedProtocol):
            answer.tunnel.refuse()
        if answer is not None and answer.body is None and isinstance(answer.source, BodyStream):
            _Rest(answer.source, unanswered, pool.wheel, pool.head_ticks)
        else:
            unanswered.ended()

    # The head keeps the deadline that the request was sent with.
    waiter.callback = answered
    if waiter.done:
        answered()


def leave_body(stream: BodyStream, exchange: Exchange, wheel: Wheel, span: int) -> None:
    """Take no more of an answer's body; where it matters it is read on for at most `span` ticks."""
    unanswered = (exchange.origin or exchange).unanswered
    if unanswered is None or stream.finished or stream.failure is not None:
        stream.refuse()
        return
    unanswered.began()
    _Rest(stream, unanswered, wheel, span)


class _Rest:
    """Takes the rest of a body and throws it away."""

    __slots__ = ("_stream", "_unanswered", "_wheel", "due", "seen")

    def __init__(self, stream: BodyStream, unanswered: Unanswered, wheel: Wheel, span: int) -> None:
        self.due = self.seen = NEVER
        self._stream: BodyStream | None = stream
        self._unanswered = unanswered
        self._wheel = wheel
        self.due = wheel.now + span
        wheel.hasten(self)
        stream.divert(self)

    def expired(self) -> None:
        cast(BodyStream, self._stream).refuse()
        self._done()

    def body_data(self, data: bytes) -> None:
        """Away with it."""

    def body_end(self) -> None:
        self._done()

    def body_failed(self, failure: Failure) -> None:
        self._done()

    def _done(self) -> None:
        if self._stream is not None:
            self._stream = None
            self._wheel.forget(self)
            self._unanswered.ended()
