"""The promise of `burst:`: at most limit * (t + burst) / window in any time t, and no less than a true bucket."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.sdk.window import Decision, admit_bucket

S = 10**9
START = 86_400 * S


class Bucket:
    """The obvious one, in fractions."""

    def __init__(self, limit: int, window: int, burst: int) -> None:
        self.rate = Fraction(limit, window)
        self.capacity = self.rate * burst
        self.level = self.capacity
        self.at = START

    def admit(self, now: int, cost: int) -> bool:
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < cost:
            return False
        self.level -= cost
        return True


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([1, 3, 7, 100, 1000, 999_983]),
    st.sampled_from([S, 60 * S, 86_400 * S]),
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 5)), min_size=1, max_size=300),
)
def test_every_decision_is_a_true_buckets(
    limit: int, window: int, windows: int, steps: list[tuple[float, int]]
) -> None:
    state, bucket, now = None, Bucket(limit, window, windows * window), START
    for gap, cost in steps:
        now += int(gap**3 * 3 * window / limit)
        decision, changed = admit_bucket(state, limit, window, windows * window, now, cost)
        assert decision.admitted == bucket.admit(now, cost)
        assert decision.remaining == int(bucket.level)
        assert (changed is not None) == decision.admitted
        state = changed or state


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([3, 50, 1000]),
    st.sampled_from([S, 3 * S // 2, 2 * S, 10 * S]),
    st.lists(st.integers(0, 40), min_size=1, max_size=200),
)
def test_in_any_time_at_most_the_refill_and_the_burst(limit: int, burst: int, gaps: list[int]) -> None:
    state, now, log = None, START, []
    for gap in gaps:
        now += gap * S // (8 * limit)
        for _ in range(40):
            decision, changed = admit_bucket(state, limit, S, burst, now)
            state = changed or state
            if not decision.admitted:
                break
            log.append(now)
    for first in range(len(log)):
        for last in {first, len(log) - 1, *range(first, len(log), 7)}:
            assert (last - first + 1) * S <= limit * (log[last] - log[first] + burst)


def test_it_reads_as_a_person_expects() -> None:
    state = None
    for i in range(2000):
        decision, state = admit_bucket(state, 1000, S, 2 * S, START)
        assert decision == Decision(True, 1999 - i, (i + 1) / 1000, 0.0)
    assert state is not None
    assert admit_bucket(state, 1000, S, 2 * S, START) == (Decision(False, 0, 2.0, 0.001), None)
    later = START + S
    for _ in range(1000):
        decision, state = admit_bucket(state, 1000, S, 2 * S, later)
        assert decision.admitted
    assert not admit_bucket(state, 1000, S, 2 * S, later)[0].admitted


def test_thirds_are_not_rounded_away() -> None:
    state = None
    for _ in range(6):
        decision, state = admit_bucket(state, 3, S, 2 * S, START)
        assert decision.admitted
    decision, _ = admit_bucket(state, 3, S, 2 * S, START + S // 3)
    assert not decision.admitted
    assert decision.retry_after == pytest.approx(1 / 3 / 1e9)
    assert admit_bucket(state, 3, S, 2 * S, START + S // 3 + 1)[0].admitted


def test_under_a_changed_limit_the_same_part_stays_used_up() -> None:
    state = None
    for _ in range(1500):
        state = admit_bucket(state, 1000, S, 2 * S, START)[1]
    assert admit_bucket(state, 100, S, 2 * S, START)[0].remaining == 49
    assert admit_bucket(state, 2000, S, 2 * S, START)[0].remaining == 999
    # With a shorter burst it waits until no more is owed than that.
    assert admit_bucket(state, 1000, S, S, START)[0] == Decision(False, 0, 1.5, 0.501)


def test_a_clock_that_goes_back_admits_no_more() -> None:
    state = None
    for _ in range(20):
        state = admit_bucket(state, 10, S, 2 * S, START)[1]
    for now in (START - 1, START - S, 0):
        assert not admit_bucket(state, 10, S, 2 * S, now)[0].admitted


def test_a_cost_passes_whole_or_not_at_all() -> None:
    decision, state = admit_bucket(None, 10, S, S, START, 8)
    assert (decision.admitted, decision.remaining) == (True, 2)
    assert admit_bucket(state, 10, S, S, START, 3) == (Decision(False, 2, 0.8, 0.1), None)
    # What never can pass waits for the whole burst.
    assert admit_bucket(state, 10, S, S, START, 11)[0].retry_after == 1.0
    assert admit_bucket(None, 0, S, S, START)[0] == Decision(False, 0, 1.0, 1.0)
    with pytest.raises(ValueError, match="must be at least 1"):
        admit_bucket(None, 10, S, S, START, 0)
