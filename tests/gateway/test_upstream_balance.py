"""Smooth weighted round robin, and what an upstream's settings may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk import Duration
from runtime.upstream.balance import first_turns, next_turn
from runtime.upstream.settings import ServerAddress, server_address, upstream_settings

WEIGHTS = st.lists(st.integers(1, 20), min_size=1, max_size=8)


def turns(weights: list[int], count: int) -> list[int]:
    state = first_turns(weights)
    chosen = []
    for _ in range(count):
        index, state = next_turn(weights, state)
        assert sum(state) == 0
        chosen.append(index)
    return chosen


@given(WEIGHTS)
def test_each_gets_its_share_in_every_round(weights: list[int]) -> None:
    total = sum(weights)
    chosen = turns(weights, 3 * total)
    for begin in range(0, 3 * total, total):
        assert [chosen[begin : begin + total].count(index) for index in range(len(weights))] == weights


@given(WEIGHTS)
def test_nobody_is_ever_more_than_one_turn_ahead_of_its_share(weights: list[int]) -> None:
    total = sum(weights)
    chosen = turns(weights, total)
    for end in range(1, total + 1):
        for index, weight in enumerate(weights):
            assert chosen[:end].count(index) < weight * end / total + 1


def test_the_heavy_one_is_spread_out() -> None:
    assert turns([5, 1, 1], 7) == [0, 0, 1, 0, 2, 0, 0]


def test_server_addresses() -> None:
    assert server_address("http://10.0.0.1:9000", 2) == ServerAddress("10.0.0.1", 9000, 2)
    assert server_address("http://orders.internal") == ServerAddress("orders.internal", 80)
    assert server_address("http://[::1]:81/") == ServerAddress("::1", 81)
    assert server_address("http://[::1]:81").text == "[::1]:81"
    for bad in ("https://a", "http://", "a:80", "http://a/b", "http://a:0", "http://a:99999", "http://a@b", "http://a?x"):
        with pytest.raises(ValueError, match="is no server"):
            server_address(bad)
    with pytest.raises(ValueError, match="weight"):
        server_address("http://a", 0)


class Setting:
    def __init__(self, name: str, **values: object) -> None:
        self.name = name
        self.values = values


def test_settings_of_a_checked_program() -> None:
    settings = upstream_settings(
        [
            Setting("server", url="http://a:1", weight=2),
            Setting("server", url="http://b", weight=1),
            Setting(
                "timeouts", connect=Duration(1), head=Duration(2), between=Duration(3), idle=Duration(4.5)
            ),
            Setting("connections", count=7),
        ]
    )
    assert [server.text for server in settings.servers] == ["a:1", "b:80"]
    assert (settings.connect, settings.head, settings.between, settings.idle) == (1, 2, 3, 4.5)
    assert settings.connections == 7
    with pytest.raises(ValueError, match="at least one server"):
        upstream_settings([])
