"""A request of a test on its way, and its answer as a client has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from policylang.sdk.exchange import Exchange, Response
from policylang.sdk.hop_by_hop import HOP_BY_HOP
from policylang.sdk.outcome import Failure
from policylang.sdk.waiter import Waiter

if TYPE_CHECKING:
    from policylang.tree.tree import Tree

NO_ANSWER = 0
"""The status of a request that was cut."""


class Asked:
    """A request on its way. `response`: once it is answered, with the whole body."""

    __slots__ = ("_coroutine", "_ready", "elapsed", "exchange", "line", "number", "response", "tree")

    def __init__(
        self, tree: Tree, exchange: Exchange, coroutine: Coroutine[Waiter[Any], None, Response],
        ready: deque[Callable[[], None]], number: int,
    ) -> None:  # fmt: skip
        request = exchange.request
        query = b"" if request.query_string is None else b"?" + request.query_string
        self.line = request.method, request.path, query
        self.number = number
        self.tree = tree
        self.exchange = exchange
        self.response: Response | None = None
        self.elapsed = 0.0
        self._coroutine = coroutine
        self._ready = ready

    def step(self) -> None:
        if self.response is not None:
            return  # it was cut meanwhile
        try:
            waiter = self._coroutine.send(None)
            while waiter.done:
                waiter = self._coroutine.send(None)
        except StopIteration as stop:
            self.answered(stop.value)
        else:
            # By way of a row: who wakes whom may be a long chain.
            waiter.callback = lambda: self._ready.append(self.step)

    def answered(self, response: Response) -> None:
        exchange = self.exchange
        self.response = whole(exchange, response)
        self.elapsed = (exchange.environment.clock.monotonic() - exchange.started) / 1e9
        calls, exchange.ends = exchange.ends or (), None
        for call in calls:
            call()

    def cut(self, failure: Failure) -> None:
        """Its connection is closed: there is no answer."""
        self.give_up()
        self.exchange.failure = failure
        self.answered(Response(NO_ANSWER, [], b""))

    def give_up(self) -> None:
        self._coroutine.close()


def whole(exchange: Exchange, response: Response) -> Response:
    """The answer as a client has it: framed anew, with no body to HEAD, in 204 and in 304, or where it is cut."""
    body = response.body
    if body is None:
        source: Any = response.source
        body = source.data
        if response.limit is not None and len(body) > response.limit:
            body = b""
        elif response.coder is not None:
            encoder = response.coder()
            body = encoder.feed(body, False) + encoder.end()
    empty = response.status in (NO_ANSWER, 204, 304)
    bodiless = empty or exchange.request.method == "HEAD"
    drop = HOP_BY_HOP if bodiless else HOP_BY_HOP | {b"content-length"}
    fields = [field for field in response.headers if field[0] not in drop]
    if not bodiless or (response.made_here and not empty):  # of HEAD: what the answer to GET would have
        fields.append((b"content-length", b"Content-Length", b"%d" % len(body)))
    return Response(response.status, fields, b"" if bodiless else body, made_here=response.made_here)
