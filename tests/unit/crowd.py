"""Exchanges side by side on a bench: who waits goes on when the clock says so."""

from __future__ import annotations

from typing import Any

from policylang.check import check_text
from policylang.sdk import Exchange, Response
from policylang.sdk.bench import BenchEnvironment, make_exchange
from policylang.tree import compile_program


class Visitor:
    """One exchange. `answer` and `ended` (monotonic ns) are None until it is over."""

    def __init__(self, tree: Any, exchange: Exchange, ended: list[Visitor]) -> None:
        self.exchange = exchange
        self.answer: Response | None = None
        self.ended: int | None = None
        self._all = ended
        self._coroutine = tree.handle(exchange)
        self._waiter: Any = None
        self._go_on()

    def _go_on(self) -> None:
        try:
            self._waiter = self._coroutine.send(None)
        except StopIteration as stop:
            self.answer = stop.value
            self.ended = self.exchange.environment.clock.monotonic()
            self._all.append(self)
        else:
            self._waiter.callback = self._go_on

    def leave(self) -> None:
        """As a client does that closes its connection."""
        self._waiter.callback = None
        self._coroutine.close()

    @property
    def status(self) -> int:
        assert self.answer is not None, "it still waits"
        return self.answer.status

    @property
    def retry_after(self) -> int:
        assert self.answer is not None
        return int(self.answer.header(b"retry-after") or "0")


class Crowd:
    """`ended`: the visitors in the order in which they ended."""

    def __init__(self, body: str, environment: BenchEnvironment | None = None) -> None:
        checked = check_text(f'service s "/x" {{\n{body}\n}}')
        assert checked.program is not None, [d.message for d in checked.diagnostics]
        self.tree = compile_program(checked.program)
        self.environment = environment or BenchEnvironment()
        self.clock = self.environment.clock
        self.ended: list[Visitor] = []

    def come(self, path: str = "/x", **request: Any) -> Visitor:
        return Visitor(self.tree, make_exchange(self.environment, path=path, **request), self.ended)

    def settle(self) -> None:
        """Let time pass until nobody waits for it."""
        while self.clock.jump():
            pass
