"""The one thing an evaluation can wait for.

A coroutine of a policy suspends only by awaiting a `Waiter`. Whoever drives it (the gateway, `parallel`,
a test) receives the waiter from `coroutine.send(None)`, sets `callback`, and is called once, synchronously,
when the value is there. No future, no loop iteration, no Deferred between an upstream's bytes and the next
statement.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_NOT_YET: Any = object()


class Waiter(Generic[T]):
    """Fired at most once, by `fire` or `fail`; later calls are ignored (a timer and an answer may race)."""

    __slots__ = ("callback", "error", "value")

    def __init__(self) -> None:
        self.value: T = _NOT_YET
        self.error: BaseException | None = None
        self.callback: Callable[[], None] | None = None

    @property
    def done(self) -> bool:
        return self.value is not _NOT_YET or self.error is not None

    def fire(self, value: T) -> None:
        if self.value is _NOT_YET and self.error is None:
            self.value = value
            callback, self.callback = self.callback, None
            if callback is not None:
                callback()

    def fail(self, error: BaseException) -> None:
        if self.value is _NOT_YET and self.error is None:
            self.error = error
            callback, self.callback = self.callback, None
            if callback is not None:
                callback()

    def __await__(self) -> Generator[Waiter[Any], None, T]:
        if self.value is _NOT_YET and self.error is None:
            yield self
        if self.error is not None:
            raise self.error
        return self.value
