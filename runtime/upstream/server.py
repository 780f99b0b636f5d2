"""A server of an upstream, with all that a worker knows of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policylang.sdk.circuit import Circuit, CircuitSettings
from runtime.edge.wheel import NEVER, Wheel
from runtime.upstream.balance import FULL, Balance, Candidate
from runtime.upstream.condition import Condition, State
from runtime.upstream.settings import ServerAddress

if TYPE_CHECKING:
    from runtime.upstream.connection import UpstreamConnection


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """A server at a moment. `state`: a word of `condition.State`; `circuit`: closed, open, half-open, or empty where
    it has none; `active`: connections that are in use or being opened; `share`: of its weight, from 0 to 1."""

    address: str
    state: str
    circuit: str
    active: int
    backup: bool
    share: float


class Alarm:
    """Calls when its time has come; it can be set anew, and off."""

    __slots__ = ("_call", "_wheel", "due", "seen")

    def __init__(self, wheel: Wheel, call: Callable[[], None]) -> None:
        self.due = self.seen = NEVER
        self._wheel = wheel
        self._call = call

    def set(self, span: int) -> None:
        """In `span` ticks."""
        self.due = self._wheel.now + span
        self._wheel.hasten(self)

    def off(self) -> None:
        self._wheel.forget(self)

    def expired(self) -> None:
        self._call()


class Server(Candidate):
    """`idle`: its connections that are kept for the next request, the last used one last; `open`: how many it has.

    `failures`: in a row, since an answer was well. `step`: of its way back to its full share. `barred`: its circuit is
    open. `group`: the balance that it is in.
    """

    __slots__ = ("address", "alarm", "barred", "circuit", "condition", "failures", "group", "idle", "open", "step")

    group: Balance[Server]

    def __init__(self, address: ServerAddress, circuit: CircuitSettings | None = None) -> None:
        super().__init__(address.text, address.weight)
        self.address = address
        self.idle: list[UpstreamConnection] = []
        self.open = 0
        self.failures = 0
        self.condition = Condition()
        self.step = FULL
        self.circuit = None if circuit is None else Circuit(circuit)
        self.barred = False
        self.alarm: Alarm | None = None  # of its condition

    def due_share(self) -> int:
        return self.step if self.condition.serving and not self.barred else 0

    def take_over(self, former: Server, healthy: bool) -> None:
        """What was known of it before a reload. `healthy`: nobody asks after its health any more."""
        self.condition = copy(former.condition)  # what still runs with the old pool must not change it unseen
        self.step = former.step
        self.failures = former.failures
        self.took, self.measured = former.took, former.measured
        if healthy and self.condition.state is State.ILL:
            self.condition = Condition()  # nothing would ever bring it back
            self.step = FULL
        circuit = former.circuit
        if circuit is not None and self.circuit is not None and circuit.settings == self.circuit.settings:
            self.circuit = circuit

    def status(self) -> ServerStatus:
        return ServerStatus(
            self.address.text, self.condition.state.value, "" if self.circuit is None else self.circuit.state,
            self.open - len(self.idle), self.address.backup, self.share / FULL,
        )  # fmt: skip
