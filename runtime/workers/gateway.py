"""What serves traffic in one worker: edge, upstream pools, store, log and the policy's tree, put together."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from policylang.sdk import Environment, Exchange, SharedMap, UpstreamClient
from policylang.sdk.circuits import Circuits
from policylang.sdk.lines import Lines
from runtime.caches.worker_caches import WorkerCaches
from runtime.cluster.replays import Replays
from runtime.edge.edge import Edge, Handler
from runtime.edge.environment import GatewayEnvironment, SystemClock
from runtime.edge.settings import EdgeSettings, Setting, edge_settings
from runtime.edge.wheel import Wheel
from runtime.observe.events import EventLog
from runtime.observe.observer import Observer
from runtime.observe.telemetry import LogSettings, Telemetry
from runtime.permits import permits_over
from runtime.quotas import quotas_over
from runtime.quotas.named import NamedQuota, named_quotas
from runtime.stores.opened import Stores
from runtime.tls.watch import WATCH
from runtime.trace.tracing import Found, Order, PolicyTraces, Tracing, compiled_for
from runtime.upstream.pool import UpstreamPool
from runtime.upstream.settings import UpstreamSettings, upstream_settings
from runtime.wire.request import RequestHead
from runtime.workers.answers import Answers
from runtime.workers.control import Message
from runtime.workers.listeners import Listeners, Tls
from runtime.workers.maps import MapAnswers
from runtime.workers.policy import check_again, unpack
from runtime.workers.quotas import QuotaAnswers
from runtime.workers.settings import ListenerSettings, own_version, unpacked_listeners

MEASURE = 1.0
"""Seconds between two looks at what has a size: connections, servers, lines lost."""
FLUSH = 0.1
"""Seconds that a log line may wait for company."""
SETTLE = 0.25
"""Seconds before connections that were asked over, and are not now, are closed."""
FRESH = 2.0
"""Seconds that one has which was accepted last and was not asked over yet: its client may be slow, not idle."""
GIVE_BACK = 0.5
"""Seconds that a store has to hear of the permits of exchanges that have ended."""
GC_THRESHOLDS = (20_000, 20, 100)
"""What survives a request survives for long (connections); few cycles are made, so there is little to look for."""


class CompiledTree(Protocol):
    @property
    def handle(self) -> Handler: ...

    @property
    def program(self) -> Any: ...

    @property
    def upstream_keys(self) -> Mapping[str, Callable[[Exchange], str]]: ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy that is ready to serve, made off the loop."""

    hash: str
    tree: CompiledTree
    edge: EdgeSettings
    upstreams: Mapping[str, UpstreamSettings]
    logs: LogSettings
    listeners: tuple[ListenerSettings, ...]
    maps: tuple[SharedMap, ...] = ()
    quotas: tuple[NamedQuota, ...] = ()
    followed: Mapping[int, Found] = field(default_factory=dict)


def compile_policy(message: Message, orders: Iterable[Order] = ()) -> Compiled:
    """From the bytes that the supervisor read, and for those who follow journals by then.

    Raises PolicyRefused, ValueError for an upstream that is none.
    """
    from policylang.tree import compile_program

    paths, files = unpack(message)
    program = check_again(paths, files)
    listeners = unpacked_listeners(message["listeners"])
    if any(listener.cert for listener in listeners):
        import cryptography.x509  # noqa: F401 - 70 ms that the loop would stand still for
    return Compiled(
        hash=program.hash,
        tree=compile_program(program),
        edge=edge_settings(program.gateway),
        upstreams={upstream.name: upstream_settings(upstream.settings) for upstream in program.upstreams},
        logs=LogSettings(
            hash=program.hash,
            routes={
                service.name: service.paths[0].text if len(service.paths) == 1 else service.name
                for service in program.services
            },
            access_log=message["access_log"],
            sample=_sample(program.gateway),
            error_log=message["error_log"],
            main=paths[0],
            counted=message["counted"],
        ),
        listeners=listeners,
        maps=program.maps,
        quotas=named_quotas(program),
        followed=compiled_for(program, orders),
    )


def _sample(settings: Iterable[Setting]) -> float:
    return next((float(one.values["sample"]) for one in settings if one.name == "access_log"), 1.0)


@dataclass(slots=True)
class PolicyEnvironment(GatewayEnvironment):
    """`observer`: who hears of this policy's exchanges, also after another policy has taken over; `traces`: what of
    them is told to whom."""

    observer: Observer | None = None
    traces: PolicyTraces | None = None


class Gateway:
    """One for a worker. Raises OSError when a log cannot be opened, ValueError for a listener that cannot be made.

    `telemetry`: where it counts; without it nothing is counted. `trace_key`: of the tokens that show journals.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, stores: Stores, events: EventLog, compiled: Compiled,
        telemetry: Telemetry | None = None, trace_key: bytes = b"",
    ) -> None:  # fmt: skip
        self.loop = loop
        self.stores = stores
        self.events = events
        self.clock = SystemClock(loop)
        self.wheel = Wheel(self.clock)
        self.edge = Edge(compiled.edge, loop, self.clock, self.wheel)
        self.pools: dict[str, UpstreamPool] = {}
        self.circuits = Circuits()
        self.lines = Lines()
        alone = stores.entries is stores.machine
        self.caches = WorkerCaches(
            stores.entries, self.clock, alone, lambda text: events.write("error", text), events.defect
        )
        self.quotas = quotas_over(stores, self.clock, events.defect)
        if self.quotas.witness is not None:
            said = Replays(stores.entries, stores.machine, self.clock, lambda text: events.write("warning", text))
            self.quotas.witness.others.append(said.put_back)
        self.permits = permits_over(
            stores, self.clock, self.edge, events.defect, lambda text: events.write("warning", text)
        )
        self.telemetry = telemetry or Telemetry(events, self.clock)
        self.telemetry.cached = self.caches.outcomes
        self.listeners = Listeners(self.edge, loop, lambda text: events.write("error", text))
        self.answers = Answers(events.defect)
        self.maps = MapAnswers(stores.entries, self.clock, lambda text: events.write("info", text))
        self.maps.give(self.answers)
        self.quotas_told = QuotaAnswers(self.quotas, self.clock, lambda text: events.write("info", text))
        self.quotas_told.give(self.answers)
        self.tracing = Tracing(
            self.edge, self.clock, trace_key, lambda text: events.write("info", text), events.defect
        )
        self.tracing.give(self.answers)
        self.telemetry.journals = self.tracing.counted
        self._next_tls: Tls = {}
        self._version = own_version()
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
        self.telemetry.prepare(compiled.logs)

    def abandon(self) -> None:
        """What was prepared is not wanted."""
        self.telemetry.abandon()
        self._next_tls = {}

    def install(self, compiled: Compiled) -> None:
        """Serve this policy, which was prepared, from now on; what has begun goes on with the one it has.

        Upstreams whose settings stay keep their connections and all that is known of them; where they change, the
        servers that stay do.
        """
        changed = self._change_pools(compiled)
        upstreams: dict[str, UpstreamClient] = dict(self.pools)
        environment: Any = PolicyEnvironment(
            name=compiled.edge.name, version=self._version, node=self._node, clock=self.clock,
            store=self.stores.rates,
            entries=self.stores.entries, machine=self.stores.machine, upstreams=upstreams,
            bodies=compiled.edge.bodies, write_log=self._write_log, write_defect=self._write_defect,
            circuit=self.circuits.get, caches=self.caches, lines=self.lines, permits=self.permits, quotas=self.quotas,
            whole=lambda: self.quotas.trusted,
        )  # fmt: skip
        observer = environment.observer = self.telemetry.install(compiled.logs, self.edge.time_next)
        self.listeners.install(compiled.listeners, self._next_tls)
        self._next_tls = {}
        self.edge.configure(compiled.edge)
        self.maps.serve(compiled.maps)
        self.quotas_told.serve(compiled.quotas)
        serving: Environment = environment
        told = observer is not None
        self.edge.use(compiled.tree.handle, serving, _log_exchange if told else None, journal=told)
        self.edge.on_refused = self.telemetry.refused if told else None
        environment.traces = self.tracing.serve(compiled.tree.program, compiled.followed)
        if changed:
            # A pool is part of a cycle, and frozen. Looking at everything takes some 20 ms, so not at every reload.
            gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _change_pools(self, compiled: Compiled) -> bool:
        """True when one was given up."""
        pools: dict[str, UpstreamPool] = {}
        changed = False
        for name, settings in compiled.upstreams.items():
            former = self.pools.pop(name, None)
            pool = former
            if pool is None or pool.settings != settings:
                pool = UpstreamPool(name, settings, self.loop, self.wheel, self.clock, former)
                if former is not None:
                    former.close()
                    changed = True
            pools[name] = pool
            pool.use_key(compiled.tree.upstream_keys.get(name))
        for pool in self.pools.values():
            pool.close()
            changed = True
        self.pools = pools
        return changed

    def reopen_logs(self) -> None:
        self.telemetry.reopen()

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
        WATCH.tell = lambda text: self.events.write("error", text)
        WATCH.start(self.loop)
        self.stores.start()
        self.permits.start()
        self.quotas.start()
        self._flush()
        self._measure()
        self._sweep()

    def _flush(self) -> None:
        self.telemetry.flush()
        self.loop.call_later(FLUSH, self._flush)

    def _measure(self) -> None:
        self.telemetry.measure(self.edge, self.pools, self.stores, self._expiries())
        self.tracing.tell_missed()
        self.loop.call_later(MEASURE, self._measure)

    def _expiries(self) -> dict[str, float]:
        """When the listeners' certificates expire; of those with one name the first to do so."""
        found: dict[str, float] = {}
        for tls in self.listeners.tls.values():
            for name, when in tls.expiries():
                found[name] = min(when, found.get(name, when))
        return found

    def _sweep(self) -> None:
        # The workers started at different moments, so they seldom ask for the write lock at the same time.
        self.loop.call_later(self.stores.sweep(self.clock.monotonic()), self._sweep)

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
        self.edge.drain(fresh=False)
        await self._emptied(min(deadline, self.loop.time() + FRESH - SETTLE))
        self.edge.drain()
        await self._emptied(deadline)
        await self.cut()

    async def _emptied(self, until: float) -> None:
        if self.edge.connections:
            await asyncio.wait([self.loop.create_task(self.edge.emptied())], timeout=until - self.loop.time())

    async def cut(self) -> None:
        """Close everything now."""
        self.keep_listeners([])
        if self.edge.connections:
            self.events.write("warning", f"{len(self.edge.connections)} connections were cut")
        self.edge.abort()
        for pool in self.pools.values():
            pool.close()
        await asyncio.sleep(0)  # the connections hear of their end, and log it
        await self.permits.given_back(GIVE_BACK)

    def close(self) -> None:
        self._measure_last()
        self.telemetry.close()
        self.stores.close()

    def _measure_last(self) -> None:
        """What is counted elsewhere is taken up a last time; sizes of a worker that ends are nobody's business."""
        self.telemetry.measure(self.edge, {}, self.stores, {})


def _log_exchange(
    exchange: Exchange, status: int, received: int, sent: int, ended: int, head: RequestHead, host: str
) -> None:
    """By the policy that the exchange began with; None where nobody listened then."""
    observer = exchange.environment.observer  # type: ignore[attr-defined]
    if observer is not None:
        observer.done(exchange, status, received, sent, ended, head, host)
