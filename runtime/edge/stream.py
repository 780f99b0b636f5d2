"""A body on its way from one connection to another, or into memory where the policy reads it.

Only a body that was not complete when its head was handled becomes a stream. It holds at most `WINDOW` bytes: with
more, the connection it comes from stops reading until somebody takes them.
"""

from __future__ import annotations

from typing import Final, Protocol

from policylang.sdk import Failed, Failure, Kind, Waiter

WINDOW: Final = 64 * 1024
"""Bytes that wait here for a taker before reading stops."""


class Origin(Protocol):
    """The connection a body comes from."""

    def body_wanted(self) -> None:
        """Somebody takes it from now on (a client may wait for `100 Continue`)."""

    def pause_body(self) -> None: ...

    def resume_body(self) -> None: ...

    def body_refused(self) -> None:
        """Nobody wants the rest."""


class Taker(Protocol):
    """The connection a body goes to. After `body_end` or `body_failed` it hears no more."""

    def body_data(self, data: bytes) -> None: ...

    def body_end(self) -> None: ...

    def body_failed(self, failure: Failure) -> None: ...


class BodyStream:
    """One body. `length` is what its head declares, None where only its end will tell.

    It is either collected, by as many as want to, or piped, to one taker. `finished`: its last byte
    has come. `paused`: its origin reads no more for now. `copy` hears all of it as well, and slows nobody down.
    """

    __slots__ = (
        "_collectors", "_held", "_limit", "_origin", "_room", "_taker", "_too_large", "_whole", "copy", "failure",
        "finished", "length", "paused", "received", "untouched",
    )  # fmt: skip

    def __init__(self, origin: Origin, length: int | None, too_large: int) -> None:
        self._origin = origin
        self.length = length
        self._too_large = too_large  # the status of what is over its limit
        self._held: list[bytes] = []
        self._room = WINDOW
        self._limit: int | None = None
        self._taker: Taker | None = None
        self.copy: Taker | None = None
        self._collectors: list[Waiter[bytes]] | None = None
        self._whole: bytes | None = None
        self.paused = False
        self.failure: Failure | None = None
        self.finished = False
        self.received = 0
        self.untouched = True

    # --- from the origin ---

    def data(self, data: bytes) -> None:
        if self.failure is not None:
            return
        self.received += len(data)
        if self.copy is not None:
            self.copy.body_data(data)
        if self._limit is not None and self.received > self._limit:
            self._exceed(self._limit)
        elif self._taker is not None:
            self._taker.body_data(data)
        else:
            self._held.append(data)
            self._room -= len(data)
            if self._room <= 0 and not self.paused and self._collectors is None:
                self.paused = True
                self._origin.pause_body()

    def end(self) -> None:
        if self.failure is not None:
            return
        self.finished = True
        taker, self._taker = self._taker, None
        if self._collectors is not None:
            self._whole = self._take()
            for waiter in self._collectors:
                waiter.fire(self._whole)
        elif taker is not None:
            taker.body_end()
        copy, self.copy = self.copy, None
        if copy is not None:
            copy.body_end()

    def fail(self, failure: Failure) -> None:
        """The rest will never come."""
        if self.failure is not None or self.finished:
            return
        self.failure = failure
        self._held.clear()
        taker, self._taker = self._taker, None
        if self._collectors is not None:
            for waiter in self._collectors:
                waiter.fail(Failed(failure))
        elif taker is not None:
            taker.body_failed(failure)
        self._copy_failed(failure)

    # --- for who wants it ---

    @property
    def wanted(self) -> bool:
        """Somebody takes it, or has begun to."""
        return not self.untouched

    @property
    def piped(self) -> bool:
        return self._taker is not None

    async def collect(self, limit: int) -> bytes:
        """The whole body. Raises Failed: `body-too-large`, or why it was cut."""
        if self._whole is not None:
            return self._whole
        if self._collectors is None:
            self._begin(limit)
            self._collectors = []
            if self.failure is None and self.finished:
                self._whole = self._take()
                return self._whole
        if self.failure is not None:
            raise Failed(self.failure)
        waiter: Waiter[bytes] = Waiter()
        self._collectors.append(waiter)
        if len(self._collectors) == 1:
            self._origin.body_wanted()
            self.resume()
        return await waiter

    def pipe(self, taker: Taker, limit: int | None) -> None:
        """Hand everything to `taker` as it comes, at most `limit` bytes."""
        self._begin(limit)
        if self.failure is not None:
            taker.body_failed(self.failure)
            return
        stopped, self.paused = self.paused, False
        if self._held:
            taker.body_data(self._take())  # which may pause or refuse the rest
        if self.finished:
            taker.body_end()
        elif self.failure is None:
            self._taker = taker
            self._origin.body_wanted()
            if stopped and not self.paused:
                self._origin.resume_body()

    def divert(self, taker: Taker) -> None:
        """Give what is still to come to another taker, whatever has become of the body so far."""
        self.untouched = False
        self._collectors = None
        self._held.clear()
        if self.failure is not None:
            taker.body_failed(self.failure)
        elif self.finished:
            taker.body_end()
        else:
            self._taker = taker
            self.resume()

    def bound(self, limit: int) -> bool:
        """Let at most `limit` bytes through, also of what has begun. False where it is known to be longer."""
        if self.received > limit or (self.length is not None and self.length > limit):
            return False
        if not self.untouched and (self._limit is None or limit < self._limit):
            self._limit = limit  # who begins it later says it then
        return True

    def pause(self) -> None:
        """The taker is slow."""
        if not self.paused and not self.finished:
            self.paused = True
            self._origin.pause_body()

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            self._origin.resume_body()

    def refuse(self) -> None:
        """Nobody wants the rest; the taker hears no more."""
        self.untouched = False
        self._taker = None
        self._held.clear()
        if not self.finished and self.failure is None:
            self.failure = _UNWANTED
            self._origin.body_refused()
            self._copy_failed(_UNWANTED)

    def watch(self, copy: Taker) -> None:
        """Have `copy` hear all of it, too; before anybody has begun to take it.

        It hears `body-refused` where nobody wants the rest.
        """
        if self.failure is not None:
            copy.body_failed(self.failure)
            return
        self.copy = copy
        for data in list(self._held):
            copy.body_data(data)
        if self.finished and self.copy is not None:
            self.copy = None
            copy.body_end()

    # --- within ---

    def _copy_failed(self, failure: Failure) -> None:
        copy, self.copy = self.copy, None
        if copy is not None:
            copy.body_failed(failure)

    def _begin(self, limit: int | None) -> None:
        if not self.untouched:
            raise RuntimeError("a body is asked for that has gone on already")
        self.untouched = False
        self._limit = limit
        if limit is not None and (self.received > limit or (self.length is not None and self.length > limit)):
            self._exceed(limit)

    def _take(self) -> bytes:
        held = self._held
        data = held[0] if len(held) == 1 else b"".join(held)
        held.clear()
        return data

    def _exceed(self, limit: int) -> None:
        if self.failure is None:
            finished, self.finished = self.finished, False
            self.fail(Failure("body-too-large", self._too_large, f"over {limit} bytes", kind=Kind.REFUSAL))
            if not finished:
                self._origin.body_refused()


_UNWANTED: Final = Failure("body-refused", 400, kind=Kind.ERROR)
