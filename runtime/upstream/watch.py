"""What becomes of a pool's servers: who fails is left out, who comes back gets its share little by little."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.edge.wheel import TICK, Wheel, ticks
from runtime.upstream.balance import FULL
from runtime.upstream.condition import Event, State
from runtime.upstream.server import Alarm, Server
from runtime.upstream.settings import UpstreamSettings

STEPS = 10
"""In which a server gets its full share back."""


class Watch:
    """`changed` is called when the share that a server is due has changed."""

    def __init__(
        self, servers: Sequence[Server], settings: UpstreamSettings, wheel: Wheel, changed: Callable[[], None]
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._wheel = wheel
        self._changed = changed
        self._most_out = int(settings.outliers.most * len(servers)) if len(servers) > 1 else 0
        self._step_ticks = max(1, round(settings.slow_start / STEPS / TICK)) if settings.slow_start else 0
        for server in servers:  # some may come from before a reload
            if server.condition.state is not State.WELL:
                self._follow(server)
            if server.circuit is not None and server.circuit.state == "open":
                self.opened(server)
        self._count()

    def failed(self, server: Server) -> None:
        """An answer of this server has failed, or was too slow."""
        server.failures += 1
        if server.failures < self._settings.outliers.failures or not self._most_out or not server.condition.serving:
            return
        if self._out >= self._most_out:
            # Who was left out first has had the longest time to get well; this one fails now.
            left_out = [each for each in self._servers if each.condition.state is State.LEFT_OUT]
            first = min(left_out, key=lambda each: each.condition.until - each.condition.pause)
            first.condition.let_in(Event.NEEDED, self._now())
            self._follow(first)
            self._count()
        if self._serving > 1 and server.condition.leave_out(self._now(), self._settings.outliers):
            self._moved(server)

    def asked(self, server: Server, well: bool) -> None:
        """How a question after its health was answered."""
        if self._settings.health is not None and server.condition.asked(well, self._settings.health):
            self._moved(server)

    def opened(self, server: Server) -> None:
        """Its circuit has: it is asked no more until the circuit's pause is over, and then as the circuit allows."""
        if server.circuit is not None and not server.barred:
            server.barred = True
            Alarm(self._wheel, lambda: self._unbar(server)).set(ticks(server.circuit.settings.pause / 1e9))
            self._changed()

    def close(self) -> None:
        for server in self._servers:
            if server.alarm is not None:
                server.alarm.off()

    def _unbar(self, server: Server) -> None:
        server.barred = False
        self._changed()

    def _now(self) -> float:
        return self._wheel.now * TICK

    def _count(self) -> None:
        self._serving = sum(server.condition.serving for server in self._servers)
        if not self._serving:
            # The others are ill: to fail now and then is better than not to be asked at all.
            for server in self._servers:
                if server.condition.let_in(Event.NEEDED, self._now()):
                    self._follow(server)
                    self._serving += 1
        self._out = sum(server.condition.state is State.LEFT_OUT for server in self._servers)

    def _moved(self, server: Server) -> None:
        """Its condition is another one."""
        self._follow(server)
        self._count()
        self._changed()

    def _follow(self, server: Server) -> None:
        """What is to happen next to a server in this condition."""
        if server.alarm is None:
            server.alarm = Alarm(self._wheel, lambda: self._go_on(server))
        condition = server.condition
        server.failures = 0
        if not condition.serving:
            server.step = FULL // STEPS if self._step_ticks else FULL
        if condition.state is State.LEFT_OUT:
            server.alarm.set(ticks(max(0.0, condition.until - self._now())))
        elif condition.state is State.RETURNING and self._step_ticks:
            server.alarm.set(self._step_ticks)
        else:
            server.alarm.off()
            if condition.happen(Event.SETTLED):
                server.step = FULL

    def _go_on(self, server: Server) -> None:
        """Its alarm has rung: a pause is over, or it gets some more of its share."""
        if server.condition.let_in(Event.PAUSE_OVER, self._now()):
            self._moved(server)
        elif server.condition.state is State.RETURNING and server.alarm is not None:
            server.step += FULL // STEPS
            if server.step >= FULL:
                server.step = FULL
                server.condition.happen(Event.SETTLED)
            else:
                server.alarm.set(self._step_ticks)
            self._changed()
