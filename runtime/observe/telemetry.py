"""What a worker tells of itself: access log, error log and counters, over all the policies that it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from policylang.sdk import Clock
from runtime.observe.access_log import AccessLog
from runtime.observe.catalog import (
    CACHE,
    CERTIFICATES,
    CIRCUIT_STATE,
    CLUSTER_CONNECTED,
    CLUSTER_TRIPS,
    CLUSTER_WAITING,
    CONNECTIONS,
    IN_FLIGHT,
    JOURNALS,
    LOG_LOST,
    POOL_OPEN,
    POOL_QUEUE,
    REFUSED,
    SERVER_ACTIVE,
    SERVER_STATE,
    STORE_CALLS,
    STORE_ERRORS,
    STORE_ROOM,
    STORE_USED,
    TUNNELS,
)
from runtime.observe.cells import Cells
from runtime.observe.counts import Counts
from runtime.observe.events import EventLog
from runtime.observe.observer import Observer
from runtime.observe.sink import Sink
from runtime.wire.limits import WireError

OFF: Final = "off"
STDOUT: Final = "stdout"
LATE: Final = 300.0
"""Seconds that a log which a reload has replaced stays open: exchanges end with the log that they began with."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`access_log`: a file, `stdout` or `off`; `sample`: the share of what went well; `error_log`: a file or `stderr`.

    `main`: the policy's first file; `routes`: a service's name -> what its route is called. `counted`: whether anybody
    can read what is counted.
    """

    hash: str
    routes: Mapping[str, str]
    access_log: str = "stdout"
    sample: float = 1.0
    error_log: str = "stderr"
    main: str = ""
    counted: bool = True


class Telemetry:
    """One for a worker. `folder`: the store's, where the counters are; None: nothing is counted."""

    def __init__(self, events: EventLog, clock: Clock, folder: Path | None = None, slot: int = 0) -> None:
        self.events = events
        self.cached: Mapping[str, int] = {}  # how often each outcome of a cache was
        self.journals: Mapping[tuple[str, str], int] = {}  # the same of journals, by whom they were for
        self.access_log: AccessLog | None = None
        self.counts: Counts | None = None
        self._folder = folder
        self._slot = slot
        self._clock = clock
        self._place = OFF
        self._next: tuple[str, AccessLog | None] | None = None
        self._next_events: Sink | None = None
        self._former: list[tuple[float, AccessLog]] = []
        self._lost = 0  # by logs that are closed

    # --- a policy ---

    def prepare(self, settings: LogSettings) -> None:
        """Open the files that `install` will need. Raises OSError with the file's name for one that cannot be."""
        self.abandon()
        if settings.access_log != self._place:
            place = settings.access_log
            log = None if place == OFF else AccessLog(1 if place == STDOUT else place, self._clock.wall)
            self._next = place, log
        self._next_events = self.events.open(settings.error_log)

    def abandon(self) -> None:
        """What was prepared is not wanted."""
        if self._next is not None and self._next[1] is not None:
            self._next[1].sink.close()
        self.events.abandon(self._next_events)
        self._next = self._next_events = None

    def install(
        self, settings: LogSettings, time_next: Callable[[Callable[[], list[Any]]], None]
    ) -> Observer | None:
        """What is told of a policy's exchanges; None: nothing. `time_next`: `Edge.time_next`."""
        if self._next is not None:
            if self.access_log is not None:
                self._former.append((self._clock.monotonic() / 1e9 + LATE, self.access_log))
            self._place, self.access_log = self._next
        self.events.move(self._next_events)
        self._next = self._next_events = None
        if settings.counted:
            self._count()
        counts = self.counts if settings.counted else None
        if self.access_log is None and counts is None:
            return None
        log = self.access_log.for_policy(settings.hash, settings.routes) if self.access_log is not None else None
        return Observer(
            counts, log, settings.routes, settings.main, settings.sample, self._clock.monotonic, time_next
        )

    def _count(self) -> None:
        """Begin to count, unless it was begun before."""
        if self.counts is None and self._folder is not None:
            try:
                self.counts = Counts(Cells.create(self._folder, self._slot))
            except OSError as error:
                reason = error.strerror or str(error)
                self.events.write("error", f"nothing is counted, for the counters have no room: {reason}")

    def refused(self, client: str, error: WireError) -> None:
        """`Edge.on_refused`."""
        if self.counts is not None:
            self.counts.row[self.counts.series(REFUSED, error.name, str(error.status))] += 1
        if self.access_log is not None:
            self.access_log.refused(client, error.status, error.name)

    # --- running ---

    def flush(self) -> None:
        """Write the lines that wait for company."""
        if self.access_log is not None:
            self.access_log.sink.flush()
        self.events.flush()
        if self._former:
            now = self._clock.monotonic() / 1e9
            for until, log in self._former:
                log.sink.flush()
                if now >= until:
                    log.sink.close()
                    self._lost += log.sink.lost_ever
            self._former = [(until, log) for until, log in self._former if now < until]

    def reopen(self) -> None:
        """The logs' files were moved away."""
        if self.access_log is not None:
            try:
                self.access_log.sink.reopen()
            except OSError as error:
                self.events.write("error", f"cannot open the access log `{self._place}` anew: {error.strerror}")
        self.events.reopen()

    def measure(self, edge: Any, pools: Mapping[str, Any], store: Any, certificates: Mapping[str, float]) -> None:
        """Once a second: what has a size rather than a count."""
        counts = self.counts
        if counts is None:
            return
        tunnels = serving = 0
        for connection in edge.connections:
            if connection.tunnel is not None:
                tunnels += 1
            elif connection.exchange is not None:
                serving += 1
        counts.gauges(CONNECTIONS, [((), len(edge.connections))])
        counts.gauges(IN_FLIGHT, [((), serving)])
        counts.gauges(TUNNELS, [((), tunnels)])
        counts.gauges(POOL_OPEN, [((name,), pool.open) for name, pool in pools.items()])
        counts.gauges(POOL_QUEUE, [((name,), len(pool.queue)) for name, pool in pools.items()])
        seen = [(name, status) for name, pool in pools.items() for status in pool.statuses()]
        counts.gauges(SERVER_STATE, [((name, one.address, one.state), 1) for name, one in seen])
        circuits = [((name, one.address, one.circuit), 1) for name, one in seen if one.circuit]
        circuits += [((name, "", pool.circuit.state), 1) for name, pool in pools.items() if pool.circuit is not None]
        counts.gauges(CIRCUIT_STATE, circuits)
        counts.gauges(SERVER_ACTIVE, [((name, one.address), one.active) for name, one in seen])
        counts.gauges(CERTIFICATES, [((name,), int(when)) for name, when in certificates.items()])
        row = counts.row
        row[counts.series(STORE_CALLS)] = store.calls
        row[counts.series(STORE_ERRORS)] = store.errors
        room = store.room()
        counts.gauges(STORE_USED, [((part,), used) for part, (used, _) in room.items()])
        counts.gauges(STORE_ROOM, [((part,), most) for part, (_, most) in room.items()])
        if (cluster := getattr(store, "cluster", None)) is not None:
            row[counts.series(CLUSTER_TRIPS)] = cluster.calls.trips
            counts.gauges(CLUSTER_CONNECTED, [((), int(cluster.connected))])
            counts.gauges(CLUSTER_WAITING, [((), cluster.calls.waiting)])
        for outcome, times in self.cached.items():
            if times:
                row[counts.series(CACHE, outcome)] = times
        for labels, times in self.journals.items():
            row[counts.series(JOURNALS, *labels)] = times
        logs = [log for _, log in self._former] + ([self.access_log] if self.access_log is not None else [])
        row[counts.series(LOG_LOST, "access")] = self._lost + sum(log.sink.lost_ever for log in logs)
        row[counts.series(LOG_LOST, "error")] = self.events.lost

    def close(self) -> None:
        for _, log in self._former:
            log.sink.close()
        if self.access_log is not None:
            self.access_log.sink.close()
        if self.counts is not None:
            self.counts.close()
