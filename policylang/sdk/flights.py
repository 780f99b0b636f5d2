"""Many that ask for one thing that is missing wait for one who fetches it.

A flight is one fetch. It lands, and then all that wait hear whether what they want is there. Who fetches may leave:
then the next of those that wait takes over. None waits longer than `MOST` after the fetch began.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Literal, TypeAlias

from policylang.sdk.waiter import Waiter

if TYPE_CHECKING:
    from policylang.sdk.exchange import Clock

REMEMBERED = 1000
"""How many names are known of which nothing could be kept; then all are forgotten."""
VAIN = 1_000_000_000
"""Nanoseconds for which nobody waits for a name after nothing could be kept under it."""

Told: TypeAlias = Literal["there", "alone", "lead"]
"""What one who waited hears: it is `there`; go `alone`; the fetch is yours (`lead`)."""


class Flight:
    """One fetch. Whoever leads ends it, by `land` or `hand_over`; what is called after that does nothing."""

    __slots__ = ("_flights", "_name", "_timed", "_waiting")

    def __init__(self, flights: Flights, name: Hashable) -> None:
        self._flights = flights
        self._name = name
        self._waiting: dict[Waiter[Told], None] = {}
        self._timed = False

    async def wait(self, seconds: float) -> Told:
        """Wait, at most until so many seconds after somebody began to."""
        if not self._timed:
            self._timed = True
            self._flights.clock.sleep(seconds).callback = self._too_late
        waiter: Waiter[Told] = Waiter()
        self._waiting[waiter] = None
        try:
            return await waiter
        except GeneratorExit:
            if waiter.done and waiter.value == "lead":
                self.hand_over()  # it left in the moment in which it was to take over
            raise
        finally:
            self._waiting.pop(waiter, None)

    def land(self, there: bool) -> None:
        """The fetch has ended. `there`: everybody finds what it was for."""
        if not there:
            self._flights.in_vain(self._name)
        self._end("there" if there else "alone")

    def hand_over(self) -> None:
        """Who fetches has left, and nothing has come of it."""
        if self._waiting:
            waiter = next(iter(self._waiting))
            del self._waiting[waiter]
            waiter.fire("lead")
        else:
            self._end("alone")

    def _too_late(self) -> None:
        self._end("alone")

    def _end(self, told: Told) -> None:
        self._flights.ended(self._name, self)
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            waiter.fire(told)


class Flights:
    """Those of one process. `under_way`: by name."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.under_way: dict[Hashable, Flight] = {}
        self._vain: dict[Hashable, int] = {}

    def join(self, name: Hashable) -> tuple[Flight | None, bool]:
        """The flight for a name, and whether whoever asks leads it. None: it is not worth waiting for one."""
        found = self.under_way.get(name)
        if found is not None:
            return found, False
        until = self._vain.get(name)
        if until is not None:
            if self.clock.monotonic() < until:
                return None, False
            del self._vain[name]
        flight = self.under_way[name] = Flight(self, name)
        return flight, True

    def ended(self, name: Hashable, flight: Flight) -> None:
        if self.under_way.get(name) is flight:
            del self.under_way[name]

    def in_vain(self, name: Hashable) -> None:
        if len(self._vain) >= REMEMBERED:
            self._vain.clear()
        self._vain[name] = self.clock.monotonic() + VAIN
