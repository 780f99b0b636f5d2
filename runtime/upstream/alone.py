"""Exchanges with an upstream that no client waits for: copies of requests, and questions after a server's health."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from policylang.sdk import Failure, Waiter
from runtime.edge.stream import BodyStream
from runtime.edge.wheel import NEVER, Wheel

READ_AWAY: Final = 1 << 20
"""Bytes of an answer that are read for the sake of the connection; with more it is cheaper to close it."""


class Alone:
    """Drives a coroutine that suspends only by yielding Waiters; `ended` is called once, with what it raised."""

    __slots__ = ("_coroutine", "_ended")

    def __init__(
        self, coroutine: Coroutine[Waiter[Any], None, None], ended: Callable[[Exception | None], None]
    ) -> None:
        self._coroutine = coroutine
        self._ended = ended

    def advance(self) -> None:
        try:
            waiter = self._coroutine.send(None)
        except StopIteration:
            self._ended(None)
        except Exception as error:
            self._ended(error)
        else:
            waiter.callback = self.advance


class ReadAway:
    """Takes the body of an answer that nobody reads, `limit` bytes of it for at most so many ticks."""

    __slots__ = ("_stream", "_wheel", "due", "gone", "seen")

    def __init__(self, stream: BodyStream, wheel: Wheel, span: int, limit: int = READ_AWAY) -> None:
        self.due = self.seen = NEVER
        self.gone: Waiter[None] = Waiter()
        self._stream = stream
        self._wheel = wheel
        self.due = wheel.now + span
        wheel.hasten(self)
        stream.pipe(self, limit)

    def expired(self) -> None:
        self._stream.refuse()
        self.gone.fire(None)

    def body_data(self, data: bytes) -> None:
        """Away with it."""

    def body_end(self) -> None:
        self._wheel.forget(self)
        self.gone.fire(None)

    def body_failed(self, failure: Failure) -> None:
        self._wheel.forget(self)
        self.gone.fire(None)
