"""Rates of a cluster against an exact counter in virtual time: what they promise, whatever happens.

Of the arrivals that are generated here 60,000 meet holders of a cluster; with POLGATE_SOAK=1 it is a million.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from lease_runs import DEADLINE, Run, Scene
from lease_world import MS, S

from policylang.sdk.store import Limit

SOAK = os.environ.get("POLGATE_SOAK") == "1"
ARRIVALS = 1_000_000 if SOAK else 60_000

MINUTE = 60 * S


def down(run: Run) -> None:
    run.set_down(True)


def up(run: Run) -> None:
    run.set_down(False)


def kill(run: Run) -> None:
    run.kill()


def freeze(seconds: float) -> Callable[[Run], None]:
    def freezes(run: Run) -> None:
        run.freeze(seconds)

    return freezes


EXACT = {
    "one": Scene(1, offered=1.0, quiet=0.01),
    "ten": Scene(10, offered=5.0),
    "ten, and costs": Scene(10, costs=(1, 1, 2, 5), holders=3),
    "sixty-four": Scene(64, offered=1.2, quiet=0.005),
    "a minute": Scene(20, window=MINUTE, offered=0.9, quiet=0.01),
    "alone": Scene(64, holders=1, offered=3.0),
}

FAULTLESS = {
    "a hundred, seldom full": Scene(100, offered=0.8, delay=MS // 4),
    "a hundred, always full": Scene(100, offered=5.0, delay=MS // 4),
    "a thousand, two holders": Scene(1000, holders=2, offered=5.0, delay=MS // 4),
    "a thousand, at the limit": Scene(1000, offered=1.0, delay=MS // 4),
    "a minute": Scene(500, window=MINUTE, offered=1.5, delay=MS // 4),
    "costs": Scene(500, offered=2.0, costs=(1, 2, 5), delay=MS // 4),
    "a bucket": Scene(100, burst=2 * S, offered=1.5, delay=MS // 4),
    "a large bucket": Scene(1000, burst=3 * S, offered=3.0, delay=MS // 4),
    "several": Scene(100, offered=1.3, delay=MS // 4, beside=(Limit(1000, 30 * S, suffix=b"m"),)),
}

_OUTAGES = ((2, down), (5.3, up), (7.1, down), (9, up))
FAULTS = {
    "lost answers": Scene(10, delay=5 * MS, lost=0.02, skew=2.0),
    "lost answers, a hundred": Scene(100, delay=2 * MS, lost=0.01, skew=2.0),
    "late changes": Scene(20, delay=MS, late=0.01, lost=0.005, skew=2.0),
    "late changes, a bucket": Scene(20, burst=3 * S, delay=MS, late=0.01, lost=0.005, skew=2.0),
    "deaths": Scene(50, delay=MS, skew=2.0, holders=6, faults=((2, kill), (4, kill), (5, kill), (9, kill))),
    "deaths, a bucket": Scene(50, burst=2 * S, delay=MS, skew=2.0, holders=6, faults=((2, kill), (4, kill), (9, kill))),
    "frozen": Scene(200, delay=MS, skew=2.0, faults=((2, freeze(0.5)), (5, freeze(4)), (12, freeze(1.01)))),
    "frozen, a bucket": Scene(200, burst=S, delay=MS, skew=2.0, faults=((2, freeze(0.5)), (5, freeze(4)))),
    "leaving": Scene(100, delay=3 * MS, leaves=0.3, skew=2.0),
    "several": Scene(
        60, delay=MS, lost=0.01, late=0.003, skew=2.0, offered=1.3, leaves=0.05, faults=((4, kill),),
        beside=(Limit(300, 10 * S, suffix=b"m"), Limit(30, S, 3 * S, suffix=b"b")),
    ),
}  # fmt: skip
AWAY = {
    "outages": Scene(40, local=True, delay=MS, skew=2.0, faults=_OUTAGES),
    "outages, a bucket": Scene(40, local=True, burst=2 * S, delay=MS, skew=2.0, faults=_OUTAGES),
    "outages and deaths": Scene(
        200, local=True, delay=MS, skew=2.0, lost=0.01, late=0.003, faults=(*_OUTAGES, (5.5, kill)),
    ),
}  # fmt: skip
SHARE = ARRIVALS // (len(EXACT) + len(FAULTLESS) + len(FAULTS) + len(AWAY)) + 1


def finished(scene: Scene, seed: int = 1) -> Run:
    run = Run(scene, seed).go(SHARE)
    assert run.asked == SHARE
    if not any(do.__name__ == "freezes" for _, do in scene.faults):
        assert run.slowest <= DEADLINE * S, "a decision after the deadline"
    return run


@pytest.mark.parametrize("name", EXACT)
def test_up_to_64_it_decides_as_an_exact_limiter_does(name: str) -> None:
    run = finished(EXACT[name])
    assert run.refused > SHARE // 100, "nothing was over the limit"
    assert (run.over, run.differ, run.away) == (0, 0, 0)


@pytest.mark.parametrize("name", FAULTLESS)
def test_never_above_and_at_most_two_percent_below(name: str) -> None:
    run = finished(FAULTLESS[name])
    assert (run.over, run.away) == (0, 0)
    assert run.passed >= 0.98 * run.due
    assert run.hung == 0


@pytest.mark.parametrize("name", FAULTS)
def test_never_above_whatever_happens(name: str) -> None:
    run = finished(FAULTS[name], seed=2)
    assert run.over == 0
    assert run.passed > 0.5 * run.due


@pytest.mark.parametrize("name", AWAY)
def test_without_the_store_each_keeps_to_its_share(name: str) -> None:
    run = finished(AWAY[name], seed=3)
    assert run.away > 0 and run.alone > 0
    assert run.over < 1.0, "twice the limit"
