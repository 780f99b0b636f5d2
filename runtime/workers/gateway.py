"""What serves traffic in one worker: edge, upstream pools, store, log and the policy's tree, put together."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from policylang.sdk import Environment, Exchange, UpstreamClient
from policylang.sdk.circuits import Circuits
from runtime.edge.edge import Edge, Handler
from runtime.edge.environment import GatewayEnvironment, SystemClock
from runtime.edge.settings import EdgeSettings, edge_settings
from runtime.edge.wheel import Wheel
from runtime.observe.access_log import AccessLog, PolicyLog
from runtime.observe.events import EventLog
from runtime.stores.machine import MachineStore
from runtime.tls.watch import WATCH
from runtime.upstream.pool import UpstreamPool
from runtime.upstream.settings import UpstreamSettings, upstream_settings
from runtime.workers.control import Message
from runtime.workers.listeners import Listeners, Tls
from runtime.workers.policy import check_again, unpack
from runtime.workers.settings import OFF, STDOUT, ListenerSettings, unpacked_listeners

FLUSH = 0.1
"""Seconds that a log line may wait for company."""
SETTLE = 0.25
"""Seconds that a connection accepted last has to send its request, before those without one are closed."""
GC_THRESHOLDS = (20_000, 20, 100)
"""What survives a request survives for long (connections); few cycles are made, so there is little to look for."""


class CompiledTree(Protocol):
    @property
    def handle(self) -> Handler: ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy that is ready to serve, made off the loop. `routes`: what the log calls a service's route."""

    hash: str
    tree: CompiledTree
    edge: EdgeSettings
    upstreams: Mapping[str, UpstreamSettings]
    routes: Mapping[str, str]
    access_log: str
    listeners: tuple[ListenerSettings, ...]


def compile_policy(message: Message) -> Compiled:
    """From the bytes that the supervisor read. Raises PolicyRefused, ValueError for an upstream that is none."""
    from policylang.tree import compile_program

    paths, files = unpack(message)
    program = check_again(paths, files)
    return Compiled(
        hash=program.hash,
        tree=compile_program(program),
        edge=edge_settings(program.gateway),
        upstreams={upstream.name: upstream_settings(upstream.settings) for upstream in program.upstreams},
        routes={
            service.name: service.paths[0].text if len(service.paths) == 1 else service.name
            for service in program.services
        },
        access_log=message["access_log"],
        listeners=unpacked_listeners(message["listeners"]),
    )


@dataclass(slots=True)
class PolicyEnvironment(GatewayEnvironment):
    """`policy_log`: how this policy's exchanges are logged, also after another policy has taken over."""

    policy_log: PolicyLog | None = None


class Gateway:
    """One for a worker. Raises OSError when the log cannot be opened, ValueError for a listener that cannot be made."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, store: MachineStore, events: EventLog, compiled: Compiled
    ) -> None:
        self.loop = loop
        self.store = store
        self.events = events
        self.clock = SystemClock(loop)
        self.wheel = Wheel(self.clock)
        self.edge = Edge(compiled.edge, loop, self.clock, self.wheel)
        self.pools: dict[str, UpstreamPool] = {}
        self.circuits = Circuits()
        self.access_log: AccessLog | None = None
        self._log_place = OFF
        self._next_log: tuple[str, AccessLog | None] | None = None
        self.listeners = Listeners(self.edge, loop, lambda text: events.write("error", text))
        self._next_tls: Tls = {}
        self._version = _version()
        self._node = socket.gethostname()
        self.prepare(compiled)
        self.install(compiled)

    # --- the policy ---

    def prepare(self, compiled: Compiled) -> None:
        """Open what `install` will need and what may be refused.

        Raises OSError for the log's file, ValueError for a listener.
        """
        self.abandon()
        self._next_tls = self.listeners.prepare(compiled.listeners)
        place = compiled.access_log
        if place != self._log_place:
            log = None if place == OFF else AccessLog(1 if place == STDOUT else place, self.clock.wall)
            self._next_log = place, log

    def abandon(self) -> None:
        """What was prepared is not wanted."""
        if self._next_log is not None and self._next_log[1] is not None:
            self._next_log[1].sink.close()
        self._next_log = None
        self._next_tls = {}

    def install(self, compiled: Compiled) -> None:
        """Serve this policy, which was prepared, from now on; what has begun goes on with the one it has.

        Upstreams whose settings stay keep their connections.
        """
        if self._next_log is not None:
            if self.access_log is not None:
                self.access_log.sink.close()
            self._log_place, self.access_log = self._next_log
            self._next_log = None
        pools: dict[str, UpstreamPool] = {}
        for name, settings in compiled.upstreams.items():
            pool = self.pools.pop(name, None)
            if pool is not None and pool.settings != settings:
                pool.close()
                pool = None
            pools[name] = pool or UpstreamPool(name, settings, self.loop, self.wheel, self.clock)
        for pool in self.pools.values():
            pool.close()
        self.pools = pools
        upstreams: dict[str, UpstreamClient] = dict(pools)
        environment: Any = PolicyEnvironment(
            name=compiled.edge.name, version=self._version, node=self._node, clock=self.clock, store=self.store,
            upstreams=upstreams, bodies=compiled.edge.bodies, write_log=self._write_log,
            write_defect=self._write_defect, circuit=self.circuits.get,
        )  # fmt: skip
        logged = self.access_log is not None
        if self.access_log is not None:
            environment.policy_log = self.access_log.for_policy(compiled.hash, compiled.routes)
        self.listeners.install(compiled.listeners, self._next_tls)
        self._next_tls = {}
        self.edge.configure(compiled.edge)
        serving: Environment = environment
        self.edge.use(compiled.tree.handle, serving, _log_exchange if logged else None, journal=logged)
        self.edge.on_refused = self.access_log.refused if self.access_log is not None else None
        gc.collect()
        gc.freeze()

    def reopen_logs(self) -> None:
        if self.access_log is not None:
            try:
                self.access_log.sink.reopen()
            except OSError as error:
                self.events.write("error", f"cannot open the access log `{self._log_place}` anew: {error.strerror}")

    def _write_log(self, level: str, text: str, exchange: Exchange) -> None:
        self.events.write(level, text, service=exchange.service, request=exchange.request.id)

    def _write_defect(self, error: BaseException, exchange: Exchange) -> str:
        return self.events.defect(error, service=exchange.service, request=exchange.request.id)

    # --- running ---

    def start(self) -> None:
        """Deadlines, sweeps and the flushing of logs; from within the running loop."""
        gc.set_threshold(*GC_THRESHOLDS)
        gc.enable()
        self.wheel.start(self.loop)
        WATCH.start(self.loop)
        self._flush()
        self._sweep()

    def _flush(self) -> None:
        if self.access_log is not None:
            self.access_log.sink.flush()
        self.events.flush()
        self.loop.call_later(FLUSH, self._flush)

    def _sweep(self) -> None:
        # The workers started at different moments, so they seldom ask for the write lock at the same time.
        self.loop.call_later(self.store.sweep(self.clock.monotonic()), self._sweep)

    async def listen(self, name: str, listening: socket.socket, shared: bool = False) -> None:
        """Accept the connections of a listening socket under the name that the policy gives its address.

        `shared`: other workers have the same socket.
        """
        await self.listeners.listen(name, listening, shared)

    async def change_listeners(self) -> None:
        """Give the open listeners the options that were installed; the sockets stay."""
        await self.listeners.change()

    def keep_listeners(self, names: list[str]) -> None:
        """Close those that are not named; their connections go on."""
        self.listeners.keep(names)

    # --- the end ---

    def part(self) -> None:
        """The end is near: everything is served as before, and answers tell the clients not to come back here."""
        self.edge.parting = True

    async def drain(self, timeout: float) -> None:
        """Accept no more, answer what has been asked for within `timeout` seconds, then cut. Returns empty."""
        await asyncio.sleep(0)  # what has queued up by now is accepted in this turn
        self.keep_listeners([])
        self.edge.draining = self.edge.parting = True
        deadline = self.loop.time() + timeout
        await asyncio.sleep(min(SETTLE, timeout))
        self.edge.drain()
        if self.edge.connections:
            await asyncio.wait([self.loop.create_task(self.edge.emptied())], timeout=deadline - self.loop.time())
        await self.cut()

    async def cut(self) -> None:
        """Close everything now."""
        self.keep_listeners([])
        if self.edge.connections:
            self.events.write("warning", f"{len(self.edge.connections)} connections were cut")
        self.edge.abort()
        for pool in self.pools.values():
            pool.close()
        await asyncio.sleep(0)  # the connections hear of their end, and log it

    def close(self) -> None:
        if self.access_log is not None:
            self.access_log.sink.close()
        self.store.close()


def _log_exchange(
    exchange: Exchange, status: int, received: int, sent: int, ended: int, upstream: int, **came: Any
) -> None:
    environment: Any = exchange.environment
    log: PolicyLog | None = environment.policy_log
    if log is not None:
        log.write(exchange, status, received, sent, ended, upstream, **came)


def _version() -> str:
    try:
        return version("polgate")
    except PackageNotFoundError:
        return "unknown"  # a checkout that is not installed
