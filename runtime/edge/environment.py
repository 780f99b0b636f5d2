"""What the gateway puts at the disposal of a policy's exchanges."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policylang.sdk import Exchange, Store, UpstreamClient, Waiter


class SystemClock:
    """The machine's clocks. `monotonic` is the one that all its processes share."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.monotonic = time.monotonic_ns
        self.wall = time.time

    def sleep(self, seconds: float) -> Waiter[None]:
        waiter: Waiter[None] = Waiter()
        self._loop.call_later(max(seconds, 0.0), waiter.fire, None)
        return waiter




@dataclass(slots=True)
class GatewayEnvironment:
    """One per compiled policy. `write_log` gets level, text and the exchange; `write_defect` gives the id to quote."""

    name: str
    version: str
    node: str
    clock: SystemClock
    store: Store
    upstreams: Mapping[str, UpstreamClient]
    body_limit: int
    write_log: Callable[[str, str, Exchange], None]
    write_defect: Callable[[BaseException, Exchange], str]

    def log(self, level: str, text: str, exchange: Exchange) -> None:
        self.write_log(level, text, exchange)

    def defect(self, error: BaseException, exchange: Exchange) -> str:
        return self.write_defect(error, exchange)
