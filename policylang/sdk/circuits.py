"""The circuits of one process, by key."""

from __future__ import annotations

from collections import OrderedDict

from policylang.sdk.circuit import Circuit, CircuitSettings

MOST = 10_000
"""Circuits that are kept: those asked for last."""


class Circuits:
    """What `Environment.circuit` asks. A key that comes with other settings gets a new circuit, which is closed."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[bytes, tuple[CircuitSettings, Circuit]] = OrderedDict()

    def get(self, key: bytes, settings: CircuitSettings) -> Circuit:
        known = self._known
        found = known.get(key)
        if found is not None and (found[0] is settings or found[0] == settings):
            known.move_to_end(key)
            return found[1]
        circuit = Circuit(settings)
        known[key] = settings, circuit
        known.move_to_end(key)
        if len(known) > self._most:
            known.popitem(last=False)
        return circuit
