"""A thousand servers cost no more per request than three: with room for a noisy machine, at most twice as much."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pool_cost import FEW, MANY, cost, scenarios


@pytest.mark.parametrize("name", scenarios())
def test_many_servers_cost_no_more_than_few(name: str) -> None:
    make = scenarios()[name]
    ratio = 0.0
    for _ in range(3):  # once is enough: noise only adds
        few, many = cost(make(FEW), 4000, 3), cost(make(MANY), 4000, 3)
        ratio = many / few
        if ratio <= 2:
            return
    raise AssertionError(f"{name}: {few:.2f} us among {FEW}, {many:.2f} among {MANY}: {ratio:.1f} times as much")
