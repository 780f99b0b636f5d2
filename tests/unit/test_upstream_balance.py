"""Which server is next: shares, spread, the least loaded, the fastest, the same for the same key."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.upstream.balance import FULL, LONGEST_ROUND, Balance, Candidate, Latency, LeastConnections, RoundRobin
from runtime.upstream.ring import Ring
from runtime.upstream.turns import fair_turns

WEIGHTS = st.lists(st.integers(1, 20), min_size=1, max_size=8)
BALANCES = (RoundRobin, LeastConnections, Latency, Ring)


def candidates(*weights: int) -> list[Candidate]:
    return [Candidate(f"10.0.{number // 256}.{number % 256}:80", weight) for number, weight in enumerate(weights)]


def chosen(balance: Balance[Candidate], key: str = "", now: int = 0) -> Candidate:
    one = balance.choose(key, now)
    assert one is not None
    return one


# --- turns ---


@given(WEIGHTS)
def test_each_gets_its_share_in_every_round(weights: list[int]) -> None:
    servers = candidates(*weights)
    balance = RoundRobin(servers)
    total = sum(weights)
    for _ in range(3):
        turns = Counter(chosen(balance).name for _ in range(total))
        assert [turns[one.name] for one in servers] == weights


@given(WEIGHTS)
def test_nobody_is_ever_a_turn_ahead_of_its_share(weights: list[int]) -> None:
    total = sum(weights)
    turns = list(fair_turns(weights))
    assert len(turns) == total
    for end in range(1, total + 1):
        for index, weight in enumerate(weights):
            assert turns[:end].count(index) < weight * end / total + 1


@given(WEIGHTS)
def test_nobody_is_ever_two_turns_behind_its_share(weights: list[int]) -> None:
    total = sum(weights)
    turns = list(fair_turns(weights))
    for end in range(1, total + 1):
        for index, weight in enumerate(weights):
            assert turns[:end].count(index) > weight * end / total - 2


def test_the_heavy_one_is_spread_out() -> None:
    assert list(fair_turns([5, 1, 1])) == [0, 1, 0, 0, 2, 0, 0]
    assert list(fair_turns([1, 1, 1])) == [0, 1, 2]


def test_a_round_too_long_to_keep_is_the_same() -> None:
    weights = (LONGEST_ROUND, 3, 1)
    balance = RoundRobin(candidates(*weights))
    total = sum(weights)
    names = [chosen(balance).name for _ in range(total + 1000)]
    assert Counter(names[:total]) == dict(zip((one.name for one in balance.candidates), weights, strict=True))
    assert names[total:] == names[:1000]


def test_changes_do_not_favour_those_in_front() -> None:
    servers = candidates(*[1] * 10)
    balance = RoundRobin(servers)
    turns: Counter[str] = Counter()
    for _ in range(100):
        for _ in range(3):
            turns[chosen(balance).name] += 1
        balance.changed()
    assert set(turns.values()) == {30}


# --- the least loaded ---


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.lists(st.integers(0, 9), max_size=200))
def test_nobody_has_less_to_do_for_its_weight(weights: list[int], steps: list[int]) -> None:
    balance = LeastConnections(candidates(*weights))
    working: list[Candidate] = []
    for step in steps:
        if step < 6 or not working:
            one = chosen(balance)
            assert one.active / one.weight == min(each.active / each.weight for each in balance.candidates)
            balance.started(one)
            working.append(one)
        else:
            balance.ended(working.pop(step % len(working)))


def test_equals_take_turns_by_weight() -> None:
    balance = LeastConnections(candidates(3, 1))
    turns: Counter[int] = Counter()
    for _ in range(400):
        one = chosen(balance)
        balance.started(one)
        balance.ended(one)
        turns[one.weight] += 1
    assert turns == {3: 300, 1: 100}


def test_who_comes_back_does_not_get_what_it_missed() -> None:
    servers = candidates(1, 1)
    balance = LeastConnections(servers)
    servers[1].share = 0
    balance.changed()
    for _ in range(100):
        balance.started(chosen(balance))
        balance.ended(servers[0])
    servers[1].share = FULL
    balance.changed()
    turns: Counter[str] = Counter()
    for _ in range(10):
        one = chosen(balance)
        balance.started(one)
        balance.ended(one)
        turns[one.name] += 1
    assert turns == {servers[0].name: 5, servers[1].name: 5}


# --- the fastest ---


def simulate(costs: list[float], seconds: int, balance: Latency[Candidate]) -> Counter[str]:
    turns: Counter[str] = Counter()
    by_name = {one.name: cost for one, cost in zip(balance.candidates, costs, strict=True)}
    for number in range(seconds * 100):
        now = number * 10_000_000
        one = chosen(balance, now=now)
        balance.started(one)
        took = int(by_name[one.name] * 1e9)
        balance.ended(one)
        balance.measured(one, now + took, took, False)
        turns[one.name] += 1
    return turns


def test_the_slow_one_gets_little_and_is_not_forgotten() -> None:
    random.seed(1)
    servers = candidates(1, 1, 1)
    turns = simulate([0.01, 0.01, 0.2], 120, Latency(servers))
    slow = turns[servers[2].name]
    assert 1 < slow < 0.02 * sum(turns.values())
    assert min(turns[servers[0].name], turns[servers[1].name]) > 0.3 * sum(turns.values())


def test_what_fails_fast_is_not_fast() -> None:
    random.seed(2)
    servers = candidates(1, 1)
    balance = Latency(servers)
    balance.measured(servers[0], 0, 1000, True)
    balance.measured(servers[1], 0, 50_000_000, False)
    assert {chosen(balance, now=1_000_000).name for _ in range(50)} == {servers[1].name}


def test_one_slow_answer_counts_at_once() -> None:
    one = candidates(1)[0]
    balance = Latency([one])
    for number in range(10):
        balance.measured(one, number, 1000, False)
    balance.measured(one, 11, 1_000_000, False)
    assert one.took == 1_000_000
    balance.measured(one, 12, 1000, False)
    assert one.took > 990_000


# --- the same for the same key ---


def keys(count: int) -> list[str]:
    return [f"10.{number % 7}.{number // 256 % 256}.{number % 256}" for number in range(count)]


def places(servers: list[Candidate], count: int = 4000) -> dict[str, str]:
    balance = Ring(servers)
    return {key: chosen(balance, key).name for key in keys(count)}


def test_shares_follow_the_weights() -> None:
    for weights in ([1, 1, 1], [1, 2, 4], [1] * 50):
        servers = candidates(*weights)
        spread = Counter(places(servers, 20_000).values())
        total = sum(spread.values())
        for one in servers:
            assert spread[one.name] == pytest.approx(total * one.weight / sum(weights), rel=0.35)


def test_few_keys_move_when_a_server_comes() -> None:
    before = places(candidates(*[1] * 10))
    servers = candidates(*[1] * 11)
    after = places(servers)
    moved = {key for key in before if before[key] != after[key]}
    assert {after[key] for key in moved} == {servers[10].name}
    assert len(moved) < 2 * len(before) / 11


@pytest.mark.parametrize("away", [1, 3, 7, 9])
def test_only_the_keys_of_who_is_away_move_and_they_come_back(away: int) -> None:
    servers = candidates(*[1] * 10)
    balance = Ring(servers)
    before = {key: chosen(balance, key).name for key in keys(2000)}
    gone = {one.name for one in servers[:away]}
    for one in servers[:away]:
        one.share = 0
        balance.changed()
    after = {key: chosen(balance, key).name for key in keys(2000)}
    for key, name in before.items():
        if name in gone:
            assert after[key] not in gone
        else:
            assert after[key] == name
    taken = {after[key] for key, name in before.items() if name in gone}
    assert len(taken) >= min(5, 10 - away), "one alone took it all"
    for one in servers[:away]:
        one.share = FULL
        balance.changed()
    assert {key: chosen(balance, key).name for key in keys(2000)} == before


def test_the_choice_is_the_same_in_every_process() -> None:
    balance = Ring(candidates(*[1] * 5))
    assert [chosen(balance, key).name[-4] for key in ("a", "b", "client-7", "\u00e4", "")] == ["3", "4", "0", "2", "0"]


def test_a_part_of_its_share_is_a_part_of_its_places() -> None:
    servers = candidates(1, 1)
    balance = Ring(servers)
    before = {key: chosen(balance, key) for key in keys(4000)}
    servers[0].share = 20
    balance.changed()
    after = {key: chosen(balance, key) for key in keys(4000)}
    assert sum(one is servers[0] for one in after.values()) == pytest.approx(4000 * 0.2 / 1.2, rel=0.35)
    assert all(after[key] is one for key, one in before.items() if one is servers[1])


# --- all of them ---


@pytest.mark.parametrize("kind", BALANCES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_only_who_has_a_share_is_chosen(kind: type[Balance[Candidate]], data: st.DataObject) -> None:
    servers = candidates(*data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=5)))
    balance = kind(servers)
    for _ in range(6):
        for one in servers:
            one.share = data.draw(st.sampled_from([0, 0, 1, 50, FULL]))
        balance.changed()
        usable = {one.name for one in servers if one.share}
        for number in range(20):
            found = balance.choose(f"key{number}", number)
            assert (found is None) == (not usable)
            if found is not None:
                assert found.name in usable
                balance.started(found)
                if number % 3:
                    balance.ended(found)
                tried = [found]
                while (another := balance.other(tried, f"key{number}", number)) is not None:
                    assert another.name in usable and another not in tried
                    tried.append(another)
                assert len(tried) == len(usable)


@pytest.mark.parametrize("kind", BALANCES)
def test_a_server_that_comes_back_gets_less_at_first(kind: type[Balance[Candidate]]) -> None:
    random.seed(3)
    servers = candidates(1, 1, 1)
    balance = kind(servers)
    servers[1].share = 10
    balance.changed()
    turns: Counter[str] = Counter()
    working: list[Candidate] = []
    for key, number in zip(keys(3000), range(3000), strict=True):
        one = chosen(balance, key, number)
        turns[one.name] += 1
        balance.started(one)
        balance.measured(one, number, 1000, False)
        working.append(one)
        if len(working) > 30:
            balance.ended(working.pop(0))
    assert 0 < turns[servers[1].name] < 0.2 * turns[servers[0].name]


def test_turns_of_many_are_worked_out_one_at_a_time() -> None:
    weights = [1 + number % 3 for number in range(1000)]
    assert len(set(islice(fair_turns(weights), 500))) == 500
