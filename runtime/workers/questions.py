"""Questions that an operator's thread asks of one worker, by way of the supervisor.

The thread leaves a question and waits; the supervisor hands it to a worker that serves; the worker (see `answers`)
finds who can answer and sends back what that gave. Nobody waits for ever: the thread has a deadline, and a worker's
death is told.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from runtime.admin.messages import Refused
from runtime.workers.control import Message

if TYPE_CHECKING:
    from runtime.workers.child import Child


class _Question:
    def __init__(self, number: int, what: str, arguments: dict[str, Any], until: float) -> None:
        self.number = number
        self.message: Message = {"do": "ask", "id": number, "what": what, "arguments": arguments}
        self.until = until  # monotonic
        self.child: Child | None = None
        self.done = threading.Event()
        self.result: Any = None
        self.error: Refused | None = None

    def answer(self, message: Message) -> None:
        error = message.get("error")
        if error is not None:
            self.error = Refused(error["status"], error["name"], error["detail"], *map(tuple, error["fields"]))
        else:
            self.result = message["result"]
        self.done.set()

    def refuse(self, error: Refused) -> None:
        self.error = error
        self.done.set()


class Questions:
    """The supervisor's side. `ask` is called from other threads, the rest from the supervisor's."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._numbers = itertools.count(1)
        self._new: deque[_Question] = deque()
        self._asked: dict[int, _Question] = {}

    def ask(self, what: str, arguments: dict[str, Any], timeout: float) -> Any:
        question = _Question(next(self._numbers), what, arguments, time.monotonic() + timeout)
        self._new.append(question)
        self._wake()
        if not question.done.wait(timeout):
            self._asked.pop(question.number, None)
            raise away(f"no worker has answered within {timeout:g} s; what was asked may still be done", 504)
        if question.error is not None:
            raise question.error
        return question.result

    def send(self, ready: Iterable[Child]) -> None:
        """Hand what is new to the worker that gave its sign of life last: one that hangs would be silent."""
        if not self._new:
            return
        there = (child for child in ready if not child.channel.closed)
        child = max(there, key=lambda child: child.seen, default=None)
        while self._new:
            question = self._new.popleft()
            if child is None:
                question.refuse(away("no worker is ready"))
            elif time.monotonic() < question.until:
                question.child = child
                self._asked[question.number] = question
                child.channel.send(question.message)

    def answered(self, message: Message) -> None:
        question = self._asked.pop(message["id"], None)
        if question is not None:  # else nobody waits any more
            question.answer(message)

    def lost(self, child: Child) -> None:
        """It will answer nothing any more."""
        for number, question in list(self._asked.items()):
            if question.child is child and self._asked.pop(number, None) is not None:
                why = f"worker {child.slot} ended before it answered; what was asked may have been done"
                question.refuse(away(why))


def away(detail: str, status: int = 503) -> Refused:
    return Refused(status, "no-answer", detail, ("Retry-After", "1"))
