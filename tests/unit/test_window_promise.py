"""The promise of a window: never above in any window, exact up to EXACT_UNITS, at most 2 % under at steady overload."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.sdk.window import CELLS, EXACT_UNITS, MAX_STATE, Decision, admit_window

S = 10**9
MS = 10**6
START = 86_400 * S


class SlidingLog:
    """The slow and obvious limiter: it remembers every unit."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit, self.window = limit, window
        self.units: deque[int] = deque()

    def admit(self, now: int, cost: int = 1) -> Decision:
        while self.units and self.units[0] + self.window <= now:
            self.units.popleft()
        excess = len(self.units) + cost - self.limit
        reset = (self.units[-1] + self.window - now) / 1e9 if self.units else 0.0
        if excess > 0:
            wait = self.units[excess - 1] + self.window - now if cost <= self.limit else self.window
            return Decision(False, self.limit - len(self.units), reset, wait / 1e9)
        self.units.extend([now] * cost)
        return Decision(True, self.limit - len(self.units), self.window / 1e9, 0.0)


class Ours:
    """admit_window with its state, and every admission remembered to judge it by."""

    def __init__(self, limit: int, window: int) -> None:
        self.limit, self.window = limit, window
        self.state: bytes | None = None
        self.log: deque[tuple[int, int]] = deque()
        self.in_log = 0
        self.admitted = 0

    def admit(self, now: int, cost: int = 1) -> Decision:
        decision, changed = admit_window(self.state, self.limit, self.window, now, cost)
        if changed is not None:
            assert len(changed) <= MAX_STATE
            self.state = changed
        # Older than any refusal may count: a window, a cell, and what rounding adds.
        horizon = self.window + -(-self.window // CELLS) + self.window // 1500
        while self.log and self.log[0][0] + horizon <= now:
            self.in_log -= self.log.popleft()[1]
        if decision.admitted:
            self.admitted += cost
            self.in_log += cost
            self.log.append((now, cost))
            assert self.live(now) <= self.limit, "more than the limit in one window"
            assert decision.remaining >= 0
            assert decision.retry_after == 0.0
        else:
            # No refusal without reason: counts are rounded up by 1/8192 at most.
            assert self.in_log * (1 + 1 / 8192) + cost > self.limit, "refused too early"
            assert 0 < decision.retry_after <= self.window / 1e9
        return decision

    def live(self, now: int) -> int:
        return sum(cost for at, cost in self.log if at + self.window > now)


# Gaps where mistakes live: none, one tick, the edges of cells and of the window, and anything between.
def gaps(window: int) -> st.SearchStrategy[int]:
    cell = -(-window // CELLS)
    edges = [0, 0, 1, cell - 1, cell, cell + 1, window // 64, window - cell, window - 1, window, window + 1, 3 * window]
    return st.one_of(st.sampled_from(edges), st.integers(0, cell), st.integers(0, window // 3))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, EXACT_UNITS), st.lists(st.tuples(gaps(S), st.integers(1, 4)), max_size=300))
def test_up_to_exact_units_every_decision_is_the_sliding_logs(limit: int, steps: list[tuple[int, int]]) -> None:
    ours, log, now = Ours(limit, S), SlidingLog(limit, S), START
    for gap, cost in steps:
        now += gap
        assert ours.admit(now, cost) == log.admit(now, cost)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([60 * S, 3_600 * S, 86_400 * S]),
    st.integers(1, EXACT_UNITS),
    st.lists(st.floats(0, 0.4), min_size=1, max_size=200),
)
def test_long_windows_are_exact_at_times_in_milliseconds(window: int, limit: int, gaps: list[float]) -> None:
    ours, log, now = Ours(limit, window), SlidingLog(limit, window), START
    for gap in gaps:
        now += int(gap**4 * window) // (100 * MS) * 100 * MS
        assert ours.admit(now) == log.admit(now)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([S, 7 * S, 60 * S, 999_999_937, 86_400 * S, 1000]),
    st.integers(EXACT_UNITS - 2, 400),
    st.data(),
)
def test_beyond_never_above_and_never_refused_without_reason(window: int, limit: int, data: st.DataObject) -> None:
    ours, now = Ours(limit, window), START
    cost = st.one_of(st.just(1), st.integers(1, limit))
    for gap, count, each in data.draw(st.lists(st.tuples(gaps(window), st.integers(1, 60), cost), max_size=40)):
        now += gap
        for _ in range(count):
            ours.admit(now, each)
            now += gap // 64


@pytest.mark.parametrize("limit", [1, 5, EXACT_UNITS])
def test_a_long_random_run_is_exact(limit: int) -> None:
    rnd = random.Random(limit)
    ours, log, now = Ours(limit, S), SlidingLog(limit, S), START
    for _ in range(30_000):
        now += int(rnd.expovariate(1.2 * limit / S)) if rnd.random() < 0.98 else rnd.choice((0, 1, S - 1, S))
        assert ours.admit(now) == log.admit(now)


@pytest.mark.parametrize("limit", [EXACT_UNITS + 1, 100, 1000])
def test_a_long_run_of_changing_patterns_is_never_above(limit: int) -> None:
    rnd = random.Random(limit)
    ours, now = Ours(limit, S), START
    for _ in range(400):
        gap = rnd.choice((0, 1, S // CELLS, S // limit, S // (2 * limit), S // (20 * limit)))
        for _ in range(rnd.randrange(1, 150)):
            now += gap
            ours.admit(now)
        now += rnd.choice((0, 0, 0, S // CELLS - 1, S // 2, S - 1, S, S + 1))


def even(rate: float, seconds: float, _: random.Random) -> Iterable[int]:
    return (START + int(i * S / rate) for i in range(int(rate * seconds)))


def poisson(rate: float, seconds: float, rnd: random.Random) -> Iterable[int]:
    now = START
    for _ in range(int(rate * seconds)):
        now += int(rnd.expovariate(rate) * S)
        yield now


def in_clumps(rate: float, seconds: float, rnd: random.Random) -> Iterable[int]:
    now, sent = START, 0
    while sent < rate * seconds:
        clump = rnd.randrange(1, max(2, int(rate / 5)))
        yield from sorted(now + rnd.randrange(MS) for _ in range(clump))
        sent += clump
        now += int(clump / rate * S) + MS


@pytest.mark.parametrize("pattern", [even, poisson, in_clumps])
@pytest.mark.parametrize("overload", [1.0, 1.01, 1.1, 1.5, 3.0])
@pytest.mark.parametrize(("limit", "seconds"), [(81, 100), (89, 100), (100, 100), (1000, 25), (5000, 6)])
def test_steady_overload_loses_at_most_two_percent(limit: int, seconds: int, overload: float, pattern: object) -> None:
    assert callable(pattern)
    log, admitted, state = SlidingLog(limit, S), 0, None
    exactly = 0
    # A second of exactly the limit, evenly, before it: so that cells fill evenly, which costs most.
    times = [*(START - S + i * S // limit for i in range(limit)), *pattern(limit * overload, seconds, random.Random(1))]
    for now in times:
        exactly += log.admit(now).admitted
        decision, changed = admit_window(state, limit, S, now)
        state = changed or state
        admitted += decision.admitted
    assert exactly * 0.98 <= admitted <= exactly * 1.02


def test_it_reads_as_a_person_expects() -> None:
    ours = Ours(500, S)
    assert all(ours.admit(START).admitted for _ in range(500))
    refused = ours.admit(START)
    assert refused == Decision(False, 0, 1.0, 1.0)
    assert not ours.admit(START + S - 1).admitted
    assert all(ours.admit(START + S).admitted for _ in range(500))
    assert not ours.admit(START + S).admitted


def test_a_burst_on_both_sides_of_an_edge_passes_once() -> None:
    ours = Ours(1000, S)
    edge = START + S
    admitted = sum(ours.admit(edge - MS).admitted for _ in range(1000))
    admitted += sum(ours.admit(edge + MS).admitted for _ in range(1000))
    assert admitted == 1000


def test_what_is_rounded_up_does_not_outlive_what_came_later() -> None:
    cell = -(-60 * S // CELLS)
    edge = START // cell * cell
    ours = Ours(100, 60 * S)
    assert all(ours.admit(edge - 10).admitted for _ in range(60))
    assert all(ours.admit(edge + 10).admitted for _ in range(40))
    # The first 60 closed as one run, whose end is kept to the nearest 10 ms.
    assert ours.admit(edge + 11) == Decision(False, 0, (60 * S - 1) / 1e9, (60 * S - 1) / 1e9)


def test_refused_requests_are_not_counted() -> None:
    ours = Ours(3, S)
    for _ in range(3):
        ours.admit(START)
    for i in range(1000):
        assert not ours.admit(START + i * MS - i).admitted
    assert ours.admit(START + S).admitted


def test_a_cost_passes_whole_or_not_at_all() -> None:
    ours = Ours(10, S)
    assert ours.admit(START, 7) == Decision(True, 3, 1.0, 0.0)
    assert ours.admit(START + 1, 4) == Decision(False, 3, (S - 1) / 1e9, (S - 1) / 1e9)
    assert ours.admit(START + 1, 3).admitted
    # What never can pass waits for the whole window, so that a Retry-After can be made of it.
    assert Ours(10, S).admit(START, 11) == Decision(False, 10, 0.0, 1.0)


def test_a_limit_of_nothing_lets_nothing_pass() -> None:
    for limit in (0, -1):
        assert admit_window(None, limit, S, START) == (Decision(False, 0, 0.0, 1.0), None)


@pytest.mark.parametrize(("limit", "window", "cost"), [(1, S, 0), (1, S, -1), (2**31, S, 1), (1, 0, 1)])
def test_what_is_out_of_range_is_an_error(limit: int, window: int, cost: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        admit_window(None, limit, window, START, cost)


def test_the_highest_limit_fits_its_state() -> None:
    limit, state = 2**31 - 1, None
    for i, cost in enumerate((2**30, 2**29, 2**28, 2**28 - 10**6)):
        decision, state = admit_window(state, limit, S, START + i * S // 5, cost)
        assert decision.admitted
    assert state is not None
    assert not admit_window(state, limit, S, START + S - 1, 2 * 10**6)[0].admitted
    assert admit_window(state, limit, S, START + S, 2**29)[0].admitted
