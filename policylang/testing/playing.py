"""A file's tests as work to be measured: all that they ask, asked of trees with a meter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policylang.check.surroundings import Given
from policylang.testing.cost import Meter, MeteredTree
from policylang.testing.running import play
from policylang.testing.suite import Suite
from policylang.testing.world import World


def player(suite: Suite) -> Callable[[Meter, bool], None]:
    """What `policylang.testing.cost.measure` wants. The suite has no errors; how its tests end is not looked at."""

    def play_all(meter: Meter, apart: bool) -> None:
        assert suite.program is not None
        for test in suite.tests:
            world = World(_Metered(suite, meter), suite.program, None)
            world.make_journal = meter.journal if apart else None
            play(test, world)

    return play_all


class _Metered:
    def __init__(self, suite: Suite, meter: Meter) -> None:
        self._suite = suite
        self._meter = meter

    def tree(self, given: Given) -> Any:
        return MeteredTree(self._suite.tree(given), self._meter)
