"""What a worker can be asked by an operator (`questions` is the other end), and how it answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import orjson

from policylang.sdk import Unavailable, Waiter
from runtime.admin.messages import Refused
from runtime.upstream.alone import Alone
from runtime.workers.control import Message

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of one answer as JSON: what lists must do so in parts."""

Answerer: TypeAlias = Callable[[dict[str, Any]], Coroutine[Waiter[Any], None, Any]]
"""From the arguments to a JSON value. Suspends by awaiting Waiters alone, as an evaluation does. Raises Refused."""


class Answers:
    """Who answers what. `defect` logs a mistake of ours and gives its id."""

    def __init__(self, defect: Callable[[BaseException], str]) -> None:
        self._defect = defect
        self._answerers: dict[str, Answerer] = {}

    def give(self, what: str, answerer: Answerer) -> None:
        """From now on this is who answers."""
        self._answerers[what] = answerer

    def take(self, message: Message, send: Callable[[Message], None]) -> None:
        """Answer a question, now or later, by exactly one message."""
        number = message["id"]

        async def answer() -> None:
            send({"did": "answered", "id": number, **await self._answer(message["what"], message["arguments"])})

        def ended(error: Exception | None) -> None:
            if error is not None:  # it could not be sent
                send({"did": "answered", "id": number, "error": self._mistake(error)})

        Alone(answer(), ended).advance()

    async def _answer(self, what: str, arguments: dict[str, Any]) -> Message:
        answerer = self._answerers.get(what)
        if answerer is None:
            return {"error": _told(Refused(404, "not-found", f"a worker of this version knows nothing of `{what}`"))}
        try:
            result = await answerer(arguments)
            size = len(orjson.dumps(result))
        except Refused as refused:
            return {"error": _told(refused)}
        except Unavailable as unavailable:
            fields = ("Retry-After", str(unavailable.retry_after))
            detail = f"the {unavailable.what} cannot answer: {unavailable.detail or 'it is away'}"
            return {"error": _told(Refused(unavailable.status, f"{unavailable.what}-unavailable", detail, fields))}
        except Exception as error:
            return {"error": self._mistake(error)}
        if size > MAX_ANSWER:
            return {"error": _told(Refused(500, "too-large", f"the answer has more than {MAX_ANSWER} bytes"))}
        return {"result": result}

    def _mistake(self, error: Exception) -> dict[str, Any]:
        return _told(Refused(500, "defect", f"a defect of ours, logged as {self._defect(error)}"))


def _told(refused: Refused) -> dict[str, Any]:
    return {"status": refused.status, "name": refused.name, "detail": refused.detail, "fields": refused.fields}
