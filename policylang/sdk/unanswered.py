"""Requests that an upstream works on although nobody waits for the answer any more."""

from __future__ import annotations

from collections.abc import Callable


class Unanswered:
    """Those of one exchange. An upstream that is left by an exchange that has one lets its answer come to an end.

    Who must not begin anew before that (`concurrency_limit`) makes one, with `Exchange.await_answers`.
    """

    __slots__ = ("_calls", "_count")

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []
        self._count = 0

    def began(self) -> None:
        self._count += 1

    def ended(self) -> None:
        """The answer is complete or broken off, or its time is up."""
        self._count -= 1
        if not self._count:
            calls, self._calls = self._calls, []
            for call in calls:
                call()

    def when_none(self, call: Callable[[], None]) -> None:
        """Call it once when none is left: at once, where there is none. It must neither wait nor raise."""
        if self._count:
            self._calls.append(call)
        else:
            call()
