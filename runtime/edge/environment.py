"""What the gateway puts at the disposal of a policy's exchanges."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from policylang.sdk import BodyLimits, Entries, Exchange, Store, UpstreamClient, Waiter
from policylang.sdk.caches import Caches
from policylang.sdk.circuit import Circuit, CircuitSettings
from policylang.sdk.circuits import Circuits
from policylang.sdk.lines import Lines
from policylang.sdk.permits import Permits
from policylang.sdk.quotas import Quotas


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
    entries: Entries
    machine: Entries
    upstreams: Mapping[str, UpstreamClient]
    bodies: BodyLimits
    write_log: Callable[[str, str, Exchange], None]
    write_defect: Callable[[BaseException, Exchange], str]
    circuit: Callable[[bytes, CircuitSettings], Circuit] = field(default_factory=lambda: Circuits().get)
    draw: Callable[[], float] = random.random
    lines: Lines = field(default_factory=Lines)
    permits: Permits = field(default=None)  # type: ignore[assignment]  # a gateway has them; a test may do without
    quotas: Quotas = field(default=None)  # type: ignore[assignment]  # the same
    caches: Caches = field(default=None)  # type: ignore[assignment]  # the same
    whole: Callable[[], bool] = lambda: True

    def log(self, level: str, text: str, exchange: Exchange) -> None:
        self.write_log(level, text, exchange)

    def defect(self, error: BaseException, exchange: Exchange) -> str:
        return self.write_defect(error, exchange)
